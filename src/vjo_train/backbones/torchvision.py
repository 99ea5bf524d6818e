"""ResNets, MobileNets and ConvNeXt from torchvision, cut into four stages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import nn
from torchvision.models import get_model
from torchvision.models.resnet import BasicBlock, ResNet

from vjo_train.backbones.base import LEVELS, Backbone
from vjo_train.backbones.frozen_norm import FrozenNorm
from vjo_train.backbones.weights import load_weights
from vjo_train.config.rules import check_norm, check_output_stride
from vjo_train.group_norm import GroupNorm
from vjo_train.types import usual_stride

# Where the four stages of a `features` Sequential end.
_ENDS = {
    "mobilenet_v2": (4, 7, 14, 19),
    "mobilenet_v3_large": (4, 7, 13, 17),
    "convnext_tiny": (2, 4, 6, 8),
}


class TorchvisionBackbone(Backbone):
    """A torchvision classification network without its classifier.

    Args:
        name: the network; `resnet10` is a ResNet-18 with one block a stage instead of two, for small machines, and
            has no ImageNet weights.
        weights: `imagenet`, a file with torchvision's state dict, or None for random weights.
        frozen_stages: how many stages, from the image on, are not trained.
        output_stride: pixels of the canvas per cell of `c5`. 16 and 8 (DeepLab; Chen et al. 2017) are for ResNets of
            bottlenecks: the last one or two stages dilate their convolutions in place of halving their resolution, with
            the same weights. The neck cannot be built on them.
        norm: `batch` trains BatchNorm; `frozen` keeps its statistics and affine weights as they were loaded: for
            small batches and fine-tuning; `group` is GroupNorm with 16 channels a group: no dependence on the
            batch, for small batches from random weights.

    Raises:
        ConfigError: `norm=group` with weights (they are made for BatchNorm), or a network that cannot be dilated.
    """

    def __init__(
        self,
        *,
        name: Literal[
            "resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2", "mobilenet_v3_large"
        ],
        weights: str | None = None,
        frozen_stages: Annotated[int, Interval(ge=0, le=4)] = 0,
        output_stride: Literal[32, 16, 8] = 32,
        norm: Literal["batch", "frozen", "group"] = "batch",
    ) -> None:
        if norm == "group":
            check_norm(norm, weights)
        check_output_stride(name, output_stride)
        layers: dict[str, Callable[..., nn.Module]] = {
            "batch": nn.BatchNorm2d,
            "frozen": FrozenNorm,
            "group": _group_norm,
        }
        layer = layers[norm]
        if norm != "group" and name.startswith("mobilenet_v3"):
            # What the network has where no layer is given, and its weights were trained with.
            layer = partial(layer, eps=0.001)
        if name == "resnet10":
            model: nn.Module = ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=layer)
        elif output_stride < 32:
            dilated = [False, output_stride < 16, True]
            model = get_model(name, weights=None, norm_layer=layer, replace_stride_with_dilation=dilated)
        else:
            model = get_model(name, weights=None, norm_layer=layer)
        load_weights(model, name, weights)
        stages = _stages(model, name)
        strides = {level: min(usual_stride(level), output_stride) for level in LEVELS}
        super().__init__(stages, _channels(stages), frozen_stages, strides)


class ConvNeXt(Backbone):
    """ConvNeXt-Tiny (Liu et al. 2022), which normalises by LayerNorm and so does not depend on the batch.

    Args:
        weights: `imagenet`, a file with torchvision's state dict, or None for random weights.
        frozen_stages: how many stages, from the image on, are not trained.
    """

    def __init__(self, *, weights: str | None = None, frozen_stages: Annotated[int, Interval(ge=0, le=4)] = 0) -> None:
        model = get_model("convnext_tiny", weights=None)
        load_weights(model, "convnext_tiny", weights)
        stages = _stages(model, "convnext_tiny")
        super().__init__(stages, _channels(stages), frozen_stages)


def _group_norm(channels: int) -> GroupNorm:
    # MobileNets have layers of 8, 24 or 40 channels: 8 divides them all.
    return GroupNorm(channels // (16 if channels % 16 == 0 else 8), channels)


def _stages(model: nn.Module, name: str) -> list[nn.Module]:
    if name.startswith("resnet"):
        parts = dict(model.named_children())
        stem = [parts[key] for key in ("conv1", "bn1", "relu", "maxpool", "layer1")]
        return [nn.Sequential(*stem), parts["layer2"], parts["layer3"], parts["layer4"]]
    layers = list(model.features)  # type: ignore[arg-type]
    ends = _ENDS[name]
    return [nn.Sequential(*layers[start:end]) for start, end in zip((0, *ends), ends, strict=False)]


def _channels(stages: list[nn.Module]) -> list[int]:
    """By a trial run, so that no table can go stale."""
    images, channels = torch.zeros(1, 3, 64, 64), []
    modes = [stage.training for stage in stages]
    with torch.no_grad():
        for stage in stages:
            images = stage.eval()(images)
            channels.append(images.shape[1])
    for stage, mode in zip(stages, modes, strict=True):
        stage.train(mode)
    return channels
