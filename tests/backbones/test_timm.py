"""timm networks as backbones (skipped where timm is not installed)."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("timm")

from vjo_train.backbones.timm import TimmBackbone
from vjo_train.errors import ConfigError


def test_a_timm_network_gives_the_same_pyramid() -> None:
    backbone = TimmBackbone(name="resnet10t").eval()
    features = backbone(torch.zeros(1, 3, 64, 64))
    assert {level: f.shape[2] for level, f in features.items()} == {"c2": 16, "c3": 8, "c4": 4, "c5": 2}
    assert {level: f.shape[1] for level, f in features.items()} == backbone.channels


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"found 'resnet10x'.*did you mean resnet1"):
        TimmBackbone(name="resnet10x")


def test_a_network_without_a_pyramid_is_refused() -> None:
    with pytest.raises(ConfigError, match="strides"):
        TimmBackbone(name="vit_tiny_patch16_224")
