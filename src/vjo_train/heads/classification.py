"""Multi-label classification: which classes are in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from vjo_train.drawing.palette import class_colour
from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.imbalance import Loss, balanced_weights, binary_losses
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pooled import PooledHead, scores_by_name
from vjo_train.heads.pseudo_labels import labelled_with, right_classes, sure_classes
from vjo_train.heads.task_files import TaskFiles
from vjo_train.metrics import VOCClassificationAP
from vjo_train.runs.records import Scores
from vjo_train.types import Batch, Frames, Target


class Classification(PooledHead):
    """Global pooling, dropout and one linear layer; binary cross-entropy, the mean over the classes.

    Scale: log 2 at the start for any number of classes. A sum over them would grow with their number and take most
    of the shared gradient. Classes that an image shows only as difficult objects are left out.

    Args:
        num_classes: C.
        loss: `bce`, or for rare classes `focal` or `asymmetric` (`imbalance.binary_losses`), on the same scale.
        options: the others of `PooledHead`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"classes"})
    monitor: ClassVar[str] = "map"
    task: ClassVar[str] = "classification"

    def __init__(self, *, num_classes: int, loss: Loss = "bce", **options: Any) -> None:
        super().__init__(num_classes=num_classes, **options)
        self.loss_kind: Loss = loss

    def balanced(self, counts: Tensor) -> Tensor:
        """Their mean over the classes is 1: every class has its term in the loss of every image."""
        weights = balanced_weights(counts)
        return weights / weights.mean()

    sure: ClassVar[float | None] = 0.9

    def loss(self, outputs: Tensor, targets: list[Target]) -> Tensor:
        unknown = outputs.new_zeros(self.num_classes, dtype=torch.int8)
        labels = torch.stack([target.labels.get("classes", unknown) for target in targets])
        return classification_loss(outputs.float(), labels, self.loss_kind, self.class_weights)

    def taught(self, outputs: Tensor, batch: Batch, sure: float) -> list[Target]:
        said = [sure_classes(one, sure) for one in outputs.float().sigmoid()]
        return labelled_with("classes", said, batch)

    def agreement(self, taught: Target, truth: Target) -> tuple[int, int]:
        return right_classes(taught["classes"], truth["classes"])

    def in_own_classes(self, target: Target, space: LabelSpace) -> Target:
        if "classes" not in target:
            return target
        return target.having({"classes": space.flags(target["classes"])})

    def draw(self, sheet: Sheet, prediction: Tensor, classes: Sequence[str]) -> None:
        """The classes with a score of at least 0.5, best first; the best one alone where there is none."""
        values, order = prediction.detach().float().cpu().nan_to_num(-1.0).sort(descending=True)
        count = max(1, int((values >= 0.5).sum()))
        pairs = zip(values[:count].tolist(), order[:count].tolist(), strict=True)
        sheet.chips([(f"{classes[label]} {value:.2f}", class_colour(label)) for value, label in pairs])

    def write(self, files: TaskFiles, prediction: Tensor, classes: Sequence[str]) -> None:
        """A row with the score of each class that the head has."""
        files.row({"file_name": files.file_name, "scores": scores_by_name(prediction, classes)})

    def decoded(self, outputs: Tensor, frames: Frames) -> dict[str, Tensor]:
        """`probabilities` [B, C] float32."""
        return {"probabilities": outputs.float().sigmoid()}

    def metrics(self) -> ClassificationMetrics:
        return ClassificationMetrics(self.num_classes)


def classification_loss(logits: Tensor, labels: Tensor, loss: Loss = "bce", weights: Tensor | None = None) -> Tensor:
    """The mean of `binary_losses` over the classes that count.

    Args:
        logits: [B, C] float32.
        labels: [B, C]: 1 present, -1 absent, 0 ignored.
        loss: of each class.
        weights: [C] of the classes' terms; None: all 1.

    Returns:
        [B] float32; 0 where all labels are 0.
    """
    with torch.autocast(logits.device.type, enabled=False):
        losses = binary_losses(logits, labels > 0, loss)
        if weights is not None:
            losses = losses * weights
        counted = labels != 0
        return torch.where(counted, losses, 0.0).sum(1) / counted.sum(1).clamp(min=1)


class ClassificationMetrics(TaskMetrics):
    """Average precision by the VOC 2007 protocol: `map_voc07` (11 points) and `map` (area).

    Images without annotated classes are left out.
    """

    per_class: ClassVar[dict[str, str]] = {"ap_voc07": "map_voc07", "ap": "map"}

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.voc07 = VOCClassificationAP(num_classes, interpolation="11point")
        self.area = VOCClassificationAP(num_classes, interpolation="area")

    def update(self, predictions: list[Tensor], targets: list[Target]) -> None:
        pairs = [pair for pair in zip(predictions, targets, strict=True) if "classes" in pair[1]]
        none = torch.zeros(0, self.voc07.num_classes)
        scores = torch.stack([prediction for prediction, _ in pairs]) if pairs else none
        labels = torch.stack([target["classes"] for _, target in pairs]) if pairs else none.to(torch.int8)
        self.voc07.update(scores, labels)
        self.area.update(scores, labels)

    def compute(self) -> dict[str, Tensor]:
        voc07, area = self.voc07.compute(), self.area.compute()
        return {"map_voc07": voc07["map"], "map": area["map"], "ap_voc07": voc07["ap"], "ap": area["ap"]}

    def reset(self) -> None:
        self.voc07.reset()
        self.area.reset()

    def records(self) -> Scores:
        return self.area.records()
