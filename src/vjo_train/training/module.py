"""The network and its training step: images -> shared features -> heads -> task losses -> weighting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from vjo_train.backbones.base import MEAN, STD
from vjo_train.errors import CheckpointError, NumericsError, not_finite
from vjo_train.heads.base import Head
from vjo_train.heads.own_cells import placed
from vjo_train.heads.parts import head_name, joint_parameters, loss_name, own_parameters
from vjo_train.optim.lr_schedules import LRSchedule
from vjo_train.optim.optimizers import Optimizer
from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures
from vjo_train.training.distilled import Distilled
from vjo_train.training.gradient_checks import all_finite
from vjo_train.training.losses import StepLosses, check_finite, step_losses
from vjo_train.training.self_supervised import stacked
from vjo_train.types import Batch
from vjo_train.weighting.base import ImageLosses, TaskLosses, Weighting


class MultiTaskModule(Distilled):
    """One network for several tasks, under Lightning's automatic optimization.

    `training_step` returns the sum of the task losses; `backward` hands over to the weighting. Clipping, accumulation,
    precision and checkpoints stay Lightning's own.

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
        super().__init__(sharing, heads)
        self.weighting = weighting
        self.seed = seed
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self._optimizer, self._lr_schedule = optimizer, lr_schedule
        self.trained_ids: list[str] = []
        self.lr_steps: int | None = None
        self._step: TaskLosses | None = None
        self._total: Tensor | None = None

    def forward(self, images: Tensor, tasks: tuple[str, ...] | None = None) -> dict[str, Any]:
        """uint8 images [B, 3, S, S] -> the raw outputs of each of `tasks` (by default all but self-supervised ones)."""
        tasks = tasks or self.goals
        shared = self.share(images, tasks)
        return {task: self.head(task)(shared.tasks[task]) for task in tasks}

    def share(self, images: Tensor, tasks: tuple[str, ...]) -> SharedFeatures:
        """Images [B, 3, S, S] in 0..255 -> what the heads of `tasks` are given."""
        with record_function("shared features"):
            shared = self.sharing(self.normalised(images), tasks)
        assert isinstance(shared, SharedFeatures)
        return placed(shared, images)

    def normalised(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.std).contiguous(memory_format=self.memory_format)

    # Training

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds dropout and samplers by the batch's number, so that a resumed run draws what it would have drawn.

        Tells the sharing the share of training done, likewise from the number of steps alone.
        """
        self.batches, self._ids = batch.step + 1, batch.ids
        self.sharing.start_step(self.share_done)
        self.draw_as(batch.step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the task losses of the global batch."""
        if self.semi is not None and batch.unlabelled is not None:
            batch = self.with_taught(batch, batch.unlabelled, self.semi)
        pieces = self.with_helpers(batch)
        batch = stacked(pieces)
        self.trained_ids = batch.ids
        shared = self.followed(batch.images, self.share(batch.images, batch.tasks))
        losses = self._losses(batch, shared)
        size = len(batch)
        for task, value in losses.values.items():
            self.log(f"train/{task}/loss", value, on_step=True, on_epoch=True, batch_size=size)
        for name, value in self._sharing_figures(batch, shared).items():
            self.log(f"train/sharing/{name}", value, on_step=True, on_epoch=True, batch_size=size)
        self.sharing.observe(self._global_means(batch, shared.statistics))
        self._step = step = self._hand_over(batch, pieces, shared, losses)
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
        known = {t: [self.head(t).labelled(target) for target in self.told(t, batch)] for t in batch.tasks}
        return step_losses(per_image, {name: known[head_name(name)] for name in per_image})

    def losses_beside(self, batch: Batch) -> StepLosses:
        """The losses of a training batch at what the parameters hold now, with the random draws of its step.

        Computed outside autocast, beside training: running statistics and random numbers stay as they are. Losses need
        not be finite.
        """
        whole = stacked(self.with_helpers(batch))
        return self._together(whole, self._again(whole))

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
                factors = batch.loss_weights.get(task)
                for part, loss in head.part_losses(outputs, self.told(task, batch)).items():
                    found[loss_name(task, part)] = loss if factors is None else loss * factors
        return found

    def _sharing_figures(self, batch: Batch, shared: SharedFeatures) -> dict[str, Tensor]:
        """The losses and figures of the sharing, as means over the global batch."""
        return self._global_means(batch, {**shared.auxiliary, **shared.figures})

    def _global_means(self, batch: Batch, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means over this rank's images -> means over the global batch: all ranks have as many images.

        Raises:
            NumericsError: one of them is not finite.
        """
        if not found:
            return {}
        mine = torch.cat([value.detach().float().flatten() for value in found.values()])
        together = self.trainer.strategy.reduce(mine, reduce_op="mean")
        assert isinstance(together, Tensor)
        parts = torch.split(together, [value.numel() for value in found.values()])
        means = {name: part.view(found[name].shape) for name, part in zip(found, parts, strict=True)}
        if not bool(together.isfinite().all()):
            name = next(name for name, mean in means.items() if not mean.isfinite().all())
            raise not_finite(f"the sharing's {name}", batch.step, batch.ids)
        return means

    def _hand_over(
        self, batch: Batch, pieces: Sequence[Batch], shared: SharedFeatures, losses: StepLosses
    ) -> TaskLosses:
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
            resample=lambda share: self._resample(pieces, share),
            images=ImageLosses(
                losses=losses.per_image,
                labelled=losses.labelled,
                counts=losses.counts,
                summary=shared.summary,
                again=lambda: self._again(batch),
            ),
            meta=None if batch.meta is None else lambda: self._meta_losses(batch),
        )

    def _resample(self, pieces: Sequence[Batch], share: float) -> dict[str, Tensor]:
        """The losses of the first `share` of this rank's images of each kind, by a forward of their own."""
        part = stacked([piece.first(max(1, round(share * len(piece)))) for piece in pieces])
        with self.statistics_kept(), self.trainer.precision_plugin.forward_context():
            return self._losses(part, self.share(part.images, part.tasks)).shares

    def _again(self, batch: Batch) -> dict[str, Tensor]:
        """The losses [B] of this rank's images at what the parameters hold now, with the random draws of the step."""
        with self.beside(batch.step):
            return self._per_image(batch, self.share(batch.images, batch.tasks))

    def _meta_losses(self, batch: Batch) -> dict[str, Tensor]:
        """This rank's share of the losses of the held-out images that go with the batch, with graph."""
        assert batch.meta is not None
        # Draws of its own, so that dropout does not fall on the same places.
        with self.beside(batch.step, 1), self.trainer.precision_plugin.forward_context():
            losses = self._losses(batch.meta, self.share(batch.meta.images, batch.meta.tasks))
        return {name: losses.shares[name] for name in self.weighting.meta_tasks}

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the number of batches that training has seen, where a resumed run's data go on.

        Raises:
            NumericsError: a weight is not finite; such a checkpoint must not take the place of a good one.
        """
        if not all_finite(p.detach() for p in self.parameters()):
            raise NumericsError(f"A weight is not finite after batch {self.batches - 1}, so it was not saved.")
        super().on_save_checkpoint(checkpoint)
        checkpoint["batches"] = self.batches
        chosen = {task: self.head(task).thresholds for task in self.tasks}
        checkpoint["thresholds"] = {task: list(own) for task, own in chosen.items() if own is not None}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes that number over, and refuses the state of another optimizer.

        Raises:
            CheckpointError: the optimizer that was saved has other settings or other groups of parameters.
        """
        super().on_load_checkpoint(checkpoint)
        self.batches = checkpoint["batches"]
        for task, own in checkpoint.get("thresholds", {}).items():
            self.head(task).keep_chosen(own)
        groups = [checkpoint["optimizer_states"][0]["param_groups"], self._optimizer.build(self).param_groups]
        # The learning-rate schedule adds the rate that it starts from.
        saved, own = ([sorted({*group} - {"params", "initial_lr"}) for group in some] for some in groups)
        if saved != own:
            raise CheckpointError(
                f"The checkpoint was saved with another optimizer: {len(saved)} groups of parameters with the settings"
                f" {', '.join(saved[0])}; here {len(own)} with {', '.join(own[0])}."
            )
        for one, other in zip(*([group["name"] for group in some] for some in groups), strict=True):
            if one != other:
                raise CheckpointError(
                    f"The checkpoint was saved with other learning rates: it has the group of parameters '{one}' in the"
                    f" place of '{other}'; is optimizer.layer_decay another, or a key lr_factor?"
                )

    def lr_factor(self, step: int, total: int) -> float:
        """The factor on every learning rate at an optimizer step of `total`, of `lr_steps` where that is set."""
        return self._lr_schedule.factor(step, self.lr_steps or total)

    def configure_optimizers(self) -> Any:
        """The optimizer, and the learning-rate schedule by step."""
        optimizer = self._optimizer.build(self)
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.lr_factor(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
