"""Residual blocks of a backbone as shortcut and change, so that the change can be left out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from vjo_train.errors import ConfigError
from vjo_train.sharing.pyramid import stages_of


def is_block(layer: nn.Module) -> bool:
    """Whether `layer` is a residual block of a ResNet."""
    return isinstance(layer, BasicBlock | Bottleneck)


def shortcut(block: nn.Module, inputs: Tensor) -> Tensor:
    """What goes past a block: its input, at the resolution and channels of its output."""
    down = block.downsample
    assert down is None or isinstance(down, nn.Module)
    found: Tensor = inputs if down is None else down(inputs)
    return found


def change(block: nn.Module, inputs: Tensor) -> Tensor:
    """What a block adds to its shortcut, before the last ReLU."""
    layers: tuple[str, ...] = ("conv1", "bn1", "relu", "conv2", "bn2")
    if isinstance(block, Bottleneck):
        layers = (*layers, "relu", "conv3", "bn3")
    for name in layers:
        inputs = getattr(block, name)(inputs)
    return inputs


def layers_of(stage: nn.Module) -> Iterator[nn.Module]:
    """The layers of a stage in their order: residual blocks, and what lies between them."""
    if isinstance(stage, nn.Sequential):
        for part in stage:
            yield from layers_of(part)
    else:
        yield stage


def rows_of(backbone: nn.Module) -> list[list[nn.Module]]:
    """The layers of each stage of a backbone.

    Raises:
        ConfigError: it is not made of stages, or a stage has no residual block.
    """
    rows = [list(layers_of(stage)) for stage in stages_of(backbone)]
    if not all(any(is_block(layer) for layer in row) for row in rows):
        raise ConfigError(
            f"backbone: {type(backbone).__name__} has stages without residual blocks of a ResNet, from which"
            " sharing=adashare chooses; use a ResNet, such as backbone=resnet18, or another way of sharing."
        )
    return rows


def run(layer: nn.Module, inputs: Tensor, chosen: bool) -> Tensor:
    """What a layer gives; a residual block that is not chosen, its shortcut alone."""
    found: Tensor = layer(inputs) if chosen else torch.relu(shortcut(layer, inputs))
    return found


def blended(block: nn.Module, inputs: Tensor, share: Tensor) -> Tensor:
    """A residual block with `share` in 0..1 of its change."""
    past, added = shortcut(block, inputs), change(block, inputs)
    return torch.relu(past + share.to(added.dtype) * added)
