"""Multi-label classification: which classes are in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor

from vjo_train.drawing.palette import class_colour
from vjo_train.drawing.sheet import Sheet
from vjo_train.errors import ConfigError
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.imbalance import Loss, balanced_weights, binary_losses
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pooled import PooledHead, scores_by_name
from vjo_train.heads.pseudo_labels import labelled_with, right_classes, sure_classes
from vjo_train.heads.task_files import TaskFiles
from vjo_train.metrics.calibration import calibration_error
from vjo_train.metrics.thresholds import HALF, f1_scores, f1_thresholds
from vjo_train.runs.average_precision import mean_over_defined
from vjo_train.runs.records import Scores
from vjo_train.types import Batch, Frames, Target

Thresholds: TypeAlias = (
    Literal["f1"] | Annotated[float, Interval(ge=0, le=1)] | list[Annotated[float, Interval(ge=0, le=1)]]
)
"""Chosen on val, one for all classes, or in the classes' order."""


class Classification(PooledHead):
    """Global pooling, dropout and one linear layer; binary cross-entropy, the mean over the classes.

    Scale: log 2 at the start for any number of classes. A sum over them would grow with their number and take most
    of the shared gradient. Classes that an image shows only as difficult objects are left out.

    Args:
        num_classes: C.
        thresholds: the score from which on a class is said to be there. `f1`: that of each class which gives the
            greatest F1 on val, chosen after each validation, and held by checkpoints; or one for all, or a list in the
            order of the classes. None, or without val: 0.5.
        loss: `bce`, or for rare classes `focal` or `asymmetric` (`imbalance.binary_losses`), on the same scale.
        options: the others of `PooledHead`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"classes"})
    monitor: ClassVar[str] = "map"
    task: ClassVar[str] = "classification"

    def __init__(
        self, *, num_classes: int, loss: Loss = "bce", thresholds: Thresholds | None = "f1", **options: Any
    ) -> None:
        super().__init__(num_classes=num_classes, **options)
        self.loss_kind: Loss = loss
        self._chosen_on_val = thresholds == "f1"
        self.thresholds = given_thresholds(thresholds, num_classes)

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

    def choose(self, measured: TaskMetrics) -> None:
        if self._chosen_on_val and isinstance(measured, ClassificationMetrics):
            found = measured.records()
            self.keep_chosen(f1_thresholds(found.scores, found.labels).tolist())
            measured.thresholds = self.thresholds

    def keep_chosen(self, thresholds: Sequence[float]) -> None:
        if self._chosen_on_val:
            self.thresholds = tuple(thresholds)

    def known_thresholds(self) -> Tensor | None:
        """The thresholds [C] in the order of the data set's classes, NaN for those that the head does not have."""
        if self.thresholds is None:
            return None
        own = torch.tensor(self.thresholds)
        return own if self.space is None or self.space.is_whole else self.space.known_scores(own)

    def present(self, prediction: Tensor) -> list[int]:
        """The places of the classes whose score reaches their threshold, the greatest score first."""
        values, order = prediction.detach().float().cpu().nan_to_num(-1.0).sort(descending=True)
        known = self.known_thresholds()
        enough = torch.full_like(values, HALF) if known is None else known.nan_to_num(2.0)[order]
        return order[values >= enough].tolist()

    def draw(self, sheet: Sheet, prediction: Tensor, classes: Sequence[str]) -> None:
        """The classes whose score reaches their threshold, best first; the best one alone where there is none."""
        shown = self.present(prediction) or [int(prediction.nan_to_num(-1.0).argmax())]
        sheet.chips([(f"{classes[label]} {float(prediction[label]):.2f}", class_colour(label)) for label in shown])

    def write(self, files: TaskFiles, prediction: Tensor, classes: Sequence[str]) -> None:
        """A row with the classes that are said to be there, and the score of each class that the head has."""
        said = [classes[label] for label in self.present(prediction)]
        files.row({"file_name": files.file_name, "classes": said, "scores": scores_by_name(prediction, classes)})

    def decoded(self, outputs: Tensor, frames: Frames) -> dict[str, Tensor]:
        """`probabilities` [B, C] float32, and `thresholds` of the same shape where they are not all 0.5."""
        found = {"probabilities": outputs.float().sigmoid()}
        if self.thresholds is not None:
            found["thresholds"] = torch.tensor(self.thresholds, device=outputs.device).expand_as(outputs).clone()
        return found

    def metrics(self) -> ClassificationMetrics:
        return ClassificationMetrics(self.num_classes, self.thresholds)


def given_thresholds(thresholds: Thresholds | None, classes: int) -> tuple[float, ...] | None:
    """Of each class; None where they are 0.5 or not chosen yet.

    Raises:
        ConfigError: a list of another length.
    """
    if thresholds is None or isinstance(thresholds, str):
        return None
    if isinstance(thresholds, int | float):
        return (float(thresholds),) * classes
    if len(thresholds) != classes:
        raise ConfigError(
            f"heads.classification.thresholds: found {len(thresholds)} thresholds; there are {classes} classes."
        )
    return tuple(map(float, thresholds))


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

    Also `f1`, the mean over classes at a threshold of 0.5, `f1_chosen`, the same at `thresholds` where there are any,
    and `ece`, the calibration error of the scores. Images without annotated classes are left out.
    """

    per_class: ClassVar[dict[str, str]] = {"ap_voc07": "map_voc07", "ap": "map"}
    later: ClassVar[frozenset[str]] = frozenset({"f1_chosen"})

    def __init__(self, num_classes: int, thresholds: Sequence[float] | None = None) -> None:
        from vjo_train.metrics.voc import VOCClassificationAP

        super().__init__()
        self.thresholds = thresholds
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
        figures = {"map_voc07": voc07["map"], "map": area["map"], "ap_voc07": voc07["ap"], "ap": area["ap"]}
        known = self.records()
        figures["f1"] = torch.tensor(mean_over_defined(f1_scores(known.scores, known.labels)))
        if self.thresholds is not None:
            chosen = f1_scores(known.scores, known.labels, np.array(self.thresholds))
            figures["f1_chosen"] = torch.tensor(mean_over_defined(chosen))
            figures["threshold"] = torch.tensor(self.thresholds)
        counted = known.labels != 0
        figures["ece"] = calibration_error(known.scores[counted], known.labels[counted] > 0)
        return figures

    def reset(self) -> None:
        self.voc07.reset()
        self.area.reset()

    def records(self) -> Scores:
        return self.area.records()
