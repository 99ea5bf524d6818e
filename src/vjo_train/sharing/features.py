"""What a way of sharing hands to the heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from vjo_train.types import Features


@dataclass
class SharedFeatures:
    """The features that each task sees, and what else the sharing has to say of a step."""

    tasks: dict[str, Features]
    """The pyramid that each task's head sees."""
    representation: list[Tensor]
    """The tensors at which the shared part ends (where `weighting.at=features` takes gradients)."""
    behind: list[nn.Parameter] = field(default_factory=list)
    """Shared parameters that lie between the representation and the heads."""
    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)
    """Losses of the sharing itself, scalars, by name: means over this rank's images, labelled or not."""
    figures: Mapping[str, Tensor] = field(default_factory=dict)
    """What else the log should show of the sharing: scalars without graph, by name, and means in the same way."""
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    """What the sharing keeps running averages of: tensors without graph, by name, means over this rank's images. A
    training step hands them back to it as means over the global batch (`Sharing.observe`)."""
    summary: Tensor | None = None
    """[B, C] float32 without graph: what kind of image each one is, the backbone's `c5` averaged over space."""


def summary(c5: Tensor) -> Tensor:
    """[B, C, h, w] -> `SharedFeatures.summary`."""
    return c5.detach().float().mean((2, 3))
