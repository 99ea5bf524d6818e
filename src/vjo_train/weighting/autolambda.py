"""Auto-Lambda (Liu, James, Davison & Johns 2022, "Auto-Lambda: Disentangling Dynamic Task Relationships")."""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
from torch import Tensor

from vjo_train.weighting.base import ImageLosses
from vjo_train.weighting.bilevel import BilevelOptions, BilevelWeighting, normalised


class AutoLambda(BilevelWeighting):
    """One weight per task, learned by the losses of held-out images: w = K softmax(logits), the same for all images.

    A task whose gradient does not help the primary tasks loses its weight to those whose does. A useless one is
    switched off only if `primary` leaves it out. Cost and details: see `BilevelWeighting`.

    Scale: the weights of all tasks sum to K. The paper's are unconstrained and start at 0.1, so that the learning rate
    of the network grows and shrinks with them; here what counts is how tasks compare. Heads are weighted like the
    shared parameters.

    Args:
        tasks: the names of all heads.
        options: see `BilevelWeighting`.
    """

    tells_images_apart: ClassVar[bool] = False

    def __init__(self, **options: Unpack[BilevelOptions]) -> None:
        super().__init__(**options)
        self.start(torch.zeros(len(self.tasks)))

    def weights(self, learned: Tensor, images: ImageLosses) -> Tensor:
        return normalised(learned).expand(len(images.shares), -1)
