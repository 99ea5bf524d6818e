"""The feature pyramid network."""

from __future__ import annotations

import pytest
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


@pytest.mark.parametrize("finest", ["p2", "p3"])
@pytest.mark.parametrize("read", [["p4"], ["p3", "p5"], ["p3", "p6"], ["p7"], ["c5"]])
def test_only_what_is_read_is_computed_and_is_the_same(finest: str, read: list[str]) -> None:
    torch.manual_seed(0)
    neck = FPN(in_channels=CHANNELS, channels=8, finest=finest)
    inputs = pyramid(40)
    whole = neck(inputs)
    theirs = neck.fpn({level: inputs[level] for level in inputs if level[1:] >= finest[1:]})
    assert list(whole) == list(neck.channels)
    for level, expected in zip(whole, theirs.values(), strict=True):
        torch.testing.assert_close(whole[level], expected)
    called: list[str] = []
    for name, part in neck.named_modules():
        if isinstance(part, torch.nn.Conv2d) and "layer_blocks" in name:
            part.register_forward_hook(lambda *_, name=name: called.append(name))
    some = neck(inputs, read)
    assert list(some) == [level for level in read if level in neck.channels]
    assert len(called) == len({min(level, "p5") for level in some})
    for level, feature in some.items():
        torch.testing.assert_close(feature, whole[level])


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
