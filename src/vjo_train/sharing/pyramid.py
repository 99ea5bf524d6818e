"""The pyramid that backbone and neck give, before any task has changed it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise

from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.types import Features

NECK = "neck"
"""The kind of all levels of the neck."""


def pyramid(backbone: nn.Module, neck: nn.Module, images: Tensor, read: Collection[str]) -> Features:
    """Normalised images [B, 3, S, S] -> the backbone's levels, and those of the neck that are `read`.

    They are views, so that c5 beside the levels built from it ends the shared part as a tensor of its own.
    """
    features: Features = backbone(images)
    if not set(read) <= features.keys():
        features = features | neck(features, read)
    return views(features)


def views(features: Features) -> Features:
    """The same features as tensors of their own, none of which another one was built from."""
    return {level: feature.view_as(feature) for level, feature in features.items()}


def read_by(levels: Iterable[Iterable[str]]) -> list[str]:
    """The levels that any task reads, each once, in alphabetical order."""
    return sorted({level for names in levels for level in names})


def channels(part: nn.Module) -> dict[str, int]:
    """Level -> channels, of a backbone or a neck."""
    known = part.channels
    assert isinstance(known, dict)
    return known


def steps(backbone: nn.Module) -> dict[str, int]:
    """Level of a backbone -> its cells per cell of the level before, along each axis: 2, or 1 where it is dilated."""
    strides = backbone.strides
    assert isinstance(strides, dict)
    return {high: strides[high] // strides[low] for low, high in pairwise(strides)}


def stages_of(backbone: nn.Module) -> nn.ModuleList:
    """The stages of a backbone, one for each of its levels.

    Raises:
        ConfigError: it is not made of stages in a row.
    """
    found = getattr(backbone, "stages", None)
    if not isinstance(found, nn.ModuleList):
        raise ConfigError(
            f"backbone: {type(backbone).__name__} is no row of stages, which this way of sharing works on; "
            "choose one of the others, or sharing=hard."
        )
    return found


def inputs_of(neck: nn.Module, levels: Collection[str]) -> list[str]:
    """The levels of the backbone from which a neck makes those of `levels` that are its own.

    Raises:
        ConfigError: the neck does not say.
    """
    inputs = getattr(neck, "inputs", None)
    if not callable(inputs):
        raise ConfigError(
            f"neck: {type(neck).__name__} does not say what it reads (a method `inputs`), which this way of sharing "
            "asks; choose another one, or sharing=hard."
        )
    return list(inputs(levels))


def reads_neck(backbone: nn.Module, levels: Iterable[str]) -> bool:
    """Whether any of `levels` is the neck's own."""
    return not set(levels) <= channels(backbone).keys()


def kinds(backbone: nn.Module, neck: nn.Module, levels: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Level -> the kind of layers that serve it, and its channels.

    All levels of the neck are of one kind and share their layers, as the towers of a detection head do; each level of
    the backbone is a kind of its own, since it has its own channels and meaning.
    """
    own, common = channels(backbone), channels(neck)
    return {level: (NECK, common[level]) if level in common else (level, own[level]) for level in levels}


def trainable(*parts: nn.Module) -> list[nn.Parameter]:
    """The parameters of `parts` without the frozen ones."""
    return [p for part in parts for p in part.parameters() if p.requires_grad]
