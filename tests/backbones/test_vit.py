"""Plain vision transformers and the simple feature pyramid (skipped where timm is not installed)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytest.importorskip("timm")

import timm

from vjo_train.backbones.simple_pyramid import SimplePyramid
from vjo_train.backbones.vit import ViT
from vjo_train.errors import CheckpointError, ConfigError

STRIDES = {"c2": 4, "c3": 8, "c4": 16, "c5": 32}


def whole(name: str, **options: Any) -> Any:
    torch.manual_seed(2)
    model = timm.create_model(name, dynamic_img_size=True, **options).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize("canvas", [(96, 160), (32, 64), (72, 100)])
@pytest.mark.parametrize("name", ["test_vit", "test_vit3"])
def test_levels_have_their_strides_on_any_canvas_and_every_parameter_learns(name: str, canvas: tuple[int, int]) -> None:
    backbone = ViT(name=name)
    features = backbone(torch.randn(2, 3, *canvas))
    cells = {level: tuple(-(-side // 16) for side in canvas) for level in STRIDES}
    wanted = {
        "c2": tuple(4 * n for n in cells["c2"]),
        "c3": tuple(2 * n for n in cells["c3"]),
        "c4": cells["c4"],
        "c5": tuple(-(-n // 2) for n in cells["c5"]),
    }
    assert {level: tuple(x.shape[2:]) for level, x in features.items()} == wanted
    assert {level: x.shape[1] for level, x in features.items()} == backbone.channels
    assert backbone.strides == STRIDES
    torch.stack([x.square().sum() for x in features.values()]).sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


@torch.no_grad()
def test_the_map_is_timms_own_last_feature_with_weights_from_a_file(tmp_path: Path) -> None:
    model = whole("test_vit")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    backbone = ViT(name="test_vit", weights=str(tmp_path / "weights.pth")).eval()
    pixels = torch.rand(2, 3, 96, 160)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    tokens = model.forward_features((pixels - 0.5) / 0.5)[:, 1:]
    expected = tokens.mT.reshape(2, -1, 6, 10)
    features = backbone((pixels - mean) / std)
    torch.testing.assert_close(features["c4"], expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(features["c5"], F.max_pool2d(features["c4"], 2))


@torch.no_grad()
def test_other_patches_see_the_picture_resized_so_that_cells_stay_16_pixels() -> None:
    """Of a network whose patches are 14 pixels wide, on 96 x 160: a grid of 6 x 10, from a picture of 84 x 140."""
    backbone = ViT(name="eva02_tiny_patch14_224").eval()
    images = torch.randn(1, 3, 96, 160)
    seen: list[torch.Tensor] = []
    backbone.network.patch_embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features = backbone(images)
    assert features["c4"].shape[2:] == (6, 10)
    expected = F.interpolate(backbone.recentred(images), size=(84, 140), mode="bilinear")
    torch.testing.assert_close(seen[0], expected)


def test_the_pyramid_puts_cells_where_the_map_has_them() -> None:
    """A single lit cell lights the cells of every level that lie in it, and no others."""
    pyramid = SimplePyramid(16)
    for layer in pyramid.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            nn.init.zeros_(layer.bias)
    lit = torch.zeros(1, 16, 4, 4)
    lit[..., 2, 1] = torch.randn(16)
    for level, x in pyramid(lit).items():
        size = 64 // STRIDES[level]
        place = x[0].abs().sum(0).nonzero() * STRIDES[level] // 16 if level != "c5" else None
        assert x.shape[2] == size
        if place is not None:
            assert {tuple(p) for p in place.tolist()} == {(2, 1)}
            assert len(place) == (16 // STRIDES[level]) ** 2
    assert pyramid(lit)["c5"][0].abs().sum(0).nonzero().tolist() == [[1, 0]]


@pytest.mark.parametrize(("stages", "blocks"), [(1, 1), (2, 3), (3, 4), (4, 6)])
def test_frozen_quarters_get_no_gradient(stages: int, blocks: int) -> None:
    backbone = ViT(name="test_vit", frozen_stages=stages).train()
    torch.stack([x.sum() for x in backbone(torch.randn(1, 3, 64, 64)).values()]).sum().backward()
    trained = [any(p.grad is not None for p in layer) for layer in backbone.parameters_by_depth()]
    assert trained == [False] * (blocks + 1) + [True] * (6 - blocks)
    assert [block.training for block in backbone.network.blocks] == [False] * blocks + [True] * (6 - blocks)
    assert all(p.grad is not None for p in backbone.pyramid.parameters())
    assert any(p.requires_grad for p in backbone.network.norm.parameters()) == (stages < 4)


def test_layers_are_the_embedding_and_the_blocks_each_parameter_once() -> None:
    backbone = ViT(name="test_vit")
    layers = backbone.parameters_by_depth()
    names = {id(p): name for name, p in backbone.named_parameters()}
    found = [{names[id(p)] for p in layer} for layer in layers]
    embedding = {"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert found[0] == {f"network.{name}" for name in embedding}
    for place, layer in enumerate(found[1:]):
        assert all(name.startswith(f"network.blocks.{place}.") for name in layer)
    left = set(names.values()) - set.union(*found)
    assert all(name.startswith(("network.norm.", "pyramid.")) for name in left)


@pytest.mark.parametrize("name", ["resnet18", "beit_base_patch16_224", "test_vit_relpos"])
def test_other_networks_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"backbone.name: {name} is no plain vision transformer"):
        ViT(name=name)


def test_weights_of_another_depth_are_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_vit", depth=7).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"has blocks.6.*, which test_vit lacks"):
        ViT(name="test_vit", weights=str(tmp_path / "weights.pth"))
