"""Any network of timm that gives features at strides 4, 8, 16, 32 (extra `timm`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor, nn

from vjo_train.backbones.base import LEVELS, FeatureNet
from vjo_train.backbones.timm_network import Recentred, create
from vjo_train.errors import ConfigError
from vjo_train.types import Features, usual_stride

TRIED = (64, 96)
"""(height, width) of the pictures that a network is tried on."""


class TimmBackbone(FeatureNet):
    """A feature network of timm (Wightman 2019): ConvNeXt V2, Swin, EfficientNet, PVT and others.

    Args:
        name: any name that timm lists, with the tag of its weights or without, such as `resnet26d` or
            `convnextv2_nano.fcmae_ft_in22k_in1k`.
        weights: `imagenet` (timm's weights of this name, fetched once), a file with the state dict of timm's network
            (`.pth` or `.safetensors`), or None.
        frozen_stages: how many stages, from the image on, are not trained; networks whose modules do not follow one
            another take 0 and 4 only.

    Raises:
        ConfigError: timm is not installed, the name is unknown, the network has other strides or takes pictures of one
            size only, or cannot be frozen in part.
    """

    def __init__(
        self, *, name: str, weights: str | None = None, frozen_stages: Annotated[int, Interval(ge=0, le=4)] = 0
    ) -> None:
        network = _of_any_size(name, weights)
        strides = list(network.feature_info.reduction())
        wanted = [usual_stride(level) for level in LEVELS]
        if not set(wanted) <= set(strides):
            raise ConfigError(
                f"backbone.name: {name} has features at strides {strides}; needed are 4, 8, 16 and 32. For a plain"
                " vision transformer use backbone=vit."
            )
        places = [strides.index(stride) for stride in wanted]
        widths = network.feature_info.channels()
        super().__init__([widths[place] for place in places])
        self.network = network
        self.recentred = Recentred(name)
        self._places = places
        self._channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        self._check_sizes(name)
        stages = self._stages()
        if frozen_stages not in (0, 4) and not stages:
            raise ConfigError(
                f"backbone.frozen_stages: found {frozen_stages}; {name} is no row of stages: must be 0, or 4 for all."
            )
        parts = [part for stage in stages[:frozen_stages] for part in stage]
        self.freeze([network] if frozen_stages == 4 else parts)

    def forward(self, images: Tensor) -> Features:
        """[B, 3, S, S] -> {"c2": [B, C2, S/4, S/4], .., "c5": [B, C5, S/32, S/32]}."""
        outputs = self.network(self.recentred(images))
        found = {level: outputs[place] for level, place in zip(LEVELS, self._places, strict=True)}
        return {level: x.permute(0, 3, 1, 2) for level, x in found.items()} if self._channels_last else found

    def parameters_by_depth(self) -> list[list[nn.Parameter]]:
        """The four stages, where the network is made of stages."""
        return [[p for part in stage for p in part.parameters()] for stage in self._stages()]

    def _stages(self) -> list[list[nn.Module]]:
        """The modules of each stage in their order; none where timm does not run them one after another."""
        from timm.models import FeatureListNet

        if not isinstance(self.network, FeatureListNet):
            return []
        returned = list(self.network.return_layers)
        ends = [returned[place] for place in self._places]
        stages: list[list[nn.Module]] = [[]]
        for module_name, module in self.network.items():
            stages[-1].append(module)
            if module_name in ends:
                stages.append([])
        return stages[: len(LEVELS)]

    @torch.no_grad()
    def _check_sizes(self, name: str) -> None:
        """Some networks have windows or tables of positions for one size of picture."""
        self.eval()
        try:
            found = {level: tuple(x.shape[1:]) for level, x in self(torch.zeros(1, 3, *TRIED)).items()}
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ConfigError(
                f"backbone.name: {name} does not take pictures of any size ({reason}); choose another network."
            ) from error
        self.train()
        wanted = {level: (width, *_cells(level)) for level, width in self.channels.items()}
        if found != wanted:
            raise ConfigError(f"backbone.name: {name} gives features of shapes {found}; needed are {wanted}.")


def _cells(level: str) -> Sequence[int]:
    return [side // usual_stride(level) for side in TRIED]


def _of_any_size(name: str, weights: str | None) -> Any:
    try:
        # Swin has this switch. The others either take every size, or fail in the trial.
        return create(name, weights, features_only=True, strict_img_size=False)
    except TypeError:
        return create(name, weights, features_only=True)
