"""MTAN (Liu, Johns, Davison 2019, "End-to-End Multi-Task Learning with Attention")."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures, summary
from vjo_train.sharing.layers import block, normalised
from vjo_train.sharing.pyramid import channels, steps, trainable
from vjo_train.types import Features


class MTAN(Sharing):
    """One backbone; each task masks the output of every stage by an attention of its own, and has a neck of its own.

    At stage j, with shared features s_j, task k sees a_kj = m_kj * s_j with the mask
    m_kj = sigmoid(norm(h(relu(norm(g([s_j; f(a_k,j-1)])))))) in 0..1, cell by cell and channel by channel: g and h are
    1x1 convolutions, f is max-pooling by 2 (none between levels of one stride), a 3x3 convolution, norm and
    ReLU. In the first stage there is no f. A task that reads no level of the neck and not all of the stages gets only
    what it needs.

    Unlike the paper: s_j is the output of stage j in both places (the paper's mask is made from the first layer of the
    stage), so that any backbone will do; f belongs to the task and gives as many channels as g (the paper's f is
    shared). So everything past the backbone is one task's own: gradient weightings combine the backbone's gradients,
    and `weighting.at=features` takes them at the stages' outputs.

    With `norm=batch` the statistics are those of one rank's images.

    Args:
        backbone: images -> `c2`..`c5`, with `channels`.
        neck: `c2`..`c5` -> `p2`..`p7`; copied for each task that reads one of its levels.
        levels: task -> the features that its head reads.
        reduction: by how much the attention has fewer channels inside than the stage; 4 in the authors' ResNets.
        norm: of the attention: `batch` as in the paper; `group` for small batches.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        reduction: Annotated[int, Ge(1)] = 4,
        norm: Literal["batch", "group"] = "batch",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        own, halved = channels(backbone), steps(backbone)
        stages = list(own)
        self.levels = {task: tuple(names) for task, names in levels.items()}
        self.necks = nn.ModuleDict(
            {task: copy.deepcopy(neck) for task, names in levels.items() if not set(names) <= own.keys()}
        )
        self.attention = nn.ModuleDict()
        for task, names in levels.items():
            last = len(stages) if task in self.necks else 1 + max(stages.index(level) for level in names)
            widths = [own[stage] for stage in stages[:last]]
            before = [0, *widths[:-1]]
            self.attention[task] = nn.ModuleDict(
                {
                    stage: StageAttention(width, previous, max(1, width // reduction), norm, halved.get(stage, 1))
                    for stage, width, previous in zip(stages[:last], widths, before, strict=True)
                }
            )

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        stages = {level: feature.view_as(feature) for level, feature in self.backbone(images).items()}
        used = [stage for stage in stages if any(stage in self._of(task) for task in tasks)]
        return SharedFeatures(
            tasks={task: self._features(task, stages) for task in tasks},
            representation=[stages[stage] for stage in used],
            summary=summary(stages["c5"]),
        )

    def hard_name(self, name: str) -> str:
        return re.sub(r"^necks\.[^.]+\.", "neck.", name)

    def shared_parameters(self) -> list[nn.Parameter]:
        return trainable(self.backbone)

    def _of(self, task: str) -> nn.ModuleDict:
        attention = self.attention[task]
        assert isinstance(attention, nn.ModuleDict)
        return attention

    def _features(self, task: str, stages: Features) -> Features:
        features: Features = {}
        previous: Tensor | None = None
        for stage, attention in self._of(task).items():
            previous = features[stage] = attention(stages[stage], previous) * stages[stage]
        if task in self.necks:
            features = features | self.necks[task](features, self.levels[task])
        return features


class StageAttention(nn.Module):
    """One task's mask of one stage.

    Args:
        width: channels of the stage.
        previous: channels of the stage before, 0 for the first.
        inner: channels inside.
        norm: see `MTAN`.
        step: cells of the stage before per cell of this one, along each axis.
    """

    def __init__(self, width: int, previous: int, inner: int, norm: Literal["batch", "group"], step: int) -> None:
        super().__init__()
        self.step = step
        self.down = block(previous, inner, 3, norm) if previous else None
        self.inner = block(width + inner if previous else width, inner, 1, norm)
        self.mask = nn.Sequential(nn.Conv2d(inner, width, 1, bias=False), normalised(width, norm), nn.Sigmoid())

    def forward(self, stage: Tensor, previous: Tensor | None) -> Tensor:
        """The stage [B, width, h, w] and the attended features before, [B, previous, step h, step w] -> the mask."""
        if self.down is not None:
            assert previous is not None
            # Odd sizes: some backbones round up where they halve, others down.
            pooled = F.max_pool2d(previous, self.step, ceil_mode=True)[..., : stage.shape[2], : stage.shape[3]]
            stage = torch.cat([stage, self.down(pooled)], 1)
        mask: Tensor = self.mask(self.inner(stage))
        return mask
