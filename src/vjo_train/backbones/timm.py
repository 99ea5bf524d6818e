"""Any network of timm that gives features at strides 4, 8, 16, 32 (extra `timm`)."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vjo_train.backbones.base import LEVELS
from vjo_train.errors import ConfigError
from vjo_train.types import Features


class TimmBackbone(nn.Module):
    """A feature network of timm (Wightman 2019).

    Args:
        name: any name that timm lists, such as `resnet26d` or `convnextv2_nano`.
        weights: `imagenet` (timm's default weights, fetched once), a file that timm loads, or None.

    Raises:
        ConfigError: timm is not installed, the name is unknown, or the network has other strides.
    """

    def __init__(self, *, name: str, weights: str | None = None) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise ConfigError("backbone=timm: timm is not installed; pip install 'vjo-train[timm]'.") from error
        known: Sequence[str] = timm.list_models()
        if name.split(".")[0] not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(f"backbone.name: found {name!r}, which timm does not know{hint}")
        if weights not in (None, "imagenet") and not Path(str(weights)).is_file():
            raise ConfigError(f"backbone.weights: found {weights!r}, which is no file; give imagenet, a file, or null.")
        file = weights if weights not in (None, "imagenet") else None
        network: Any = timm.create_model(
            name, features_only=True, pretrained=weights == "imagenet", checkpoint_path=file or ""
        )
        strides = list(network.feature_info.reduction())
        if not {4, 8, 16, 32} <= set(strides):
            raise ConfigError(f"backbone.name: {name} has features at strides {strides}; needed are 4, 8, 16 and 32.")
        self.network = network
        self._places = [strides.index(stride) for stride in (4, 8, 16, 32)]
        channels = network.feature_info.channels()
        self.channels = {level: channels[place] for level, place in zip(LEVELS, self._places, strict=True)}

    def forward(self, images: Tensor) -> Features:
        """[B, 3, S, S] -> {"c2": [B, C2, S/4, S/4], .., "c5": [B, C5, S/32, S/32]}."""
        outputs = self.network(images)
        return {level: outputs[place] for level, place in zip(LEVELS, self._places, strict=True)}
