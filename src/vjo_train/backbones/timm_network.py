"""A network of timm by its name, with its weights, for pictures of any size (extra `timm`)."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vjo_train.backbones.base import MEAN, STD
from vjo_train.backbones.weights import read_state
from vjo_train.errors import CheckpointError, ConfigError

RECOMPUTED = ("num_batches_tracked", "relative_position_index", "attn_mask", "relative_coords_table")
"""Ends of keys that files of some versions hold and others lack, for the network makes them itself."""


def create(name: str, weights: str | None, **options: Any) -> Any:
    """The network `name`.

    Args:
        name: any name that timm lists, with the tag of its weights or without, such as `convnextv2_nano` or
            `vit_small_patch14_dinov2.lvd142m`.
        weights: `imagenet` (timm's weights of this name and tag, whatever they were trained on, fetched once), a file
            with the state dict of timm's network (its classifier may be missing), or None for random weights.
        options: of `timm.create_model`.

    Raises:
        ConfigError: timm is not installed, the name is unknown, there are no such weights, or they cannot be fetched.
        CheckpointError: the file is no state dict, or one of another network.
    """
    try:
        import timm
    except ImportError as error:
        raise ConfigError("backbone: timm is not installed; pip install 'vjo-train[timm]'.") from error
    known: Sequence[str] = timm.list_models()
    if name.split(".")[0] not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise ConfigError(f"backbone.name: found {name!r}, which timm does not know{hint}")
    file = None if weights in (None, "imagenet") else Path(str(weights))
    state = None if file is None else read_state(file)
    try:
        network = timm.create_model(name, pretrained=weights == "imagenet", **options)
    except (OSError, RuntimeError) as error:
        if weights != "imagenet":
            raise
        raise ConfigError(
            f"backbone.weights=imagenet: the weights of {name} could not be had ({error}); give backbone.weights=FILE"
            " or null."
        ) from error
    if state is not None:
        fill(network, state, f"backbone.weights: {file}", name)
    return network


def fill(network: nn.Module, state: dict[str, Tensor], file: str, name: str) -> None:
    """Loads the state dict of a whole network into one whose classifier is cut off, and whose modules timm has renamed.

    timm's feature networks call `layers.0` `layers_0`, or keep the network as `model`. Keys of modules that have been
    cut off are left out.

    Raises:
        CheckpointError: a tensor is missing, is too many or has another shape.
    """
    inner: nn.Module = getattr(network, "model", network)
    wanted = {_flat(key): key for key in inner.state_dict()}
    found = {_flat(key): (key, value) for key, value in state.items() if not key.endswith(RECOMPUTED)}
    modules = tuple({f"{_flat(key.split('.')[0])}_" for key in wanted.values() if "." in key})
    own = inner.state_dict()
    for flat, key in wanted.items():
        if key.endswith(RECOMPUTED):
            continue
        if flat not in found:
            raise CheckpointError(f"{file} lacks {key}; is it another network than {name}?")
        if found[flat][1].shape != own[key].shape:
            raise CheckpointError(
                f"{file} does not fit {name}: {found[flat][0]} is {tuple(found[flat][1].shape)}, must be"
                f" {tuple(own[key].shape)}."
            )
    for flat, (key, _) in found.items():
        if flat not in wanted and flat.startswith(modules):
            raise CheckpointError(f"{file} has {key}, which {name} lacks; is it another network?")
    inner.load_state_dict({wanted[flat]: value for flat, (_, value) in found.items() if flat in wanted}, strict=False)


def _flat(key: str) -> str:
    return key.replace(".", "_")


class Recentred(nn.Module):
    """Images normalised as ImageNet's -> as the weights of a network of timm were trained, such as CLIP's.

    Args:
        name: of the network, with the tag of its weights.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        import timm

        config = timm.get_pretrained_cfg(name)
        mean, std = (MEAN, STD) if config is None else (config.mean, config.std)
        self.needed = (mean, std) != (MEAN, STD)
        factor = [own / theirs for own, theirs in zip(STD, std, strict=True)]
        shift = [(own - theirs) / spread for own, theirs, spread in zip(MEAN, mean, std, strict=True)]
        self.register_buffer("factor", torch.tensor(factor).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(shift).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> the same shape."""
        return images * self.factor + self.shift if self.needed else images
