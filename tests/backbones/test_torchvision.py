"""Backbones: strides, frozen stages, norms, and what wrong weights are answered."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.ops import FrozenBatchNorm2d

from vjo_train.backbones.frozen_norm import FrozenNorm
from vjo_train.backbones.neck import FPN
from vjo_train.backbones.torchvision import ConvNeXt, TorchvisionBackbone
from vjo_train.errors import CheckpointError, ConfigError


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mobilenet_v3_large"])
def test_levels_have_their_strides_and_channels(name: str) -> None:
    backbone = TorchvisionBackbone(name=name).eval()  # type: ignore[arg-type]
    features = backbone(torch.zeros(1, 3, 64, 64))
    for level, stride in zip(("c2", "c3", "c4", "c5"), (4, 8, 16, 32), strict=True):
        assert features[level].shape == (1, backbone.channels[level], 64 // stride, 64 // stride)


def test_the_last_stage_is_the_feature_of_the_whole_network() -> None:
    whole = get_model("resnet18", weights=None).eval()
    path_images = torch.randn(2, 3, 64, 64)
    backbone = TorchvisionBackbone(name="resnet18").eval()
    stages = nn.Sequential(*backbone.stages)
    whole_body = nn.Sequential(*list(whole.children())[:-2])
    stages.load_state_dict(dict(zip(stages.state_dict(), whole_body.state_dict().values(), strict=True)), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(backbone(path_images)["c5"], whole_body(path_images))


def test_convnext_has_the_same_pyramid() -> None:
    backbone = ConvNeXt().eval()
    features = backbone(torch.zeros(1, 3, 64, 64))
    assert [features[level].shape[1:] for level in ("c2", "c5")] == [(96, 16, 16), (768, 2, 2)]


def test_frozen_stages_get_no_gradient_and_keep_their_statistics() -> None:
    backbone = TorchvisionBackbone(name="resnet18", frozen_stages=2).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))["c5"].sum().backward()
    for stage in backbone.stages[:2]:
        assert all(p.grad is None for p in stage.parameters())
    changed = {key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all(key.startswith(("stages.2", "stages.3")) for key in changed)


@pytest.mark.parametrize("norm", ["batch", "frozen"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mobilenet_v3_large"])
def test_loaded_weights_mean_what_they_mean_to_torchvision(name: str, norm: str, tmp_path: Path) -> None:
    model = get_model(name, weights=None).eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):  # small variances, where eps counts
            nn.init.uniform_(part.running_var, 0.002, 0.01)
            nn.init.uniform_(part.weight, 0.1, 0.3)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    backbone = TorchvisionBackbone(name=name, weights=str(tmp_path / "weights.pth"), norm=norm).eval()  # type: ignore[arg-type]
    images = torch.randn(2, 3, 64, 64)
    whole = model.features if hasattr(model, "features") else nn.Sequential(*list(model.children())[:-2])
    with torch.no_grad():
        found, expected = backbone(images)["c5"], whole(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.std()))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_frozen_norm_is_torchvisions_in_the_type_of_its_input(kind: torch.dtype) -> None:
    norm, theirs = FrozenNorm(8), FrozenBatchNorm2d(8)
    for buffer in norm.buffers():
        nn.init.uniform_(buffer, 0.5, 2.0)
    theirs.load_state_dict(norm.state_dict(), strict=True)
    features = torch.randn(2, 8, 5, 5, dtype=kind, requires_grad=True)
    found, expected = norm(features), theirs(features)
    assert found.dtype == kind
    torch.testing.assert_close(found.float(), expected.float(), rtol=1e-5 if kind == torch.float32 else 0.02, atol=0.02)
    (mine,), (other,) = (torch.autograd.grad(y.float().sum(), features) for y in (found, expected))
    torch.testing.assert_close(mine, other, rtol=0.01, atol=1e-6)


def test_frozen_norm_keeps_the_loaded_statistics(tmp_path: Path) -> None:
    model = get_model("resnet18", weights=None)
    model.bn1.running_mean.fill_(0.5)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    backbone = TorchvisionBackbone(name="resnet18", weights=str(tmp_path / "weights.pth"), norm="frozen").train()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
    first = next(m for m in backbone.modules() if isinstance(m, FrozenBatchNorm2d))
    backbone(torch.randn(2, 3, 64, 64))
    assert torch.equal(first.running_mean, torch.full((64,), 0.5))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large"])
def test_group_norm_does_not_look_at_the_other_images(name: str) -> None:
    backbone = TorchvisionBackbone(name=name, norm="group").train()  # type: ignore[arg-type]
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images)["c5"][:1], backbone(images[:1])["c5"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("finest", ["p2", "p3"])
def test_the_neck_gives_equal_channels_down_to_its_finest_level(finest: str) -> None:
    backbone = TorchvisionBackbone(name="resnet18").eval()
    neck = FPN(in_channels=backbone.channels, channels=32, finest=finest)  # type: ignore[arg-type]
    outputs = neck(backbone(torch.zeros(1, 3, 128, 128)))
    assert sorted(outputs) == sorted(neck.channels) == [f"p{n}" for n in range(int(finest[1]), 8)]
    assert all(f.shape[1] == 32 and f.shape[2] == 128 // 2 ** int(level[1]) for level, f in outputs.items())


def test_mistakes_about_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"backbone.weights: found 'nowhere.pth'"):
        TorchvisionBackbone(name="resnet18", weights="nowhere.pth")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=r"backbone.weights: .*broken.pth is refused"):
        TorchvisionBackbone(name="resnet18", weights=str(broken))
    broken.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"backbone.weights: .*broken.pth is damaged"):
        TorchvisionBackbone(name="resnet18", weights=str(broken))
    other = tmp_path / "other.pth"
    torch.save(get_model("mobilenet_v3_large", weights=None).state_dict(), other)
    with pytest.raises(CheckpointError, match=r"other.pth"):
        TorchvisionBackbone(name="resnet18", weights=str(other))
    with pytest.raises(ConfigError, match="made for BatchNorm"):
        TorchvisionBackbone(name="resnet18", weights=str(other), norm="group")
