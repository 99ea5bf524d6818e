"""Which way is up?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from vjo_train.heads.base import TaskMetrics, check_levels
from vjo_train.heads.own_cells import pooled
from vjo_train.heads.self_supervised.base import SelfSupervised
from vjo_train.types import EXTENT, Batch, Features, Target

TURNS = 4


class Rotation(SelfSupervised):
    """By which of 0, 90, 180 and 270 degrees a picture was turned (Gidaris, Singh, Komodakis 2018).

    A square as large as fits is cut out of the picture at random, turned, and laid at the top left, so that the shape
    and the padding tell nothing. Each picture is turned once, not in all four ways.

    Who cannot tell what a picture shows cannot tell which way it was turned; nothing is learned from pictures that have
    no upper side, such as those taken from straight above.

    Scale: cross-entropy divided by log 4, so 1 at the start.

    Args:
        channels: of every level of the pyramid.
        level: the feature that is pooled.
        pool: over the picture: the mean, or the greatest value.
        images: turned pictures in each training step, over all ranks; None: as many as a batch holds.

    Raises:
        ConfigError: the pyramid has no such level.
    """

    label: ClassVar[str] = "rotation"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    monitor: ClassVar[str] = "top1"
    difficulty: ClassVar[int] = 1

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        level: str = "c5",
        pool: Literal["average", "max"] = "average",
        images: Annotated[int, Ge(1)] | None = None,
    ) -> None:
        super().__init__(images)
        check_levels("heads.rotation.level", [level], channels)
        self.levels = (level,)
        self.pool: Literal["average", "max"] = pool
        self.linear = nn.Linear(channels[level], TURNS)

    def altered(self, picture: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """A square part of the picture, and by how many quarters it was turned, against the clock."""
        side = min(picture.shape[1:])
        top, left = (int(torch.randint(length - side + 1, (), generator=draws)) for length in picture.shape[1:])
        turns = torch.randint(TURNS, (), generator=draws)
        square = picture[:, top : top + side, left : left + side]
        return torch.rot90(square, int(turns), (1, 2)), turns.to(picture.device)

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> logits [B, 4]."""
        feature = features[self.levels[0]]
        logits: Tensor = self.linear(pooled(feature, features.get(EXTENT), self.pool))
        return logits

    def loss(self, outputs: Tensor, targets: list[Target]) -> Tensor:
        unknown = torch.tensor(-1, device=outputs.device)
        turns = torch.stack([target.labels.get(self.label, unknown) for target in targets])
        with torch.autocast(outputs.device.type, enabled=False):
            losses = F.cross_entropy(outputs.float(), turns, ignore_index=-1, reduction="none")
        return losses / math.log(TURNS)

    def decode(self, outputs: Tensor, batch: Batch) -> list[Tensor]:
        """By how many quarters each picture was turned."""
        return list(outputs.argmax(1).unbind())

    def metrics(self) -> RotationMetrics:
        return RotationMetrics()


class RotationMetrics(TaskMetrics):
    """`top1`: the share of the turned pictures whose turn was found; by chance 0.25."""

    def __init__(self) -> None:
        from vjo_train.metrics.image_means import ImageMeans

        super().__init__()
        self.means = ImageMeans(["top1"])

    def update(self, predictions: list[Any], targets: list[Target]) -> None:
        for found, target in zip(predictions, targets, strict=True):
            if Rotation.label in target:
                self.means.update({"top1": found == target[Rotation.label]})

    def compute(self) -> dict[str, Tensor]:
        return self.means.compute()

    def reset(self) -> None:
        self.means.reset()
