"""Losses of semantic segmentation, image by image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.types import IGNORE


def pixel_loss(logits: Tensor, truth: Tensor, weights: Tensor | None = None, gamma: float = 0.0) -> Tensor:
    """The mean over an image's counted pixels of the cross-entropy, weighted by class, or of the focal loss.

    With p the probability of the true class, w (1 - p)^gamma -log p (Lin et al. 2017), times a constant such that it is
    w log(C + 1) where all C + 1 classes are equally probable. gamma 0 is the cross-entropy.

    Args:
        logits: [B, C + 1, H, W] float32.
        truth: [B, H, W] integer: 0..C, or 255 where a pixel does not count.
        weights: [C + 1], w of each class; None: 1.
        gamma: how little pixels count that are right already; 0 or more.

    Returns:
        [B]; 0 where no pixel counts.
    """
    # A row of logits per pixel is how channels_last has them: twice as fast as over the channels of maps.
    rows = logits.movedim(1, -1).flatten(0, -2)
    losses = F.cross_entropy(rows, truth.flatten().long(), ignore_index=IGNORE, reduction="none").view_as(truth)
    if gamma > 0:
        # 1 - p; its power has no slope at 0 where gamma is below 1.
        wrong = -torch.expm1(-losses).clamp(max=-1e-6)
        losses = losses * (wrong / (1 - 1 / logits.shape[1])) ** gamma
    if weights is not None:
        losses = losses * weights[torch.where(truth == IGNORE, 0, truth).long()]
    return losses.sum((1, 2)) / (truth != IGNORE).sum((1, 2)).clamp(min=1)


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - the mean Dice coefficient of the classes that the image shows, background included (Milletari et al. 2016).

    The coefficient of a class is 2 sum(p g) / (sum p + sum g) over the counted pixels, with the softmax p and the
    ground truth g in {0, 1}; the paper's V-Net has squares below the line.

    Args:
        logits: [B, C + 1, H, W] float32.
        truth: [B, H, W] integer: 0..C, or 255 where a pixel does not count.

    Returns:
        [B] in 0..1; 0 where no pixel counts.
    """
    counted = truth != IGNORE
    wanted = F.one_hot(torch.where(counted, truth, 0).long(), logits.shape[1]).movedim(3, 1) * counted[:, None]
    found = logits.softmax(1) * counted[:, None]
    areas = wanted.sum((2, 3))
    dice = 2 * (found * wanted).sum((2, 3)) / (found.sum((2, 3)) + areas).clamp(min=1e-6)
    shown = areas > 0
    return (torch.where(shown, 1 - dice, 0.0)).sum(1) / shown.sum(1).clamp(min=1)


def shifted(truth: Tensor) -> Tensor:
    """Maps of k + 1 for class k -> of k; 0 and 255 become 255, which does not count."""
    return torch.where((truth == 0) | (truth == IGNORE), IGNORE, truth - 1)
