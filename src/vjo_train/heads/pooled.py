"""A head that says something of the whole image, from one pooled feature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval
from torch import Tensor, nn

from vjo_train.heads.base import Head, check_levels
from vjo_train.heads.class_rows import ClassRows, of_layer
from vjo_train.heads.label_space import LabelSpace
from vjo_train.types import Batch, Features


class PooledHead(Head):
    """Global pooling, dropout and one linear layer: a score for each class.

    Pooling runs over the whole canvas, padding included.

    Args:
        channels: of every level of the pyramid.
        num_classes: C.
        level: the feature that is pooled.
        pool: over the canvas: the mean, or the greatest value.
        dropout: share of the pooled features that is dropped in training.

    Raises:
        ConfigError: the pyramid has no such level.

    Attributes:
        task: the head's place in the config, for messages.
    """

    difficulty: ClassVar[int] = 1
    task: ClassVar[str]

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        num_classes: int,
        level: str = "c5",
        pool: Literal["average", "max"] = "average",
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.2,
    ) -> None:
        super().__init__()
        check_levels(f"heads.{self.task}.level", [level], channels)
        self.levels, self.pool, self.num_classes = (level,), pool, num_classes
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels[level], num_classes)

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> logits [B, C]."""
        feature = features[self.levels[0]]
        pooled = feature.mean((2, 3)) if self.pool == "average" else feature.amax((2, 3))
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits

    def class_rows(self) -> dict[str, ClassRows]:
        return of_layer("linear", ClassRows())

    def in_known_classes(self, prediction: Tensor, space: LabelSpace) -> Tensor:
        return space.known_scores(prediction)

    def predictions(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        """Probabilities [C] float32 of each image."""
        return list(decoded["probabilities"].unbind())

    def explained(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The logit of the likeliest class."""
        return outputs.float().amax(1)


def scores_by_name(prediction: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Class -> its score in a published prediction, without classes that the head does not have."""
    pairs = zip(classes, prediction.tolist(), strict=True)
    return {name: round(score, 6) for name, score in pairs if not math.isnan(score)}
