"""Which parameters are decayed, and at which rate each learns."""

from __future__ import annotations

import torch
from torch import nn

from vjo_train.backbones.torchvision import ConvNeXt
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
