"""Cross-stitch networks (Misra, Shrivastava, Gupta, Hebert 2016, "Cross-stitch Networks for Multi-task Learning")."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Gt, Interval
from torch import Tensor, nn

from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures, summary
from vjo_train.sharing.pyramid import channels, reads_neck, stages_of, trainable
from vjo_train.types import Features


class CrossStitch(Sharing):
    """One backbone and neck per task; after each stage, learned units mix what the columns have come to.

    With the outputs x_j of the K columns' stage, task i's column goes on with sum_j a_ij x_j, which is also the level
    that its neck and head see. a is K x K for each channel, or for the whole layer, and starts near the identity:
    `own_share` on the diagonal, the rest shared equally by the others, so that rows sum to 1. Nothing holds the sums
    there in training, as in the paper. A unit's arithmetic is in float32 under any precision.

    All columns start as copies of one backbone, as the paper's start from one ImageNet network: that makes channel c of
    one column mean what it means in the others, without which mixing by channel would be noise. It holds for random
    weights too. `columns_from` starts them from networks that were trained on their tasks alone, the paper's other way:
    backbone, neck and head. Stages that `backbone.frozen_stages` freezes are frozen in every column; units are not.

    A task's loss reaches all columns, so every column is computed and trained at every step, also where only one task
    is on; the others' necks and heads are left alone. With one task there is nothing to mix, and its unit stays at 1.
    `weighting.at=features` is refused: the features of different tasks are different tensors, where gradients never
    meet.

    Args:
        backbone: images -> `c2`..`c5`, in stages; copied for each task.
        neck: `c2`..`c5` -> `p2`..`p7`; copied for each task that reads one of its levels.
        levels: task -> the features that its head reads.
        per: what has a unit of its own: each `channel` of a stage's output, or the `layer` as a whole.
        own_share: how much of its own column a task sees at the start; 1 separates the tasks.
        lr_factor: the units' learning rate relative to `optimizer.lr`. The paper takes 10^2 to 10^3 times the small
            rate of its fine-tuning; from random weights at a rate of 0.01, units that learn 100 times as fast leave
            -1..2 within 60 steps, at 10 times they stay near 0..1. Nor may Adam take more: it moves by the rate itself.
        columns_from: task -> folder of a run that trained it alone; tasks left out start from the backbone. Resolved by
            `jobs.train`: a checkpoint that is evaluated holds the columns already.

    Raises:
        ConfigError: the backbone is not made of stages.
    """

    tasks_meet = False

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        per: Literal["channel", "layer"] = "channel",
        own_share: Annotated[float, Interval(gt=0, le=1)] = 0.9,
        lr_factor: Annotated[float, Gt(0)] = 10.0,
        columns_from: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        stages_of(backbone)
        self.tasks = tuple(levels)
        self._columns_from = dict(columns_from or {})
        # The names hold `backbone.`, so that `optimizer.backbone_lr_factor` finds them.
        self.backbone = nn.ModuleList(copy.deepcopy(backbone) for _ in levels)
        self.levels = {task: tuple(names) for task, names in levels.items()}
        self.necks = nn.ModuleDict(
            {task: copy.deepcopy(neck) for task, names in levels.items() if reads_neck(backbone, names)}
        )
        self.units = nn.ModuleDict(
            {
                level: Unit(len(levels), width if per == "channel" else 1, own_share, lr_factor)
                for level, width in channels(backbone).items()
            }
        )

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        features: dict[str, Features] = {task: {} for task in tasks}
        columns = [stages_of(backbone) for backbone in self.backbone]
        maps = [images] * len(columns)
        for place, (level, unit) in enumerate(self.units.items()):
            maps = unit([column[place](x) for column, x in zip(columns, maps, strict=True)])
            for task in tasks:
                # A view, so that a level beside those built from it ends the shared part as a tensor of its own.
                mixed = maps[self.tasks.index(task)]
                features[task][level] = mixed.view_as(mixed)
        representation = [feature for levels in features.values() for feature in levels.values()]
        for task in tasks:
            if task in self.necks:
                features[task] = features[task] | self.necks[task](features[task], self.levels[task])
        return SharedFeatures(features, representation, summary=torch.stack([summary(x) for x in maps]).mean(0))

    @property
    def columns_from(self) -> Mapping[str, str]:
        return self._columns_from

    def shared_parameters(self) -> list[nn.Parameter]:
        """Units and backbones: through the last unit every task's loss reaches every column. Necks are a task's own."""
        return trainable(self.units, self.backbone)

    def hard_name(self, name: str) -> str:
        return re.sub(r"^(backbone)\.\d+\.|^(neck)s\.[^.]+\.", r"\1\2.", name)

    def column(self, task: str) -> dict[str, nn.Module]:
        """What a single task's hard sharing would hold: its `backbone`, and its `neck` if its head reads one."""
        column = {"backbone": self.backbone[self.tasks.index(task)]}
        return column | ({"neck": self.necks[task]} if task in self.necks else {})


class Unit(nn.Module):
    """K maps -> K mixes of them, each with its own learned weights.

    Args:
        count: K.
        width: C, the channels with weights of their own; 1 for all together.
        own_share: see `CrossStitch`.
        lr_factor: see `vjo_train.optim.optimizers.OwnRate`.
    """

    def __init__(self, count: int, width: int, own_share: float, lr_factor: float) -> None:
        super().__init__()
        self.lr_factor = lr_factor
        start = near_identity(count, own_share)[:, :, None].repeat(1, 1, width)
        self.weight = nn.Parameter(start, requires_grad=count > 1)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """K maps [B, C, h, w] -> K of them."""
        return [mix(maps, row) for row in self.weight]


def near_identity(count: int, own_share: float) -> Tensor:
    """[K, K]: `own_share` on the diagonal, the rest of each row shared equally; 1 for a single task."""
    if count == 1:
        return torch.ones(1, 1)
    return torch.full((count, count), (1 - own_share) / (count - 1)).fill_diagonal_(own_share)


def mix(maps: Sequence[Tensor], weights: Tensor) -> Tensor:
    """sum_j weights_j maps_j, computed in float32.

    Args:
        maps: K times [B, C, h, w].
        weights: [K, C] or [K, 1] float32.

    Returns:
        [B, C, h, w] in the maps' type.
    """
    weights = weights[:, :, None, None]
    total = maps[0] * weights[0]
    for one, weight in zip(maps[1:], weights[1:], strict=True):
        total = torch.addcmul(total, one, weight)
    return total.to(maps[0].dtype)
