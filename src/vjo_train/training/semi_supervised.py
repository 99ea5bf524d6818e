"""Images that lack labels in the training step: a teacher's labels make them images of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

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
        with self.beside(batch.step, 2):  # its draws are not those of the step's own forward
            joined = joined_with(batch, extra, semi.view(extra))
        known = {task: self.told(task, batch) for task in batch.tasks}
        counts = {task: self._counts(task, known[task], told[task], sum(lacking[task]), extra) for task in tasks}
        for task, count in self._over_ranks(counts).items():
            self._log_agreement(task, count)
            joined.loss_weights[task] = torch.tensor(
                factors(count, len(known[task]), len(told[task]), semi.factor(self.share_done)), device=self.device
            )
        for task, real in known.items():
            joined.taught[task] = [*real, *(told.get(task) or [Target(target.size) for target in extra.targets])]
        return joined

    def _lacking(self, task: str, batch: Batch) -> list[bool]:
        head = self.head(task)
        return [not head.labelled(target) for target in head.view(batch.known(task))]

    def _counts(self, task: str, real: list[Target], told: list[Target], lacking: int, extra: Batch) -> Counts:
        """Of this rank. The truth of withheld labels is there, and looked at nowhere else."""
        head = self.head(task)
        judged = [
            head.agreement(one, true)
            for one, true in zip(told, head.view(extra.targets), strict=True)
            if head.labelled(one) and head.labelled(true)
        ]
        right, said = (sum(pair[k] for pair in judged) for k in (0, 1))
        return Counts(sum(map(head.labelled, real)), sum(map(head.labelled, told)), lacking, right, said)

    def _over_ranks(self, counts: Mapping[str, Counts]) -> dict[str, Counts]:
        if not counts:
            return {}
        table = torch.tensor(list(counts.values()), dtype=torch.float32, device=self.device)
        if distributed():
            torch.distributed.all_reduce(table)
        return {task: Counts(*row) for task, row in zip(counts, table.tolist(), strict=True)}

    def _log_agreement(self, task: str, count: Counts) -> None:
        shares = {"taught": (count.taught, count.lacking), "taught_right": (count.right, count.said)}
        for name, (part, whole) in shares.items():
            if whole:
                self.log(f"train/{task}/{name}", part / whole, on_step=True, on_epoch=True, batch_size=1)

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


class Counts(NamedTuple):
    """Of one task in a step."""

    labelled: float
    """Images with a label."""
    taught: float
    """Images of which the teacher is sure of something."""
    lacking: float
    """Images that lack the label."""
    right: float
    """Statements of the teacher that are right."""
    said: float
    """Statements of the teacher whose truth is known."""


def factors(count: Counts, real: int, extra: int, factor: float) -> list[float]:
    """On the losses of `real` images and of `extra` ones behind them, so that the mean over all labelled and taught
    images of all ranks is the loss of the task.
    """
    total = count.labelled + count.taught
    return [total / max(count.labelled, 1.0)] * real + [factor * total / max(count.lacking, 1.0)] * extra


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
