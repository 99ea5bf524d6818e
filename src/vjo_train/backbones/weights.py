"""Where a backbone's first weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights, list_models

from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs.unpickling import read_plain

WRAPPED = ("state_dict", "model")
"""The keys under which training scripts save a state dict beside other things."""
WHOLE = ("sharing.", "heads.", "backbone.body.", "backbone.conv1.", "roi_heads.")
"""What names in the state dict of a network with heads begin with, of this program or of torchvision."""


def load_weights(model: nn.Module, name: str, weights: str | None) -> None:
    """Fills a whole torchvision classification model before its stages are taken.

    Args:
        weights: `imagenet` (torchvision's newest weights, fetched once), a file with a torchvision state dict
            (its classifier may be missing), or None for random weights.

    Raises:
        ConfigError: the file does not exist, or `imagenet` cannot be fetched.
        CheckpointError: the file is no state dict, or one of another network.
    """
    if weights is None:
        return
    if weights == "imagenet":
        if name not in list_models():
            raise ConfigError(f"backbone.weights=imagenet: there are none for {name}; give a file or null.")
        newest = get_model_weights(name).DEFAULT
        try:
            model.load_state_dict(newest.get_state_dict(progress=False, check_hash=True), strict=False)
        except (URLError, OSError) as error:
            raise ConfigError(
                f"backbone.weights=imagenet: the weights of {name} could not be fetched ({error}); place the file from"
                f" {newest.url} in {torch.hub.get_dir()}/checkpoints, or give backbone.weights=FILE or null."
            ) from error
        return
    path = Path(weights)
    state = read_state(path)
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CheckpointError(f"backbone.weights: {path} does not fit {name}: {reason}") from error
    missing = [key for key in missing if not key.startswith(("fc.", "classifier."))]
    if missing or unexpected:
        wrong = f"lacks {missing[0]}" if missing else f"has {unexpected[0]}, which {name} lacks"
        raise CheckpointError(f"backbone.weights: {path} {wrong}; is it another network?")


def read_state(path: Path) -> dict[str, Tensor]:
    """A backbone's state dict in a file of `torch.save`, alone or under `state_dict` or `model`, or of safetensors.

    Raises:
        ConfigError: the file does not exist, or safetensors is not installed.
        CheckpointError: the file is damaged, or holds no state dict, or that of a network with heads.
    """
    if not path.is_file():
        raise ConfigError(f"backbone.weights: found {str(path)!r}, which is no file; give imagenet, a file, or null.")
    try:
        state = unwrapped(read_content(path), path)
    except CheckpointError as error:
        raise CheckpointError(f"backbone.weights: {error}") from error
    if any(name.startswith(WHOLE) for name in state):
        raise CheckpointError(
            f"backbone.weights: {path} holds a network with heads, not a backbone; start_from takes what fits of it."
        )
    return state


def read_content(path: Path) -> Any:
    """What is in a file of `torch.save` or of safetensors, as plain data.

    Raises:
        ConfigError: safetensors is not installed.
        CheckpointError: the file is damaged, or holds more than plain data.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else read_plain(path)


def unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict that a file holds, alone or beside other things.

    Raises:
        CheckpointError: there is none.
    """
    state = content
    if isinstance(state, dict):
        state = next((state[name] for name in WRAPPED if isinstance(state.get(name), dict)), state)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} holds no state dict (name -> tensor).")
    return state


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ConfigError(f"{path}: safetensors is not installed; pip install 'vjo-train[timm]'.") from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}).") from error
