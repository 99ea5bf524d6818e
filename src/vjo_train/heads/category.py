"""Single-label classification: which one class an image is of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval
from torch import Tensor
from torch.distributions import Beta

from vjo_train.drawing.palette import class_colour
from vjo_train.drawing.sheet import Sheet
from vjo_train.errors import ConfigError
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pooled import PooledHead, scores_by_name
from vjo_train.heads.pseudo_labels import labelled_with, right_category, sure_category
from vjo_train.heads.task_files import TaskFiles
from vjo_train.runs.records import Choices
from vjo_train.types import OTHER, Batch, Frames, Target


class Category(PooledHead):
    """Global pooling, dropout and one linear layer; cross-entropy divided by log C.

    Scale: 1 at the start for any number of classes.

    Args:
        num_classes: C, two or more.
        smoothing: share of the truth that is spread over all classes (Szegedy et al. 2016).
        mixup: alpha of the Beta distribution of the shares in which pictures are mixed in training; 0: they are not.
            Mixed are the pooled features (Manifold Mixup at the last layer: Verma et al. 2019), of labelled pictures
            alone, so that other tasks see pictures as they are.
        options: the others of `PooledHead`.

    Raises:
        ConfigError: the pyramid has no such level, there is one class, or weights of another number.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"category"})
    monitor: ClassVar[str] = "top1"
    task: ClassVar[str] = "category"
    sure: ClassVar[float | None] = 0.9

    def __init__(
        self,
        *,
        num_classes: int,
        smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        mixup: Annotated[float, Ge(0)] = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **options)
        if num_classes < 2:
            raise ConfigError("heads.category.classes: found one class; to tell classes apart takes two or more.")
        self.smoothing, self.mixup = smoothing, mixup

    def loss(self, outputs: Tensor, targets: list[Target]) -> Tensor:
        none = torch.tensor(OTHER, device=outputs.device)
        labels = torch.stack([target.labels.get("category", none) for target in targets])
        with torch.autocast(outputs.device.type, enabled=False):
            logits = outputs.float()
            if not self.training or self.mixup == 0:
                return self._losses(logits, labels)
            partner, share = partners(labels != OTHER), float(Beta(self.mixup, self.mixup).sample())
            mixed = share * logits + (1 - share) * logits[partner]  # linear in the pooled features, as they are
            return share * self._losses(mixed, labels) + (1 - share) * self._losses(mixed, labels[partner])

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(
            logits,
            labels,
            weight=self.class_weights,
            ignore_index=OTHER,
            reduction="none",
            label_smoothing=self.smoothing,
        )
        return losses / math.log(self.num_classes)

    def taught(self, outputs: Tensor, batch: Batch, sure: float) -> list[Target]:
        said = [sure_category(one, sure) for one in outputs.float().softmax(1)]
        return labelled_with("category", said, batch)

    def agreement(self, taught: Target, truth: Target) -> tuple[int, int]:
        return right_category(taught["category"], truth["category"])

    def labelled(self, target: Target) -> bool:
        """Whether the image is of one of the head's classes."""
        return super().labelled(target) and int(target["category"]) != OTHER

    def in_own_classes(self, target: Target, space: LabelSpace) -> Target:
        if "category" not in target:
            return target
        label = target["category"]
        own = torch.where(label == OTHER, OTHER, space.places(label.clamp(min=0)))
        return target.having({"category": own})

    def draw(self, sheet: Sheet, prediction: Tensor, classes: Sequence[str]) -> None:
        label = int(prediction.nan_to_num(-1.0).argmax())
        sheet.chips([(f"{classes[label]} {float(prediction[label]):.2f}", class_colour(label))])

    def write(self, files: TaskFiles, prediction: Tensor, classes: Sequence[str]) -> None:
        """A row with the likeliest class and the probability of each class that the head has."""
        scores = scores_by_name(prediction, classes)
        files.row({"file_name": files.file_name, "category": max(scores, key=scores.__getitem__), "scores": scores})

    def decoded(self, outputs: Tensor, frames: Frames) -> dict[str, Tensor]:
        """`probabilities` [B, C] float32, which sum to 1."""
        return {"probabilities": outputs.float().softmax(1)}

    def metrics(self) -> CategoryMetrics:
        return CategoryMetrics(self.num_classes)


def partners(labelled: Tensor) -> Tensor:
    """[B] the row that each one is mixed with: labelled ones with one another at random, others with themselves."""
    rows = labelled.nonzero().flatten()
    partner = torch.arange(len(labelled), device=labelled.device)
    partner[rows] = rows[torch.randperm(len(rows), device=rows.device)]
    return partner


class CategoryMetrics(TaskMetrics):
    """See `CategoryAccuracy`. Images that are not labelled, or of none of the classes, are left out."""

    per_class: ClassVar[dict[str, str]] = {"recall": "balanced_accuracy"}

    def __init__(self, num_classes: int) -> None:
        from vjo_train.metrics.choices import CategoryAccuracy

        super().__init__()
        self.accuracy = CategoryAccuracy(num_classes)

    def update(self, predictions: list[Tensor], targets: list[Target]) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            if "category" in target and int(target["category"]) != OTHER:
                self.accuracy.update(prediction, int(target["category"]))

    def compute(self) -> dict[str, Tensor]:
        return self.accuracy.compute()

    def reset(self) -> None:
        self.accuracy.reset()

    def records(self) -> Choices:
        return self.accuracy.records()
