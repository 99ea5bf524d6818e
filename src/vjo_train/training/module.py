"""The training step: images -> shared features -> heads -> task losses -> weighting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import record_function

from vjo_train.errors import CheckpointError, NumericsError, not_finite
from vjo_train.heads.base import Head, TaskMetrics
from vjo_train.heads.parts import head_name, joint_parameters, loss_name, own_parameters
from vjo_train.optim.clipping import clip_gradients, gradient_norms
from vjo_train.optim.lr_schedules import LRSchedule
from vjo_train.optim.optimizers import Optimizer
from vjo_train.runs.records import TaskRecords
from vjo_train.sharing.base import Sharing
from vjo_train.training.losses import StepLosses, check_finite, step_losses
from vjo_train.training.step_log import StepLog
from vjo_train.types import Batch, SharedFeatures
from vjo_train.weighting.base import ImageLosses, TaskLosses, Weighting
from vjo_train.weighting.jacobian import distributed

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
SHARED = "shared"
"""The part of the network that is clipped as one: all that lies before the heads."""


class MultiTaskModule(StepLog):
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
        optimizer: Optimizer,
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
        self.records: dict[str, TaskRecords] = {}
        self.batches = 0
        self._optimizer, self._lr_schedule = optimizer, lr_schedule
        self._metrics: dict[str, TaskMetrics] = {}
        self._tested: dict[str, list[str]] = {}
        self._ids: list[str] = []
        self._step: TaskLosses | None = None
        self._total: Tensor | None = None
        self._norms: dict[str, Tensor] = {}
        self._sums: Tensor = torch.empty(0)
        """[tasks, 2]: of the validation so far, the sum of the losses and the number of labelled images."""

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
        shared = self.share(images, tasks)
        return {task: self.head(task)(shared.tasks[task]) for task in tasks}

    def predict(self, batch: Batch) -> dict[str, list[Any]]:
        """Task -> one prediction per image, in the image files' pixels and the data set's classes."""
        return self._published(self._decoded(batch, self(batch.images)))

    def _decoded(self, batch: Batch, outputs: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Task -> one prediction per image, in the head's own classes."""
        return {task: self.head(task).decode(output, batch) for task, output in outputs.items()}

    def _published(self, predictions: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        return {task: [self.head(task).published(one) for one in found] for task, found in predictions.items()}

    def share(self, images: Tensor, tasks: tuple[str, ...]) -> SharedFeatures:
        """Images [B, 3, S, S] in 0..255 -> what the heads of `tasks` are given."""
        with record_function("shared features"):
            normalised = (images - self.mean) / self.std
            shared = self.sharing(normalised.contiguous(memory_format=self.memory_format), tasks)
        assert isinstance(shared, SharedFeatures)
        return shared

    # Training

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds dropout and samplers by the batch's number, so that a resumed run draws what it would have drawn.

        Tells the sharing the share of training done, likewise from the number of steps alone.
        """
        self.batches, self._ids = batch.step + 1, batch.ids
        self.sharing.start_step(min(1.0, self.trainer.global_step / self.trainer.estimated_stepping_batches))
        self._draw_as(batch.step)

    def _draw_as(self, *key: int) -> None:
        """Lets the random numbers start where those of `key` do, each rank at its own place."""
        words = np.random.SeedSequence([self.seed, *key, self.global_rank]).generate_state(2)
        # torch's own function takes down a stack trace for each GPU library that is not in use.
        generator = torch.default_generator if self.device.type == "cpu" else torch
        generator.manual_seed(int(words[0]) << 32 | int(words[1]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the task losses of the global batch."""
        shared = self.share(batch.images, batch.tasks)
        losses = self._losses(batch, shared)
        size = len(batch)
        for task, value in losses.values.items():
            self.log(f"train/{task}/loss", value, on_step=True, on_epoch=True, batch_size=size)
        for name, value in self._sharing_figures(batch, shared).items():
            self.log(f"train/sharing/{name}", value, on_step=True, on_epoch=True, batch_size=size)
        self._step = step = self._hand_over(batch, shared, losses)
        # A leaf: what precision and accumulation make of it tells the factor on every gradient.
        self._total = torch.stack(list(step.values.values())).sum().requires_grad_()
        return self._total * 1

    def _losses(self, batch: Batch, shared: SharedFeatures) -> StepLosses:
        """What the images of the batch cost the tasks that are on.

        Raises:
            NumericsError: a task loss is not finite.
        """
        losses = self._together(batch, self._per_image(batch, shared))
        check_finite(losses, batch)
        return losses

    def _together(self, batch: Batch, per_image: Mapping[str, Tensor]) -> StepLosses:
        known = {t: [self.head(t).labelled(target) for target in batch.targets] for t in batch.tasks}
        return step_losses(per_image, {name: known[head_name(name)] for name in per_image})

    def losses_beside(self, batch: Batch) -> StepLosses:
        """The losses of a training batch at what the parameters hold now, with the random draws of its step.

        Computed outside autocast, beside training: running statistics and random numbers stay as they are. Losses need
        not be finite.
        """
        return self._together(batch, self._again(batch))

    def trained_together(self) -> list[nn.Parameter]:
        """The trainable parameters that more than one loss trains: of the sharing, and of heads with several losses."""
        heads = {task: self.head(task) for task in self.tasks}
        return list(dict.fromkeys([*self.sharing.shared_parameters(), *joint_parameters(heads)]))

    def _per_image(self, batch: Batch, shared: SharedFeatures) -> dict[str, Tensor]:
        """Each loss of each head that is on -> [B], 0 where an image is not labelled."""
        found = {}
        for task in batch.tasks:
            head = self.head(task)
            with record_function(f"head: {task}"):
                outputs = head(shared.tasks[task])
            with record_function(f"loss: {task}"):
                for part, loss in head.part_losses(outputs, head.view(batch.targets)).items():
                    found[loss_name(task, part)] = loss
        return found

    def _sharing_figures(self, batch: Batch, shared: SharedFeatures) -> dict[str, Tensor]:
        """The losses and figures of the sharing, as means over the global batch: all ranks have as many images.

        Raises:
            NumericsError: one of them is not finite.
        """
        found = {**shared.auxiliary, **shared.figures}
        if not found:
            return {}
        mine = torch.stack([value.detach().float() for value in found.values()])
        means = self.trainer.strategy.reduce(mine, reduce_op="mean")
        assert isinstance(means, Tensor)
        for name, finite in zip(found, means.isfinite().tolist(), strict=True):
            if not finite:
                raise not_finite(f"the sharing's {name}", batch.step, batch.ids)
        return dict(zip(found, means, strict=True))

    def _hand_over(self, batch: Batch, shared: SharedFeatures, losses: StepLosses) -> TaskLosses:
        """What the weighting gets to see of a step."""
        heads = {task: self.head(task) for task in self.tasks}
        own = {name: parameters for name, parameters in own_parameters(heads).items() if name in losses.values}
        behind = [*shared.behind, *joint_parameters(heads)]
        past = {id(p) for p in behind}
        trained = [*(p for p in self.sharing.shared_parameters() if id(p) not in past), *behind]
        known = {id(p) for p in (*trained, *self.weighting.parameters(), *(p for g in own.values() for p in g))}
        auxiliary = torch.stack(list(shared.auxiliary.values())).sum() if shared.auxiliary else None
        return TaskLosses(
            losses=losses.shares,
            values=losses.values,
            factor=torch.ones((), device=self.device),
            shared=trained,
            own=own,
            representation=shared.representation,
            behind=behind,
            auxiliary=None if auxiliary is None else auxiliary / self.trainer.world_size,
            step=batch.step,
            epoch=self.current_epoch,
            ids=batch.ids,
            others=[p for p in self.parameters() if p.requires_grad and id(p) not in known],
            scaled=self.trainer.precision == "16-mixed",
            resample=lambda share: self._resample(batch, share),
            images=ImageLosses(
                losses=losses.per_image,
                labelled=losses.labelled,
                counts=losses.counts,
                summary=shared.summary,
                again=lambda: self._again(batch),
            ),
            meta=None if batch.meta is None else lambda: self._meta_losses(batch),
        )

    def _resample(self, batch: Batch, share: float) -> dict[str, Tensor]:
        """The losses of the first `share` of this rank's images, by a forward of their own."""
        part = batch.first(max(1, round(share * len(batch))))
        with self._statistics_kept(), self.trainer.precision_plugin.forward_context():
            return self._losses(part, self.share(part.images, part.tasks)).shares

    @contextmanager
    def _statistics_kept(self) -> Iterator[None]:
        """Inside, BatchNorms take the batch's own statistics, but do not count them in."""
        norms = [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
        counting = [norm for norm in norms if norm.track_running_stats]
        for norm in counting:
            norm.track_running_stats = False
        try:
            yield
        finally:
            for norm in counting:
                norm.track_running_stats = True

    def _again(self, batch: Batch) -> dict[str, Tensor]:
        """The losses [B] of this rank's images at what the parameters hold now, with the random draws of the step."""
        with self._beside(batch.step):
            return self._per_image(batch, self.share(batch.images, batch.tasks))

    def _meta_losses(self, batch: Batch) -> dict[str, Tensor]:
        """This rank's share of the losses of the held-out images that go with the batch, with graph."""
        assert batch.meta is not None
        # Draws of its own, so that dropout does not fall on the same places.
        with self._beside(batch.step, 1), self.trainer.precision_plugin.forward_context():
            losses = self._losses(batch.meta, self.share(batch.meta.images, batch.meta.tasks))
        return {name: losses.shares[name] for name in self.weighting.meta_tasks}

    @contextmanager
    def _beside(self, *key: int) -> Iterator[None]:
        """For a forward beside the training step's own: counts no statistics, and draws as `key` says."""
        devices = [self.device] if self.device.type == "cuda" else []
        with self._statistics_kept(), torch.random.fork_rng(devices=devices):
            self._draw_as(*key)
            yield

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Hands the task losses to the weighting; `loss` only tells by what gradients are multiplied."""
        assert self._step is not None
        assert self._total is not None
        (self._step.factor,) = torch.autograd.grad(loss, self._total)
        with record_function("backward and weighting"):
            weights = self.weighting.backward(self._step)
        for task, weight in weights.items():
            self.log(f"train/{task}/weight", weight, on_step=True, on_epoch=True, batch_size=1)
        for name, value in self.weighting.diagnostics.items():
            self.log(f"train/weighting/{name}", value, on_step=True, on_epoch=True, batch_size=1)
        self._step = self._total = None

    def clipped_parts(self) -> dict[str, list[nn.Parameter]]:
        """What `trainer.gradient_clip_val` limits part by part: `shared`, and each head by its name."""
        heads = {task: list(self.head(task).parameters()) for task in self.tasks}
        return {SHARED: list(self.sharing.parameters()), **heads}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stops before a gradient that is not finite reaches the weights; a loss scaler skips such a step itself.

        Logs `train/clipped/<part>`: 1 where the gradient of the part is longer than `trainer.gradient_clip_val`.

        Raises:
            NumericsError: names the first parameter at fault and the images of the last batch.
        """
        limit = self.trainer.gradient_clip_val
        if limit is not None:
            self._norms = gradient_norms(self.clipped_parts())
            for part, norm in self._norms.items():
                self.log(f"train/clipped/{part}", (norm > limit).float(), on_step=True, on_epoch=True, batch_size=1)
        gradients = {name: p.grad for name, p in self.named_parameters() if p.grad is not None}
        if self.trainer.precision == "16-mixed" or all_finite(gradients.values()):
            return
        name = next(name for name, gradient in gradients.items() if not gradient.isfinite().all())
        raise not_finite(f"the gradient of {name}", self.batches - 1, self._ids)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips each part by itself, where Lightning would clip all as one."""
        if gradient_clip_val is not None:
            clip_gradients(self.clipped_parts(), self._norms, gradient_clip_val)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the number of batches that training has seen, where a resumed run's data go on.

        Raises:
            NumericsError: a weight is not finite; such a checkpoint must not take the place of a good one.
        """
        if not all_finite(p.detach() for p in self.parameters()):
            raise NumericsError(f"A weight is not finite after batch {self.batches - 1}, so it was not saved.")
        checkpoint["batches"] = self.batches

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes that number over, and refuses the state of another optimizer.

        Raises:
            CheckpointError: the optimizer that was saved has other settings or other groups of parameters.
        """
        self.batches = checkpoint["batches"]
        groups = [checkpoint["optimizer_states"][0]["param_groups"], self._optimizer.build(self).param_groups]
        # The learning-rate schedule adds the rate that it starts from.
        saved, own = ([sorted({*group} - {"params", "initial_lr"}) for group in some] for some in groups)
        if saved != own:
            raise CheckpointError(
                f"The checkpoint was saved with another optimizer: {len(saved)} groups of parameters with the settings"
                f" {', '.join(saved[0])}; here {len(own)} with {', '.join(own[0])}."
            )

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
        self._sums = torch.zeros(len(self.tasks), 2, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, list[Any]]:
        """Collects predictions and losses of a batch of the validation split; returns the predictions by task."""
        if not len(batch):  # of a rank without images
            return {task: [] for task in self.tasks}
        outputs = self(batch.images)
        predictions = self._decoded(batch, outputs)
        for task, output in outputs.items():
            head = self.head(task)
            self._metrics[task].update(predictions[task], head.view(batch.originals))
            self._sums[self.tasks.index(task), 0] += head.loss(output, head.view(batch.targets)).sum()
            self._sums[self.tasks.index(task), 1] += sum(head.labelled(target) for target in batch.targets)
        return self._published(predictions)

    def on_validation_epoch_end(self) -> None:
        """Logs `val/<task>/loss|<metric>`, and `val/monitor`: the mean of the heads' monitored metrics."""
        if distributed():
            torch.distributed.all_reduce(self._sums)
        for task, (total, count) in zip(self.tasks, self._sums, strict=True):
            if count > 0:
                self.log(f"val/{task}/loss", total / count)
        scalars = self._log_metrics("val")
        monitors = [scalars[f"val/{task}/{self.head(task).monitor}"] for task in self.tasks]
        self.log("val/monitor", torch.stack(monitors).nanmean())

    def on_test_epoch_start(self) -> None:
        """Starts fresh metrics and records."""
        self.on_validation_epoch_start()
        self._tested = {task: [] for task in self.tasks}
        self.records = {}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects the predictions for a batch of the split that is tested."""
        if not len(batch):  # of a rank without images
            return
        for task, predictions in self._decoded(batch, self(batch.images)).items():
            self._metrics[task].update(predictions, self.head(task).view(batch.originals))
            labelled = [self.head(task).labelled(target) for target in batch.originals]
            self._tested[task] += [name for name, known in zip(batch.ids, labelled, strict=True) if known]

    def on_test_epoch_end(self) -> None:
        """Logs `test/<task>/<metric>`, and keeps the records of the test where one process saw all of it."""
        if self.trainer.world_size == 1:
            kept = {task: metrics.records() for task, metrics in self._metrics.items()}
            self.records = {
                task: TaskRecords(tuple(self._tested[task]), records)
                for task, records in kept.items()
                if records is not None
            }
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


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every number in `tensors` is finite, by one look at the device, or two where one is not.

    The root of the sum of squares takes a tenth of the time of the maximum, which decides where that sum overflows.
    """
    given = list(tensors)
    return any(bool(torch.nn.utils.get_total_norm(given, norm_type=kind).isfinite()) for kind in (2.0, float("inf")))
