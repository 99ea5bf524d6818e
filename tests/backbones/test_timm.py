"""timm networks as backbones (skipped where timm is not installed)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("timm")

import timm
from safetensors.torch import save_file

from vjo_train.backbones.timm import TimmBackbone
from vjo_train.errors import CheckpointError, ConfigError

STRIDES = {"c2": 4, "c3": 8, "c4": 16, "c5": 32}
ROW = ["test_convnext", "test_mambaout", "resnet10t", "swin_s3_tiny_224"]
"""Networks that timm runs module by module: channels first, channels last, with a level at stride 2, windows."""


def whole(name: str) -> Any:
    """timm's own network, with classifier, whose weights are no defaults."""
    torch.manual_seed(1)
    options = {"strict_img_size": False} if name.startswith("swin") else {}
    model = timm.create_model(name, **options).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1 if parameter.ndim > 1 else 0.5)
    return model


def save(model: Any, path: Path) -> str:
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"model": state, "epoch": 3}, path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("test_convnext", ".pth"), *((name, ".safetensors") for name in (*ROW, "test_efficientnet", "mvitv2_tiny"))],
)
@torch.no_grad()
def test_levels_are_timms_own_features_with_weights_from_a_file(name: str, suffix: str, tmp_path: Path) -> None:
    model = whole(name)
    backbone = TimmBackbone(name=name, weights=save(model, tmp_path / f"weights{suffix}")).eval()
    config = model.pretrained_cfg
    pixels = torch.rand(2, 3, 96, 160)

    def normalised(mean: Any, std: Any) -> Tensor:
        return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    found = backbone(normalised((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    theirs = model.forward_intermediates(normalised(config["mean"], config["std"]), intermediates_only=True)
    assert {level: tuple(x.shape[1:]) for level, x in found.items()} == {
        level: (backbone.channels[level], 96 // stride, 160 // stride) for level, stride in STRIDES.items()
    }
    for feature, expected in zip(found.values(), theirs[-4:], strict=True):
        torch.testing.assert_close(feature, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ROW)
def test_frozen_stages_get_no_gradient_and_the_others_do(name: str) -> None:
    backbone = TimmBackbone(name=name, frozen_stages=2).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    features = backbone(torch.randn(2, 3, 64, 64))
    assert [x.requires_grad for x in features.values()] == [False, False, True, True]
    features["c5"].sum().backward()
    by_stage = [[p.grad is not None for p in stage] for stage in backbone.parameters_by_depth()]
    assert [any(stage) for stage in by_stage] == [False, False, True, True]
    assert all(map(all, by_stage[2:]))
    assert sum(map(len, by_stage)) == len(list(backbone.parameters()))
    changed = {key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert not any(key.startswith(("network.layer1", "network.layer2", "network.bn1")) for key in changed)


def test_a_network_that_is_no_row_of_stages_is_frozen_as_a_whole() -> None:
    backbone = TimmBackbone(name="test_efficientnet", frozen_stages=4).train()
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not any(part.training for part in backbone.network.modules())
    with pytest.raises(ConfigError, match=r"backbone.frozen_stages: found 2; test_efficientnet is no row of stages"):
        TimmBackbone(name="test_efficientnet", frozen_stages=2)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"found 'resnet10x'.*did you mean resnet1"):
        TimmBackbone(name="resnet10x")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vit_tiny_patch16_224", "strides.*use backbone=vit"),
        ("test_coatnet", "does not take pictures of any size"),
        ("test_maxvit", "does not take pictures of any size"),
        ("halonet26t", "does not take pictures of any size"),
    ],
)
def test_a_network_that_does_not_give_the_pyramid_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TimmBackbone(name=name)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("test_convnext2", r"does not fit test_convnext: .* is \(.*must be"),
        ("resnet10t", "lacks stem.*is it another network than test_convnext"),
        ("deeper", r"has stages.2.blocks.9.*, which test_convnext lacks"),
        ("damaged", "damaged or no safetensors file"),
    ],
)
def test_weights_of_another_network_are_refused(file: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    if file == "damaged":
        path.write_bytes(b"nothing")
    elif file == "deeper":
        state = timm.create_model("test_convnext").state_dict()
        save_file(state | {"stages.2.blocks.9.gamma": torch.ones(1)}, path)
    else:
        save(timm.create_model(file), path)
    with pytest.raises(CheckpointError, match=said):
        TimmBackbone(name="test_convnext", weights=str(path))


def test_a_network_without_weights_says_so() -> None:
    with pytest.raises(ConfigError, match=r"backbone.weights=imagenet: the weights of nf_resnet26 could not be had"):
        TimmBackbone(name="nf_resnet26", weights="imagenet")
