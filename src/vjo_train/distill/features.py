"""The features of networks that were trained for one task each, as a further aim of a joint network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.heads.own_cells import covered
from vjo_train.sharing.features import SharedFeatures
from vjo_train.types import EXTENT

LEAST = 1e-3
"""The length below which a vector counts as this long, which bounds the gradient where features are zero."""


class Network(Protocol):
    """What a teacher's network must be able to do."""

    def share(self, images: Tensor, tasks: tuple[str, ...]) -> SharedFeatures:
        """Images [B, 3, H, W] in 0..255 -> what the heads of `tasks` are given."""

    def to(self, device: torch.device) -> Any:
        """Moves it."""


@dataclass(frozen=True)
class Teacher:
    """A trained network, and what its head of the task reads.

    Attributes:
        network: in evaluation mode, without gradients.
        channels: of the levels that its head of the task reads.
    """

    network: Network
    channels: Mapping[str, int]


class FeatureDistillation(nn.Module):
    """Lets the features of each task follow those of a network that was trained for it alone.

    After Li and Bilen 2020, "Knowledge Distillation for Multi-task Learning". A joint network tends to serve the task
    with the greatest gradient; single-task networks say what features each of the others would have liked. For each
    task that has a teacher, a 1 x 1 convolution of its own (dropped after training) maps the features that the task's
    head is given to the teacher's, level by level; `feature_distance` compares the two.

    It needs no labels: all images of a batch count, for the tasks that are on. Its losses are added to the weighted
    task losses as they are, under every weighting, sharing and schedule. A teacher costs a forward in each step, and
    nothing once the network is trained.

    Args:
        teachers: task -> the folder of a run that trained it, best alone. None: in a comparison, those of the tasks
            alone with the same seed and labels.
        weight: of the mean over levels of the distances, beside a task's loss.
    """

    def __init__(self, *, teachers: Mapping[str, str] | None = None, weight: Annotated[float, Gt(0)] = 1.0) -> None:
        super().__init__()
        self.teachers, self.weight = teachers, weight
        self.adapters = nn.ModuleDict()
        self._bound: dict[str, Teacher] = {}

    def bind(
        self, teachers: Mapping[str, Teacher], channels: Mapping[str, int], levels: Mapping[str, Sequence[str]]
    ) -> None:
        """Makes the layers between the network and its teachers.

        Args:
            teachers: by task.
            channels: of every level of the network.
            levels: task -> those that its head reads.

        Raises:
            ConfigError: a teacher whose head reads none of them.
        """
        for task, teacher in teachers.items():
            both = [level for level in levels[task] if level in teacher.channels]
            if not both:
                raise ConfigError(
                    f"distill.teachers.{task}: its head reads {', '.join(teacher.channels)}, this one "
                    f"{', '.join(levels[task])}; they must have a level in common."
                )
            self.adapters[task] = nn.ModuleDict(
                {level: nn.Conv2d(channels[level], teacher.channels[level], 1) for level in both}
            )
        self._bound = dict(teachers)

    def start(self, device: torch.device) -> None:
        """Moves the teachers, which are no part of the network, beside it."""
        for teacher in self._bound.values():
            teacher.network.to(device)

    def losses(self, images: Tensor, shared: SharedFeatures) -> dict[str, Tensor]:
        """`distill/<task>` -> a scalar with graph, the mean over this rank's images, of each task with a teacher.

        Args:
            images: [B, 3, H, W] in 0..255.
            shared: of the network, for the tasks that are on.

        Raises:
            ConfigError: a teacher's features have another size.
        """
        found = {}
        for task, own in shared.tasks.items():
            if task in self._bound:
                with torch.no_grad():
                    theirs = self._bound[task].network.share(images, (task,)).tasks[task]
                found[f"distill/{task}"] = (
                    self.weight
                    * torch.stack(
                        [
                            feature_distance(adapter(own[level]), _fitting(task, level, own, theirs), own[EXTENT])
                            for level, adapter in self._adapters(task).items()
                        ]
                    ).mean()
                )
        return found

    def _adapters(self, task: str) -> Mapping[str, nn.Module]:
        adapters = self.adapters[task]
        assert isinstance(adapters, nn.ModuleDict)
        return dict(adapters.items())


def _fitting(task: str, level: str, own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Tensor:
    here, there = own[level].shape[2:], theirs[level].shape[2:]
    if here != there:
        raise ConfigError(
            f"distill.teachers.{task}: its {level} has {there[0]} x {there[1]} cells, here {here[0]} x {here[1]}; "
            "strides must be the same."
        )
    return theirs[level]


def feature_distance(mine: Tensor, theirs: Tensor, extents: Tensor) -> Tensor:
    """How far vectors of features point from one another: the squared distance of unit vectors, 2 (1 - cosine).

    Args:
        mine: [B, C, h, w].
        theirs: [B, C, h, w], without graph.
        extents: [B, 4], see `types.EXTENT`: a cell counts by its share of picture.

    Returns:
        A scalar float32 in 0..4, about 2 for features that have nothing to do with one another: the mean over cells,
        then over images.
    """
    one, other = (F.normalize(part.float(), dim=1, eps=LEAST) for part in (mine, theirs))
    share = covered(extents, mine.shape[2], mine.shape[3])
    distance = ((one - other).square().sum(1) * share).sum((1, 2)) / share.sum((1, 2))
    return distance.mean()
