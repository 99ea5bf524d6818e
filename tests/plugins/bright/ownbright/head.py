"""A dense regression of the brightness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor, nn
from torchmetrics import MeanMetric

from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import Head, TaskMetrics
from vjo_train.heads.task_files import TaskFiles
from vjo_train.types import Batch, Features, Frames, Target


class BrightnessHead(Head):
    """A 1x1 convolution on one level; the loss is the mean absolute error, times `strength`."""

    needs: ClassVar[frozenset[str]] = frozenset({"brightness"})
    monitor: ClassVar[str] = "closeness"

    def __init__(
        self, *, channels: Mapping[str, int], level: str = "p3", strength: Annotated[float, Gt(0)] = 1.0
    ) -> None:
        super().__init__()
        self.levels, self.strength = (level,), strength
        self.layer = nn.Conv2d(channels[level], 1, 1)

    def forward(self, features: Features) -> Tensor:
        found: Tensor = self.layer(features[self.levels[0]])
        return found

    def loss(self, outputs: Tensor, targets: list[Target]) -> Tensor:
        losses = []
        for found, target in zip(outputs.float(), targets, strict=True):
            if "brightness" not in target:
                losses.append(found.sum() * 0)
                continue
            truth = target["brightness"]
            own = F.interpolate(found[None], truth.shape, mode="bilinear")[0, 0]
            known = truth.isfinite()
            losses.append(self.strength * (own - truth)[known].abs().mean())
        return torch.stack(losses)

    def decoded(self, outputs: Tensor, frames: Frames) -> dict[str, Tensor]:
        return {"map": F.interpolate(outputs.float(), list(frames.canvas), mode="bilinear")[:, 0]}

    def predictions(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        found = []
        for values, target, original in zip(decoded["map"], batch.targets, batch.originals, strict=True):
            own = values[None, None, : target.size[0], : target.size[1]]
            found.append(F.interpolate(own, original.size, mode="bilinear")[0, 0])
        return found

    def draw(self, sheet: Sheet, prediction: Tensor, classes: Sequence[str]) -> None:
        sheet.values(prediction, 0.0, 1.0)

    def write(self, files: TaskFiles, prediction: Tensor, classes: Sequence[str]) -> None:
        files.png((prediction.clamp(0, 1) * 255).round().numpy().astype(np.uint8))

    def metrics(self) -> BrightnessMetrics:
        return BrightnessMetrics()


class BrightnessMetrics(TaskMetrics):
    """`closeness`: 1 minus the mean absolute error over all pixels that are known."""

    def __init__(self) -> None:
        super().__init__()
        self.error = MeanMetric()

    def update(self, predictions: list[Any], targets: list[Target]) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            if "brightness" in target:
                self.error.update((prediction - target["brightness"]).abs())

    def compute(self) -> dict[str, Tensor]:
        return {"closeness": 1 - self.error.compute()}

    def reset(self) -> None:
        self.error.reset()
