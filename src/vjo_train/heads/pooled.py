"""A head that says something of the whole image, from one pooled feature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Interval
from torch import Tensor, nn

from vjo_train.heads.base import Head, check_levels
from vjo_train.heads.class_rows import ClassRows, of_layer
from vjo_train.heads.imbalance import BALANCED, ClassWeights, balanced_weights, given_weights
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.own_cells import pooled
from vjo_train.types import EXTENT, Batch, Features


class PooledHead(Head):
    """Global pooling, dropout and one linear layer: a score for each class.

    Pooling runs over the picture's own cells (`own_cells.pooled`), so that the shape of a picture does not dilute it.

    Args:
        channels: of every level of the pyramid.
        num_classes: C.
        level: the feature that is pooled.
        pool: over the picture: the mean, or the greatest value.
        dropout: share of the pooled features that is dropped in training.
        class_weights: of each class in the loss: `balanced` by how many training images show it, class -> weight (1
            for others), or a list in the order of the classes; None: all 1.

    Raises:
        ConfigError: the pyramid has no such level, or weights of another number.

    Attributes:
        task: the head's place in the config, for messages.
    """

    difficulty: ClassVar[int] = 1
    task: ClassVar[str]
    class_weights: Tensor

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        num_classes: int,
        level: str = "c5",
        pool: Literal["average", "max"] = "average",
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.2,
        class_weights: ClassWeights | None = None,
    ) -> None:
        super().__init__()
        check_levels(f"heads.{self.task}.level", [level], channels)
        self.levels, self.num_classes = (level,), num_classes
        self.pool: Literal["average", "max"] = pool
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels[level], num_classes)
        self.wanted_weights = class_weights
        given = given_weights(f"heads.{self.task}.class_weights", class_weights, num_classes)
        self.register_buffer("class_weights", given, persistent=False)

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> logits [B, C]."""
        feature = features[self.levels[0]]
        logits: Tensor = self.linear(self.dropout(pooled(feature, features.get(EXTENT), self.pool)))
        return logits

    def learn_from(self, shown: Mapping[str, int]) -> None:
        """Sets the weights of the classes in the loss where they are `balanced` or given by name."""
        names = list(shown) if self.space is None else self.space.names
        wanted = self.wanted_weights
        if wanted == BALANCED:
            self.class_weights.copy_(self.balanced(torch.tensor([shown[name] for name in names])))
        elif isinstance(wanted, Mapping):
            self.class_weights.copy_(torch.tensor([float(wanted.get(name, 1.0)) for name in names]))

    def balanced(self, counts: Tensor) -> Tensor:
        """[C] images that show each class -> the weights of the classes, such that the loss starts where it would."""
        return balanced_weights(counts)

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
