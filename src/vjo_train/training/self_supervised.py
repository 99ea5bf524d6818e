"""Self-supervised tasks in the training step: altered pictures join the batch, each labelled for one such task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head
from vjo_train.sharing.base import Sharing
from vjo_train.training.semi_supervised import SemiSupervised
from vjo_train.types import Batch, Target


class WithHelpers(SemiSupervised):
    """Makes the pictures that go with a batch images of it.

    Args:
        sharing: images -> features of each task.
        heads: task -> head.

    Attributes:
        views_per_step: self-supervised task -> its altered pictures in a step, over all ranks.
    """

    def __init__(self, sharing: Sharing, heads: Mapping[str, Head]) -> None:
        super().__init__(sharing, heads)
        self.views_per_step: dict[str, int] = {}

    def on_fit_start(self) -> None:
        """Checks that every rank gets as many pictures.

        Raises:
            ConfigError: it does not.
        """
        for task, number in self.views_per_step.items():
            if number % self.trainer.world_size:
                raise ConfigError(
                    f"heads.{task}.images: found {number} for {self.trainer.world_size} ranks; must be a multiple (it"
                    " counts the pictures of all ranks together)."
                )
        super().on_fit_start()

    def with_helpers(self, batch: Batch) -> list[Batch]:
        """What a step trains on: the batch, and for each self-supervised task its altered pictures.

        All are told what each image says to each task. What is drawn for a picture depends on its place in the batch of
        all ranks, so not on their number.
        """
        if batch.pictures is None:
            return [batch]
        pieces = [batch]
        for task, helper in self.helpers.items():
            own = batch.pictures.first(self.views_per_step[task] // self.trainer.world_size)
            places = range(self.global_rank, len(own) * self.trainer.world_size, self.trainer.world_size)
            words = [[self.seed, batch.step, place, *task.encode()] for place in places]
            pieces.append(helper.views(own, [int(np.random.SeedSequence(w).generate_state(1)[0]) for w in words]))
        tasks = (*batch.tasks, *self.helpers)
        told: list[dict[str, list[Target]]] = [{task: self.told(task, batch) for task in batch.tasks}]
        told += [{task: piece.targets} for task, piece in zip(self.helpers, pieces[1:], strict=True)]
        return [
            replace(piece, tasks=tasks, taught={task: known.get(task) or blank(piece) for task in tasks})
            for piece, known in zip(pieces, told, strict=True)
        ]


def blank(batch: Batch) -> list[Target]:
    """Nothing is known of any image of a batch."""
    return [Target(target.size) for target in batch.targets]


def stacked(pieces: Sequence[Batch]) -> Batch:
    """One batch of the images of several, which are told the same tasks; what goes with the first goes with it."""
    first, *others = pieces
    if not others:
        return first
    weighted = dict.fromkeys(task for piece in pieces for task in piece.loss_weights)
    return replace(
        first,
        images=torch.cat([piece.images for piece in pieces]),
        targets=[target for piece in pieces for target in piece.targets],
        ids=[name for piece in pieces for name in piece.ids],
        scales=torch.cat([piece.scales for piece in pieces]),
        hidden={},
        taught={task: [target for piece in pieces for target in piece.taught[task]] for task in first.tasks},
        loss_weights={task: torch.cat([_weights(task, piece) for piece in pieces]) for task in weighted},
    )


def _weights(task: str, piece: Batch) -> Tensor:
    own = piece.loss_weights.get(task)
    return torch.ones(len(piece), device=piece.images.device) if own is None else own
