"""Which parameters are decayed, and at which rate each learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vjo_train.backbones.torchvision import ConvNeXt, TorchvisionBackbone
from vjo_train.errors import ConfigError
from vjo_train.optim.optimizers import SGD, AdamW, parameter_groups


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)
        self.weighting = nn.ParameterDict({"matrix": nn.Parameter(torch.ones(2, 2))})


def test_norms_biases_and_learned_weights_are_not_decayed() -> None:
    net = _Net()
    groups = parameter_groups(net.named_parameters(), lr=1.0, weight_decay=0.1, backbone_lr_factor=0.5)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    expected = {
        "backbone.0.weight": (0.5, 0.1),
        "backbone.0.bias": (0.5, 0.0),
        "backbone.1.weight": (0.5, 0.0),
        "backbone.1.bias": (0.5, 0.0),
        "head.weight": (1.0, 0.1),
        "head.bias": (1.0, 0.0),
        "weighting.matrix": (1.0, 0.0),
    }
    assert {name: found[id(p)] for name, p in net.named_parameters()} == expected


def test_layer_scale_is_not_decayed() -> None:
    scales = [(n, p) for n, p in ConvNeXt().named_parameters() if n.endswith("layer_scale")]
    (group,) = parameter_groups(scales, lr=1.0, weight_decay=0.1, backbone_lr_factor=1.0)
    assert scales
    assert group["weight_decay"] == 0.0


def test_frozen_parameters_are_left_out() -> None:
    net = _Net()
    net.backbone.requires_grad_(False)
    optimizer = AdamW(lr=0.1).build(net)
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {
        id(p) for n, p in net.named_parameters() if not n.startswith("backbone")
    }


def test_the_optimizer_settings_reach_torch() -> None:
    optimizer = SGD(lr=0.1, momentum=0.8, nesterov=True).build(_Net())
    assert all(g["momentum"] == 0.8 and g["nesterov"] for g in optimizer.param_groups)


class _Layers(nn.Module):
    """Three layers and a last norm, which is in none of them; inside, a part with a rate of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.norm = nn.LayerNorm(2)
        self.unit = nn.Linear(2, 2)
        self.unit.lr_factor = 7.0  # type: ignore[assignment]

    def parameters_by_depth(self) -> list[list[nn.Parameter]]:
        return [list(layer.parameters()) for layer in self.layers]


def _layered(copies: int = 1) -> nn.Module:
    net = nn.Module()
    net.backbone = nn.ModuleList(_Layers() for _ in range(copies))
    net.head = nn.Linear(2, 2)
    return net


@pytest.mark.parametrize("copies", [1, 2])
def test_each_layer_learns_slower_than_the_one_behind_it(copies: int) -> None:
    """With layer_decay d and L layers: d ** L at the image, d at the last one, 1 behind it (BEiT, ViTDet)."""
    net = _layered(copies)
    optimizer = AdamW(lr=0.1, weight_decay=0.01, backbone_lr_factor=0.5, layer_decay=0.8).build(net)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert len(found) == len(list(net.parameters()))
    for copy in range(copies):
        part = net.get_submodule(f"backbone.{copy}")
        for place in range(3):
            layer = part.get_submodule(f"layers.{place}")
            rate = 0.1 * 0.5 * 0.8 ** (3 - place)
            assert found[id(layer.weight)] == (pytest.approx(rate), 0.01)
            assert found[id(layer.bias)] == (pytest.approx(rate), 0.0)
        assert found[id(part.norm.weight)] == (pytest.approx(0.05), 0.0)
        assert found[id(part.unit.weight)] == (pytest.approx(0.7), 0.0)
    assert found[id(net.head.weight)] == (0.1, 0.01)


def test_without_layer_decay_the_groups_are_those_of_networks_that_know_no_layers() -> None:
    net = _layered()
    plain = parameter_groups(
        net.named_parameters(), lr=0.1, weight_decay=0.01, backbone_lr_factor=0.5, own_rates={"backbone.0.unit": 7.0}
    )
    built = AdamW(lr=0.1, weight_decay=0.01, backbone_lr_factor=0.5).build(net).param_groups
    assert [(g["name"], g["lr"], len(g["params"])) for g in built] == [
        (g["name"], g["lr"], len(g["params"])) for g in plain
    ]


def test_layer_decay_needs_a_backbone_that_knows_its_layers() -> None:
    with pytest.raises(ConfigError, match=r"optimizer.layer_decay: found 0.9, but the backbone does not know"):
        AdamW(lr=0.1, layer_decay=0.9).build(_Net())
    with pytest.raises(ConfigError, match=r"optimizer.layer_decay: found 0.9"):
        AdamW(lr=0.1, layer_decay=0.9).check(_Net())  # before the data set is read
    AdamW(lr=0.1).check(_Net())


def test_stages_of_a_convolutional_backbone_are_its_layers() -> None:
    backbone = TorchvisionBackbone(name="resnet18", frozen_stages=1)
    net = nn.ModuleDict({"backbone": backbone})
    groups = AdamW(lr=1.0, layer_decay=0.5).build(net).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    for place, stage in enumerate(backbone.stages):
        expected = [] if place == 0 else [0.5 ** (4 - place)]
        assert sorted({rates[id(p)] for p in stage.parameters() if id(p) in rates}) == expected


def test_tokens_and_tables_of_positions_are_not_decayed() -> None:
    net = nn.Module()
    for name in ("pos_embed", "cls_token", "reg_token", "relative_position_bias_table", "weight"):
        net.register_parameter(name, nn.Parameter(torch.zeros(1, 2, 3)))
    groups = AdamW(lr=0.1, weight_decay=0.1).build(net).param_groups
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(net.weight)}
