"""Regression: numbers of the whole image, such as an age, a weight or an angle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor

from vjo_train.data.labels.numbers import chips
from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pooled import PooledHead, scores_by_name
from vjo_train.heads.task_files import TaskFiles
from vjo_train.runs.records import Numbers as Records
from vjo_train.types import Batch, Frames, Movable, Target

SMOOTH_L1_AT_START = 0.42466
"""The mean of smooth L1 over errors of a standard normal distribution."""


@dataclass
class Numbers(Movable):
    """What is said of one image."""

    values: Tensor
    """[V] float32 in the units of the data; once published [C], NaN for names that the head does not have."""


class Regression(PooledHead):
    """Global pooling, dropout and one linear layer; what it says is in standard deviations from the mean.

    Mean and deviation are those of the training images' labels, number by number, and lie in the checkpoint. Scale: a
    loss of about 1 for who always says the mean, whatever the units; of several numbers it is the mean over those that
    are known.

    Args:
        channels: of every level of the pyramid.
        num_classes: V, how many numbers.
        loss: `smooth_l1` (squared below one deviation, linear beyond; divided by its value at the start) or `mse`.
        level: the feature that is pooled.
        pool: over the picture: the mean, or the greatest value.
        dropout: share of the pooled features that is dropped in training.

    Raises:
        ConfigError: the pyramid has no such level.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"numbers"})
    monitor: ClassVar[str] = "r2"
    reported: ClassVar[Mapping[str, bool]] = {"mae": False, "rmse": False, "r2": True}
    task: ClassVar[str] = "regression"
    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        num_classes: int,
        loss: Literal["smooth_l1", "mse"] = "smooth_l1",
        level: str = "c5",
        pool: Literal["average", "max"] = "average",
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.2,
    ) -> None:
        super().__init__(channels=channels, num_classes=num_classes, level=level, pool=pool, dropout=dropout)
        self.kind_of_loss = loss
        self.register_buffer("mean", torch.zeros(num_classes))
        self.register_buffer("deviation", torch.ones(num_classes))

    def learn_scale(self, figures: Mapping[str, tuple[float, float]]) -> None:
        """Takes the mean and deviation of the numbers; a number that never varies, or is never known, keeps 1."""
        names = list(figures) if self.space is None else self.space.names
        scales = torch.tensor([figures[name] for name in names])
        self.mean.copy_(scales[:, 0].nan_to_num(0.0))
        self.deviation.copy_(torch.where(scales[:, 1] > 0, scales[:, 1], 1.0))

    def loss(self, outputs: Tensor, targets: list[Target]) -> Tensor:
        unknown = outputs.new_full((self.num_classes,), torch.nan, dtype=torch.float32)
        truth = torch.stack([target.labels.get("numbers", unknown) for target in targets])
        with torch.autocast(outputs.device.type, enabled=False):
            known = truth.isfinite()
            wanted = ((truth - self.mean) / self.deviation).where(known, 0.0)
            if self.kind_of_loss == "mse":
                losses = F.mse_loss(outputs.float(), wanted, reduction="none")
            else:
                losses = F.smooth_l1_loss(outputs.float(), wanted, reduction="none") / SMOOTH_L1_AT_START
            return (losses * known).sum(1) / known.sum(1).clamp(min=1)

    def labelled(self, target: Target) -> bool:
        """Whether one of the head's numbers is known of the image."""
        return super().labelled(target) and bool(target["numbers"].isfinite().any())

    def in_own_classes(self, target: Target, space: LabelSpace) -> Target:
        return target.having({"numbers": space.flags(target["numbers"])}) if "numbers" in target else target

    def in_known_classes(self, prediction: Numbers, space: LabelSpace) -> Numbers:  # type: ignore[override]
        return Numbers(space.known_scores(prediction.values))

    def decoded(self, outputs: Tensor, frames: Frames) -> dict[str, Tensor]:
        """`numbers` [B, V] float32 in the units of the data."""
        return {"numbers": outputs.float() * self.deviation + self.mean}

    def predictions(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Numbers]:  # type: ignore[override]
        return [Numbers(values) for values in decoded["numbers"].unbind()]

    def explained(self, outputs: Tensor, batch: Batch) -> Tensor:
        """How far the numbers are from their means, in deviations: their mean."""
        return outputs.float().abs().mean(1)

    def draw(self, sheet: Sheet, prediction: Numbers, classes: Sequence[str]) -> None:
        sheet.chips(chips(prediction.values, classes))

    def write(self, files: TaskFiles, prediction: Numbers, classes: Sequence[str]) -> None:
        """A row with every number that the head has."""
        files.row({"file_name": files.file_name, "numbers": scores_by_name(prediction.values, classes)})

    def metrics(self) -> RegressionMetrics:
        return RegressionMetrics(self.num_classes)


class RegressionMetrics(TaskMetrics):
    """See `NumberErrors`. Images of which no number is known are left out."""

    per_class: ClassVar[dict[str, str]] = {f"{name}_number": name for name in ("mae", "rmse", "r2")}

    def __init__(self, count: int) -> None:
        from vjo_train.metrics.numbers import NumberErrors

        super().__init__()
        self.errors = NumberErrors(count)

    def update(self, predictions: list[Numbers], targets: list[Target]) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            if "numbers" in target and bool(target["numbers"].isfinite().any()):
                self.errors.update(prediction.values, target["numbers"])

    def compute(self) -> dict[str, Tensor]:
        return self.errors.compute()

    def reset(self) -> None:
        self.errors.reset()

    def records(self) -> Records:
        return self.errors.records()
