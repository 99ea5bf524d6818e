"""Yes or no of every pixel: edges, and salient objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor

from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.pixels.map_head import MapHead
from vjo_train.heads.pseudo_labels import sure_map
from vjo_train.heads.task_files import TaskFiles
from vjo_train.runs.records import Thresholds
from vjo_train.types import IGNORE, Target


class BinaryHead(MapHead):
    """A probability for every pixel; binary cross-entropy over the counted pixels of an image.

    Yes and no weigh `positive` and 1 - `positive`, relative to the sum over all pixels; None: as often as they are, so
    that each of the two makes up a half (Xie, Tu 2015).
    Scale: log 2 at the start.

    Args:
        positive: weight of a pixel that is a yes, from 0 to 1.
        options: those of `MapHead`.
    """

    monitor: ClassVar[str] = "f_max"
    sure: ClassVar[float | None] = 0.9

    def __init__(self, *, positive: Annotated[float, Interval(gt=0, lt=1)] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.positive = positive

    def image_losses(self, maps: Tensor, truth: Tensor) -> Tensor:
        return balanced_cross_entropy(maps[:, 0], truth, self.positive)

    def finished(self, maps: Tensor) -> Tensor:
        """Probabilities [B, H, W]."""
        return maps[:, 0].sigmoid()

    def sure_label(self, maps: Tensor, size: tuple[int, int], sure: float) -> Tensor | None:
        yes = maps[0].sigmoid()
        return sure_map(torch.stack([1 - yes, yes]), sure, size, background=True)

    def draw(self, sheet: Sheet, prediction: Tensor, classes: Sequence[str]) -> None:
        sheet.values(torch.where(prediction >= 0.5, prediction, torch.nan), 0.0, 1.0)

    def write(self, files: TaskFiles, prediction: Tensor, classes: Sequence[str]) -> None:
        """An 8-bit grey PNG: the probability from 0 to 255."""
        files.png((prediction * 255).round().numpy().astype(np.uint8))

    def metrics(self) -> TaskMetrics:
        return BinaryMetrics(self.label)


class Edges(BinaryHead):
    """Where one thing ends and another begins.

    Args:
        tolerance: how far an edge may lie off in the figures `ods_f` and `ois_f`, by the diagonal of the picture.
        options: those of `BinaryHead`.
    """

    label: ClassVar[str] = "edges"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    reported: ClassVar[Mapping[str, bool]] = {"ods_f": True}

    def __init__(self, *, tolerance: Annotated[float, Interval(ge=0, le=0.1)] = 0.0075, **options: Any) -> None:
        super().__init__(**options)
        self.tolerance = tolerance

    def metrics(self) -> TaskMetrics:
        return EdgeMetrics(self.label, self.tolerance)


class Saliency(BinaryHead):
    """What catches the eye."""

    label: ClassVar[str] = "saliency"
    needs: ClassVar[frozenset[str]] = frozenset({label})


def balanced_cross_entropy(logits: Tensor, truth: Tensor, positive: float | None) -> Tensor:
    """The weighted mean of the binary cross-entropy over the counted pixels of each image.

    Args:
        logits: [B, H, W] float32.
        truth: [B, H, W]: 1 yes, 0 no, 255 where a pixel does not count.
        positive: weight of yes, and 1 - it of no; None: the share of the other one in the image.

    Returns:
        [B]; 0 where no pixel counts.
    """
    counted, yes = truth != IGNORE, truth == 1
    share = yes.sum((1, 2), keepdim=True) / counted.sum((1, 2), keepdim=True).clamp(min=1)
    # An image that is all yes or all no has nothing to balance.
    share = torch.where((share == 0) | (share == 1), 0.5, share)
    weight_yes = 1 - share if positive is None else torch.full_like(share, positive)
    weights = torch.where(yes, weight_yes, 1 - weight_yes) * counted
    losses = F.binary_cross_entropy_with_logits(logits, yes.float(), reduction="none")
    return (weights * losses).sum((1, 2)) / weights.sum((1, 2)).clamp(min=1e-6)


class BinaryMetrics(TaskMetrics):
    """See `BinaryPixels`. Images that are not labelled are left out.

    Args:
        label: the kind of label.
    """

    def __init__(self, label: str) -> None:
        from vjo_train.metrics.binary import BinaryPixels

        super().__init__()
        self.label, self.pixels = label, BinaryPixels()

    def update(self, predictions: list[Tensor], targets: list[Target]) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            if self.label in target:
                self.pixels.update(prediction, target[self.label])

    def compute(self) -> dict[str, Tensor]:
        return self.pixels.compute()

    def reset(self) -> None:
        self.pixels.reset()

    def records(self) -> Thresholds:
        return self.pixels.records()


class EdgeMetrics(BinaryMetrics):
    """See `BinaryPixels` and `NearEdges`.

    Args:
        label: the kind of label.
        tolerance: by the diagonal of the picture.
    """

    def __init__(self, label: str, tolerance: float) -> None:
        from vjo_train.metrics.edges import NearEdges

        super().__init__(label)
        self.near = NearEdges(tolerance)

    def update(self, predictions: list[Tensor], targets: list[Target]) -> None:
        super().update(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            if self.label in target:
                self.near.update(prediction, target[self.label])

    def compute(self) -> dict[str, Tensor]:
        return super().compute() | self.near.compute()

    def reset(self) -> None:
        super().reset()
        self.near.reset()

    def records(self) -> Thresholds:
        return replace(super().records(), near=self.near.by_image())
