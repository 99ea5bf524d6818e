"""The contract of a head that makes its labels itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from vjo_train.heads.base import Head
from vjo_train.types import MEAN_COLOUR, Batch, Target


class SelfSupervised(Head):
    """A task on altered pictures, whose truth is what was done to them, or what they showed before.

    It helps the other tasks and is no goal itself: its figures are logged and stand in the results, but it is in no
    mean over the tasks, says nothing of a picture as it is, and is not exported.

    Args:
        images: altered pictures in each training step, over all ranks; None: as many as a batch holds.

    Attributes:
        label: the kind of label that it needs, which no data set gives, but `views`.
    """

    label: ClassVar[str]

    def __init__(self, images: int | None) -> None:
        super().__init__()
        self.images = images

    @abstractmethod
    def altered(self, picture: Tensor, draws: torch.Generator) -> tuple[Tensor, Any]:
        """One picture, altered, and its label.

        Args:
            picture: [3, h, w] uint8, without padding; it stays as it is.
            draws: decides all that is random, on the CPU.

        Returns:
            [3, h', w'] uint8, not larger than the picture; and the label, on the picture's device. The label is None
            where the picture is too small to be altered.
        """

    def views(self, batch: Batch, seeds: Sequence[int]) -> Batch:
        """The pictures of a batch, altered, and labelled for this task alone.

        Args:
            batch: the pictures.
            seeds: one for each picture.
        """
        images = torch.empty_like(batch.images)
        images[:] = images.new_tensor(MEAN_COLOUR)[:, None, None]
        targets = []
        for canvas, source, target, seed in zip(images, batch.images, batch.targets, seeds, strict=True):
            height, width = target.size
            view, label = self.altered(source[:, :height, :width], torch.Generator().manual_seed(seed))
            canvas[:, : view.shape[1], : view.shape[2]] = view
            known = {} if label is None else {self.label: label}
            targets.append(Target((view.shape[1], view.shape[2]), known))
        return replace(batch.part(slice(None)), images=images, targets=targets, originals=[], hidden={}, taught={})
