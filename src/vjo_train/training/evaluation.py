"""Validation and test: predictions and losses of every head, collected into its metrics."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head, TaskMetrics
from vjo_train.heads.network import Branches
from vjo_train.runs.directions import higher_is_better
from vjo_train.runs.records import TaskRecords
from vjo_train.sharing.base import Sharing
from vjo_train.training.step_log import StepLog
from vjo_train.types import Batch, Target
from vjo_train.weighting.jacobian import distributed


class Evaluation(StepLog, Branches):
    """What a module with heads does on a validation or test split; `forward` gives the raw outputs of every head.

    Args:
        heads: task -> head.
        sharing: images -> features of each task, of a module that computes them itself; the first of the parts, so that
            older checkpoints fit.

    Attributes:
        per_class: task -> metric -> [C], of the last validation or test.
        records: task -> what the test kept of each image, on every rank.
    """

    def __init__(self, heads: Mapping[str, Head], sharing: Sharing | None = None) -> None:
        super().__init__()
        if sharing is not None:
            self.sharing = sharing
        self.heads = nn.ModuleDict(dict(heads))
        self.merged = {}
        self.per_class: dict[str, dict[str, Tensor]] = {}
        self.records: dict[str, TaskRecords] = {}
        self._metrics: dict[str, TaskMetrics] = {}
        self._tested: dict[str, list[str]] = {}
        self._sums: Tensor = torch.empty(0)
        """[tasks, 2]: of the validation so far, the sum of the losses and the number of labelled images."""

    def higher_is_better(self, name: str) -> bool:
        """Whether a figure such as `val/depth/abs_rel` is better the higher it is."""
        own = {f"{task}/{m}": up for task in self.measured for m, up in self.measures(task).reported.items()}
        return higher_is_better(name, own)

    def check_monitor(self, name: str) -> None:
        """Looks whether a validation gives a figure of this name.

        Raises:
            ConfigError: it does not; the message names the nearest one.
        """
        known = ["val/monitor", *(f"val/{task}/loss" for task in self.tasks)]
        for task in (*self.measured, *self.helpers):
            metrics = self.measures(task).metrics()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torchmetrics': nothing has been collected
                scalars = {key for key, value in metrics.compute().items() if not torch.as_tensor(value).ndim}
            known += [f"val/{task}/{metric}" for metric in sorted(scalars | metrics.later)]
        if name not in known:
            hint = nearest(name, known) or f"; val gives {', '.join(known)}."
            raise ConfigError(f"trainer.monitor: found '{name}', which val does not give{hint}")

    def predict(self, batch: Batch) -> dict[str, list[Any]]:
        """Task -> one prediction per image, in the image files' pixels and the data set's classes."""
        return self._published(self.found(batch))

    def found(self, batch: Batch) -> Mapping[str, list[Any]]:
        """Task -> one prediction per image, in the image files' pixels and the head's own classes."""
        return self._decoded(batch, self(batch.images))

    def _decoded(self, batch: Batch, outputs: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Task -> one prediction per image, in the head's own classes."""
        return {task: self.head(task).decode(output, batch) for task, output in outputs.items()}

    def _published(self, predictions: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        found = {task: [self.head(task).published(one) for one in own] for task, own in predictions.items()}
        images = len(next(iter(found.values()), []))
        each = [{task: own[k] for task, own in found.items()} for k in range(images)]
        return found | {name: [own.merge(one) for one in each] for name, own in self.merged.items()}

    def on_validation_epoch_start(self) -> None:
        """Starts fresh metrics; running statistics become those of rank 0 everywhere, which its checkpoint holds."""
        if distributed():
            for part in (self.sharing, self.heads):
                for statistic in part.buffers():
                    torch.distributed.broadcast(statistic, src=0)
        self._metrics = {name: self.measures(name).metrics() for name in (*self.measured, *self.helpers)}
        self._sums = torch.zeros(len(self.tasks), 2, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, list[Any]]:
        """Collects predictions and losses of a batch of the validation split; returns the predictions by task."""
        if not len(batch):  # of a rank without images
            return {name: [] for name in self.measured}
        outputs = self(batch.images)
        predictions = self._decoded(batch, outputs)
        for task, output in outputs.items():
            head = self.head(task)
            self._metrics[task].update(predictions[task], head.view(batch.originals))
            self._add_loss(task, output, head.view(batch.targets))
        self._measure_helpers(batch)
        return self._with_merged(predictions, batch)

    def _add_loss(self, task: str, output: Any, targets: list[Target]) -> None:
        row = self._sums[self.tasks.index(task)]
        row[0] += self.head(task).loss(output, targets).sum()
        row[1] += sum(map(self.head(task).labelled, targets))

    def _measure_helpers(self, batch: Batch) -> None:
        """The self-supervised heads on the same pictures, altered as their names alone decide."""
        for task, helper in self.helpers.items():
            views = helper.views(batch, [zlib.crc32(name.encode()) for name in batch.ids])
            output = self(views.images, (task,))[task]
            self._metrics[task].update(helper.decode(output, views), views.targets)
            self._add_loss(task, output, views.targets)

    def _with_merged(self, predictions: Mapping[str, list[Any]], batch: Batch) -> dict[str, list[Any]]:
        """What is published of a batch; merged tasks are measured by it, since they are made of nothing else."""
        published = self._published(predictions)
        for name in self.merged:
            self._metrics[name].update(published[name], batch.originals)
        return published

    def on_validation_epoch_end(self) -> None:
        """Logs `val/<task>/loss|<metric>`, and `val/monitor`: the mean of the heads' monitored metrics."""
        if distributed():
            torch.distributed.all_reduce(self._sums)
        for task, (total, count) in zip(self.tasks, self._sums, strict=True):
            if count > 0:
                self.log(f"val/{task}/loss", total / count)
        for task in self.goals:
            self.head(task).choose(self._metrics[task])
        scalars = self._log_metrics("val")
        monitors = [scalars[f"val/{task}/{self.head(task).monitor}"] for task in self.goals]
        self.log("val/monitor", torch.stack(monitors).nanmean())

    def on_test_epoch_start(self) -> None:
        """Starts fresh metrics and records."""
        self.on_validation_epoch_start()
        self._tested = {task: [] for task in self.goals}
        self.records = {}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects the predictions for a batch of the split that is tested."""
        if not len(batch):  # of a rank without images
            return
        decoded = self.found(batch)
        for task, predictions in decoded.items():
            known = self.head(task).view(batch.originals)
            self._metrics[task].update(predictions, known)
            labelled = map(self.head(task).labelled, known)
            self._tested[task] += [name for name, known in zip(batch.ids, labelled, strict=True) if known]
        self._measure_helpers(batch)
        if self.merged:
            self._with_merged(decoded, batch)

    def on_test_epoch_end(self) -> None:
        """Logs `test/<task>/<metric>`, and keeps the records of the test, of the images of all ranks."""
        kept = {task: self._metrics[task].records() for task in self.goals}
        tested = self._tested_by_all()
        self.records = {
            task: TaskRecords(tuple(tested[task]), records) for task, records in kept.items() if records is not None
        }
        self._log_metrics("test")

    def _tested_by_all(self) -> dict[str, list[str]]:
        """Task -> the labelled images that all ranks tested, by turns, as the records are."""
        if not distributed():
            return self._tested
        parts: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, self._tested)
        return {
            task: [name for turn in zip_longest(*(part[task] for part in parts)) for name in turn if name is not None]
            for task in self._tested
        }

    def _log_metrics(self, stage: str) -> dict[str, Tensor]:
        scalars: dict[str, Tensor] = {}
        self.per_class = {}
        for task, metrics in self._metrics.items():
            for name, value in metrics.compute().items():
                if name in metrics.per_class or torch.as_tensor(value).ndim:
                    self.per_class.setdefault(task, {})[name] = value.detach().cpu()
                else:
                    scalars[f"{stage}/{task}/{name}"] = torch.as_tensor(value, dtype=torch.float32, device=self.device)
        self._metrics = {}
        self.log_dict(scalars)
        return scalars
