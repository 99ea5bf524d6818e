"""Images that lack labels in the training step: a teacher's labels make them images of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vjo_train.errors import CheckpointError
from vjo_train.heads.base import Head
from vjo_train.semi.mean_teacher import MeanTeacher
from vjo_train.sharing.base import Sharing
from vjo_train.training.draws import SeededDraws
from vjo_train.types import Batch, Target
from vjo_train.weighting.jacobian import distributed


class SemiSupervised(SeededDraws):
    """Holds the teacher, and lets it label what goes with a batch.

    Args:
        sharing: images -> features of each task.
        heads: task -> head.

    Attributes:
        semi: the teacher; None where only labels train.
    """

    def __init__(self, sharing: Sharing, heads: Mapping[str, Head]) -> None:
        super().__init__(sharing, heads)
        self.semi: MeanTeacher | None = None
        self._sure: dict[str, float] = {}

    def normalised(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in 0..255 -> as the network takes them."""
        raise NotImplementedError

    def on_fit_start(self) -> None:
        """The teacher starts as the network, or as the checkpoint has it."""
        if self.semi is not None:
            self._sure = self.semi.thresholds({task: self.head(task) for task in self.tasks})
            self.semi.start(self.sharing, self.heads)

    def told(self, task: str, batch: Batch) -> list[Target]:
        """What a head learns of the images of a batch, in its own classes."""
        return batch.taught[task] if task in batch.taught else self.head(task).view(batch.known(task))

    def with_taught(self, batch: Batch, extra: Batch, semi: MeanTeacher) -> Batch:
        """The batch, and behind its images those of `extra`, which lack a label, with what the teacher says of them.

        Logs `train/<task>/taught`, the share of the images lacking the label of which the teacher was sure of
        something, and `train/<task>/taught_right`, the share of right ones among its statements whose truth is known.
        """
        semi.follow(self.sharing, self.heads, self.trainer.global_step)
        tasks = tuple(task for task in batch.tasks if task in self._sure)
        said = semi.labels(self.normalised(extra.images), extra, tasks, self._sure)
        lacking = {task: self._lacking(task, extra) for task in tasks}
        told = {
            task: [one if lacks else Target(one.size) for one, lacks in zip(said[task], lacking[task], strict=True)]
            for task in tasks
        }
        self._log_agreement(extra, told, lacking)
        with self.beside(batch.step, 2):  # its draws are not those of the step's own forward
            joined = joined_with(batch, extra, semi.view(extra))
        done = min(1.0, self.trainer.global_step / self.trainer.estimated_stepping_batches)
        for task in batch.tasks:
            head = self.head(task)
            real = self.told(task, batch)
            taught = told.get(task) or [Target(target.size) for target in extra.targets]
            joined.taught[task] = [*real, *taught]
            joined.loss_weights[task] = self._factors(
                [head.labelled(one) for one in real],
                [head.labelled(one) for one in taught],
                sum(lacking.get(task, [])),
                semi.factor(done),
            )
        return joined

    def _lacking(self, task: str, batch: Batch) -> list[bool]:
        head = self.head(task)
        return [not head.labelled(target) for target in head.view(batch.known(task))]

    def _factors(self, labelled: list[bool], taught: list[bool], lacking: int, factor: float) -> Tensor:
        """[B] float32, so that the mean over all labelled and taught images of all ranks is the loss of the task."""
        counts = torch.tensor([sum(labelled), sum(taught), lacking], dtype=torch.float32, device=self.device)
        if distributed():
            torch.distributed.all_reduce(counts)
        real, by_teacher, lack = counts.tolist()
        total = real + by_teacher
        weights = [total / max(real, 1.0)] * len(labelled) + [factor * total / max(lack, 1.0)] * len(taught)
        return torch.tensor(weights, dtype=torch.float32, device=self.device)

    def _log_agreement(self, batch: Batch, told: Mapping[str, list[Target]], lacking: Mapping[str, list[bool]]) -> None:
        """What a log shows of the teacher; the truth of withheld labels is there, and looked at nowhere else."""
        rows = []
        for task, said in told.items():
            head = self.head(task)
            truth = head.view(batch.targets)
            sure = [head.labelled(one) for one in said]
            judged = [
                head.agreement(one, true)
                for one, true, taught in zip(said, truth, sure, strict=True)
                if taught and head.labelled(true)
            ]
            right, all_ = (sum(pair[k] for pair in judged) for k in (0, 1))
            rows.append([sum(sure), sum(lacking[task]), right, all_])
        if not rows:
            return
        table = torch.tensor(rows, dtype=torch.float32, device=self.device)
        if distributed():
            torch.distributed.all_reduce(table)
        for task, (sure_, lack, right_, judged_) in zip(told, table.tolist(), strict=True):
            if lack:
                self.log(f"train/{task}/taught", sure_ / lack, on_step=True, on_epoch=True, batch_size=1)
            if judged_:
                self.log(f"train/{task}/taught_right", right_ / judged_, on_step=True, on_epoch=True, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the teacher."""
        if self.semi is not None:
            checkpoint["teacher"] = self.semi.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the teacher over.

        Raises:
            CheckpointError: there is none.
        """
        if self.semi is not None:
            if "teacher" not in checkpoint:
                raise CheckpointError("The checkpoint was saved without a teacher; resume it with semi=null.")
            self.semi.load(checkpoint["teacher"], self.sharing, self.heads)


def joined_with(batch: Batch, extra: Batch, images: Tensor) -> Batch:
    """The images of both batches, those of `extra` behind and without labels, as `images` shows them."""
    return replace(
        batch,
        images=torch.cat([batch.images, images]),
        targets=[*batch.targets, *(Target(target.size) for target in extra.targets)],
        ids=[*batch.ids, *extra.ids],
        scales=torch.cat([batch.scales, extra.scales]),
        hidden={},
        unlabelled=None,
        taught={},
        loss_weights={},
    )
