"""The feature pyramid network."""

from __future__ import annotations

import torch
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from vjo_train.backbones.neck import FPN

CHANNELS = {"c2": 8, "c3": 8, "c4": 16, "c5": 16}


def pyramid(side: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        level: torch.randn(2, width, side >> place, side >> place)
        for place, (level, width) in enumerate(CHANNELS.items())
    }


def test_the_coarse_levels_are_those_of_torchvision() -> None:
    torch.manual_seed(0)
    neck = FPN(in_channels=CHANNELS, channels=8)
    theirs = LastLevelP6P7(8, 8)
    theirs.load_state_dict(neck.fpn.extra_blocks.state_dict())
    for side in (8, 40):  # c5 of one cell, and of five
        found = neck(pyramid(side))
        coarse, names = theirs([found["p5"]], [found["p5"]], ["p5"])
        assert names == ["p5", "p6", "p7"]
        for level, expected in zip(names, coarse, strict=True):
            torch.testing.assert_close(found[level], expected)


def test_gradients_in_bfloat16_are_those_of_float32_down_to_one_cell() -> None:
    torch.manual_seed(0)
    neck = FPN(in_channels=CHANNELS, channels=8)

    def gradients(enabled: bool) -> dict[str, torch.Tensor]:
        neck.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = neck(pyramid(8))
        torch.stack([output.float().sum() for output in outputs.values()]).sum().backward()
        return {
            name: parameter.grad.clone() for name, parameter in neck.named_parameters() if parameter.grad is not None
        }

    exact, rounded = gradients(False), gradients(True)
    for name, gradient in exact.items():
        torch.testing.assert_close(rounded[name], gradient, rtol=0.1, atol=0.1 * float(gradient.abs().max()))
