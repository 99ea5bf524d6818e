"""The training step: images -> shared features -> heads -> task losses -> weighting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from vjo_train.errors import NumericsError
from vjo_train.heads.base import Head, TaskMetrics
from vjo_train.lr_schedules import LRSchedule
from vjo_train.optimizers import SGD, AdamW
from vjo_train.sharing.base import Sharing
from vjo_train.types import Batch, SharedFeatures
from vjo_train.weighting.base import TaskLosses, Weighting
from vjo_train.weighting.rows import distributed

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class MultiTaskModule(pl.LightningModule):
    """One network for several tasks, under Lightning's automatic optimization.

    `training_step` returns the plain sum of the task losses; `backward` hands over to the weighting. Clipping,
    accumulation, precision and checkpoints stay Lightning's own.

    Args:
        sharing: images -> features of each task.
        heads: task -> head.
        weighting: K task losses -> the gradients of one update.
        optimizer: builds the optimizer of all trainable parameters.
        lr_schedule: the factor on every learning rate at a step.
        seed: with the number of a batch and the rank, decides all randomness of a step.
        channels_last: the memory format of images and convolutions; faster for most convolutions.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        sharing: Sharing,
        heads: Mapping[str, Head],
        weighting: Weighting,
        optimizer: SGD | AdamW,
        lr_schedule: LRSchedule,
        seed: int = 1,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.sharing = sharing
        self.heads = nn.ModuleDict(dict(heads))
        self.weighting = weighting
        self.seed = seed
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.per_class: dict[str, dict[str, Tensor]] = {}
        self.batches = 0
        self._optimizer, self._lr_schedule = optimizer, lr_schedule
        self._metrics: dict[str, TaskMetrics] = {}
        self._step: TaskLosses | None = None
        self._total: Tensor | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of all heads."""
        return tuple(self.heads)

    def head(self, task: str) -> Head:
        """The head of `task`."""
        head = self.heads[task]
        assert isinstance(head, Head)
        return head

    def forward(self, images: Tensor, tasks: tuple[str, ...] | None = None) -> dict[str, Any]:
        """uint8 images [B, 3, S, S] -> the raw outputs of each of `tasks` (all by default)."""
        tasks = tasks or self.tasks
        shared = self._share(images, tasks)
        return {task: self.head(task)(shared.tasks[task]) for task in tasks}

    def predict(self, batch: Batch) -> dict[str, list[Any]]:
        """Task -> one prediction per image, in the image files' pixels."""
        outputs = self(batch.images)
        return {task: self.head(task).decode(output, batch) for task, output in outputs.items()}

    def _share(self, images: Tensor, tasks: tuple[str, ...]) -> SharedFeatures:
        normalised = (images - self.mean) / self.std
        shared = self.sharing(normalised.contiguous(memory_format=self.memory_format), tasks)
        assert isinstance(shared, SharedFeatures)
        return shared

    # Training

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds dropout and samplers by the batch's number, so that a resumed run draws what it would have drawn."""
        self.batches = batch.step + 1
        words = np.random.SeedSequence([self.seed, batch.step, self.global_rank]).generate_state(2)
        torch.manual_seed(int(words[0]) << 32 | int(words[1]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the task losses of the global batch."""
        shared, means = self._task_losses(batch)
        size = len(batch)
        for task, (_, value) in means.items():
            self.log(f"train/{task}/loss", value, on_step=True, on_epoch=True, batch_size=size)
        for name, value in shared.auxiliary.items():
            self.log(f"train/sharing/{name}", value.detach(), on_step=True, on_epoch=True, batch_size=size)
        self._step = step = self._hand_over(batch, shared, means)
        # A leaf: what precision and accumulation make of it tells the factor on every gradient.
        self._total = torch.stack(list(step.values.values())).sum().requires_grad_()
        return self._total * 1

    def _task_losses(self, batch: Batch) -> tuple[SharedFeatures, dict[str, tuple[Tensor, Tensor]]]:
        """Task -> this rank's share of its loss, with graph, and the loss of the global batch, without.

        Tasks that no image of the global batch is labelled for are left out.

        Raises:
            NumericsError: a loss is not finite.
        """
        shared = self._share(batch.images, batch.tasks)
        heads = {task: self.head(task) for task in batch.tasks}
        per_image = [head.loss(head(shared.tasks[task]), batch.targets) for task, head in heads.items()]
        labelled = torch.tensor(
            [[head.labelled(target) for target in batch.targets] for head in heads.values()],
            dtype=torch.float32,
            device=self.device,
        )
        # One graph per task: a backward of one must not pass zeros through the others' heads.
        sums = [(loss.float() * mask).sum() for loss, mask in zip(per_image, labelled, strict=True)]
        mine = labelled.sum(1)
        pair = torch.stack([torch.stack(sums).detach(), mine])
        if distributed():
            torch.distributed.all_reduce(pair)
        total, count = pair
        if not torch.isfinite(total).all():
            task = next(task for task, value in zip(heads, total, strict=True) if not torch.isfinite(value))
            raise NumericsError(
                f"The loss of {task} is not finite at batch {batch.step} (images {', '.join(batch.ids)})."
                " Lower optimizer.lr, raise lr_schedule.warmup, or set trainer.gradient_clip_val."
            )
        return shared, {
            task: (sums[k] / count[k] if mine[k] > 0 else torch.zeros((), device=self.device), total[k] / count[k])
            for k, task in enumerate(heads)
            if count[k] > 0
        }

    def _hand_over(
        self, batch: Batch, shared: SharedFeatures, means: Mapping[str, tuple[Tensor, Tensor]]
    ) -> TaskLosses:
        """What the weighting gets to see of a step."""
        own = {task: [p for p in self.head(task).parameters() if p.requires_grad] for task in means}
        trained = self.sharing.shared_parameters()
        known = {id(p) for p in (*trained, *self.weighting.parameters(), *(p for g in own.values() for p in g))}
        auxiliary = torch.stack(list(shared.auxiliary.values())).sum() if shared.auxiliary else None
        return TaskLosses(
            losses={task: loss for task, (loss, _) in means.items()},
            values={task: value for task, (_, value) in means.items()},
            factor=torch.ones((), device=self.device),
            shared=trained,
            own=own,
            representation=shared.representation,
            auxiliary=None if auxiliary is None else auxiliary / self.trainer.world_size,
            step=batch.step,
            epoch=self.current_epoch,
            others=[p for p in self.parameters() if p.requires_grad and id(p) not in known],
            scaled=self.trainer.precision == "16-mixed",
            resample=lambda share: self._resample(batch, share),
        )

    def _resample(self, batch: Batch, share: float) -> dict[str, Tensor]:
        """The losses of the first `share` of this rank's images, by a forward of their own."""
        count = max(1, round(share * len(batch)))
        part = replace(
            batch, images=batch.images[:count], targets=batch.targets[:count], ids=batch.ids[:count],
            scales=batch.scales[:count], originals=batch.originals[:count],
        )  # fmt: skip
        norms = [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 0.0  # the statistics of the whole batch are in already
        try:
            with self.trainer.precision_plugin.forward_context():
                _, means = self._task_losses(part)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
        return {task: loss for task, (loss, _) in means.items()}

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Hands the task losses to the weighting; `loss` only tells by what gradients are multiplied."""
        assert self._step is not None
        assert self._total is not None
        (self._step.factor,) = torch.autograd.grad(loss, self._total)
        for task, weight in self.weighting.backward(self._step).items():
            self.log(f"train/{task}/weight", weight, on_step=True, on_epoch=True, batch_size=1)
        for name, value in self.weighting.diagnostics.items():
            self.log(f"train/weighting/{name}", value, on_step=True, on_epoch=True, batch_size=1)
        self._step = self._total = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the number of batches that training has seen, where a resumed run's data go on."""
        checkpoint["batches"] = self.batches

    def configure_optimizers(self) -> Any:
        """The optimizer, and the learning-rate schedule by step."""
        optimizer = self._optimizer.build(self)
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._lr_schedule.factor(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        """Starts fresh metrics."""
        self._metrics = {task: self.head(task).metrics() for task in self.tasks}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects predictions and losses of a batch of the validation split."""
        outputs = self(batch.images)
        for task, output in outputs.items():
            head = self.head(task)
            self._metrics[task].update(head.decode(output, batch), batch.originals)
            count = sum(head.labelled(target) for target in batch.targets)
            if count:
                mean = head.loss(output, batch.targets).sum() / count
                self.log(f"val/{task}/loss", mean, on_epoch=True, batch_size=count, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Logs `val/<task>/<metric>`, and `val/monitor`: the mean of the heads' monitored metrics."""
        scalars = self._log_metrics("val")
        monitors = [scalars[f"val/{task}/{self.head(task).monitor}"] for task in self.tasks]
        self.log("val/monitor", torch.stack(monitors).nanmean())

    def on_test_epoch_start(self) -> None:
        """Starts fresh metrics."""
        self.on_validation_epoch_start()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects the predictions for a batch of the split that is tested."""
        for task, predictions in self.predict(batch).items():
            self._metrics[task].update(predictions, batch.originals)

    def on_test_epoch_end(self) -> None:
        """Logs `test/<task>/<metric>`."""
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> dict[str, Tensor]:
        scalars: dict[str, Tensor] = {}
        self.per_class = {}
        for task, metrics in self._metrics.items():
            for name, value in metrics.compute().items():
                if name in metrics.per_class:
                    self.per_class.setdefault(task, {})[name] = value.detach().cpu().reshape(-1)
                else:
                    scalars[f"{stage}/{task}/{name}"] = torch.as_tensor(value, dtype=torch.float32, device=self.device)
        self._metrics = {}
        self.log_dict(scalars)
        return scalars
