"""Losses and class weights for labels of which some classes are rare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from vjo_train.errors import ConfigError

Loss: TypeAlias = Literal["bce", "focal", "asymmetric"]
"""Binary cross-entropy, or one that counts answers less that are right already."""
BALANCED = "balanced"
ClassWeights: TypeAlias = Literal["balanced"] | Mapping[str, Annotated[float, Ge(0)]] | list[Annotated[float, Ge(0)]]
"""Of each class in a loss: by how rare it is in training, by name (1 for those not named), or in the classes' order."""

FOCUS = 2.0
"""gamma of the focal loss, as in its paper."""
FOCUS_PRESENT, FOCUS_ABSENT, MARGIN = 1.0, 4.0, 0.05
"""gamma+, gamma- and m of the asymmetric loss, as its authors train with."""


def binary_losses(logits: Tensor, present: Tensor, loss: Loss) -> Tensor:
    """The loss of each class of each image.

    With p the probability of what is true: -log p; focal (Lin et al. 2017) -(1 - p)^2 log p; asymmetric (Ridnik et al.
    2021) -(1 - p) log p for a class that is there, and -(1 - p)^4 log p for one that is not, where p is raised by 0.05
    first, so that what is clearly absent costs nothing.

    Scale: the last two are multiplied by a constant, so that an image with one of the C classes costs log 2 on average
    at p = 1/2, as the first does.

    Args:
        logits: [B, C] float32.
        present: [B, C] bool.
        loss: which one.

    Returns:
        [B, C] float32.
    """
    if loss == "bce":
        return F.binary_cross_entropy_with_logits(logits, present.to(logits.dtype), reduction="none")
    classes = logits.shape[1]
    if loss == "focal":
        scale: float = 2.0**FOCUS
        right = _focused(logits, FOCUS, present=True)
        return right.where(present, _focused(logits, FOCUS, present=False)) * scale
    there = _focused(logits, FOCUS_PRESENT, present=True)
    not_there = _focused(logits, FOCUS_ABSENT, present=False, margin=MARGIN)
    start_there, start_not = 0.5**FOCUS_PRESENT * math.log(2), (0.5 - MARGIN) ** FOCUS_ABSENT * -math.log(0.5 + MARGIN)
    scale = classes * math.log(2) / (start_there + (classes - 1) * start_not)
    return there.where(present, not_there) * scale


def _focused(logits: Tensor, gamma: float, *, present: bool, margin: float = 0.0) -> Tensor:
    """-(1 - p)^gamma log p for the probability p of what is true, raised by `margin`, at most to 1."""
    if not margin:
        sign = 1 if present else -1
        return (-sign * logits).sigmoid() ** gamma * F.softplus(-sign * logits)
    wrong = (logits.sigmoid() - margin).clamp(min=0.0)
    return -(wrong**gamma) * torch.log1p(-wrong)


def given_weights(key: str, weights: ClassWeights | None, classes: int) -> Tensor:
    """[C] float32 of weights in the order of the classes; all 1 of others, which are not known without names and data.

    Raises:
        ConfigError: a list of another length.
    """
    if not isinstance(weights, list | tuple):
        return torch.ones(classes)
    if len(weights) != classes:
        raise ConfigError(f"{key}: found {len(weights)} weights; there are {classes} classes.")
    return torch.tensor(weights, dtype=torch.float32)


RAREST = 1e-3
"""Classes that fewer pixels show are weighted as if this share of them did."""


def balanced_pixel_weights(counts: Tensor) -> Tensor:
    """[C] float32 in inverse proportion to the share of the pixels that each class has, with a mean of 1 over pixels.

    Shares below `RAREST` are raised to it, so that no class counts a million times as much as another.

    Args:
        counts: [C] pixels of each class in some training images; all 1 where there are none.
    """
    total = counts.double().sum()
    if total == 0:
        return torch.ones(len(counts))
    shares = counts.double() / total
    weights = 1 / shares.clamp(min=RAREST)
    return (weights / (shares * weights).sum()).float()


def balanced_weights(counts: Tensor) -> Tensor:
    """[C] float32 in inverse proportion to how often each class is there, so that their mean over what is there is 1.

    A class that never is counts like one that is there once.

    Args:
        counts: [C] how many training images show each class.
    """
    seen = counts.double().clamp(min=1)
    return (seen.sum() / (len(seen) * seen)).float()
