"""Depth, normals, edges and saliency: what is decoded, partial labels, and that they learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.errors import ConfigError
from vjo_train.heads.pixels.base import PixelHead
from vjo_train.heads.pixels.binary import Edges, Saliency
from vjo_train.heads.pixels.depth import Depth
from vjo_train.heads.pixels.normals import Normals
from vjo_train.types import IGNORE, Batch, Features, Frames, Target

STRIDES = {"c5": 32, "p2": 4, "p3": 8, "p4": 16, "p5": 32}
CHANNELS = dict.fromkeys(STRIDES, 16)
HEADS = {"depth": Depth, "normals": Normals, "edges": Edges, "saliency": Saliency}
SIDE = 64


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def head(name: str, **options: Any) -> PixelHead:
    torch.manual_seed(0)
    made = HEADS[name](channels=CHANNELS, **({"width": 16} | options))
    assert isinstance(made, PixelHead)
    return made


def features(batch: int) -> Features:
    generator = torch.Generator().manual_seed(1)
    return {
        level: torch.randn(batch, 16, SIDE // step, SIDE // step, generator=generator)
        for level, step in STRIDES.items()
    }


def label(name: str, seed: int = 0) -> Tensor:
    """A truth that is the same in the left and in the right half, and unknown in the lowest rows."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.arange(SIDE) < SIDE // 2
    if name == "depth":
        found = torch.where(left, 2.0, 5.0).expand(SIDE, SIDE).clone()
        found[-9:] = torch.nan
        return found
    if name == "normals":
        vectors = F.normalize(torch.randn(3, 2, generator=generator), dim=0)
        found = torch.where(left, vectors[:, :1], vectors[:, 1:])[:, None].expand(3, SIDE, SIDE).clone()
        found[:, -9:] = torch.nan
        return found
    binary = left.to(torch.uint8).expand(SIDE, SIDE).clone()
    binary[-9:] = IGNORE
    return binary


def batch(size: tuple[int, int], original: tuple[int, int]) -> Batch:
    return Batch(
        images=torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8),
        targets=[Target(size)],
        ids=["a"],
        scales=torch.tensor([size[0] / original[0]]),
        tasks=(),
        originals=[Target(original)],
    )


@pytest.mark.parametrize("name", HEADS)
def test_an_image_without_the_label_costs_nothing(name: str) -> None:
    own = head(name)
    outputs = own(features(3))
    targets = [
        Target((SIDE, SIDE), {name: label(name)}),
        Target((SIDE, SIDE)),
        Target((SIDE, SIDE), {name: label(name)}),
    ]
    losses = own.loss(outputs, targets)
    assert losses.shape == (3,)
    assert losses[1] == 0
    alone = own.loss(outputs[2:], targets[2:])
    torch.testing.assert_close(losses[2:], alone)
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    assert gradient.isfinite().all()
    assert not gradient[1].any()
    assert own.loss(outputs, [Target((SIDE, SIDE))] * 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", HEADS)
def test_what_is_decoded_lies_on_the_file(name: str) -> None:
    """The left half of the file shows what the left half of the canvas does; sizes are the file's."""
    own, given = head(name), batch((32, 48), (64, 96))
    outputs = own(features(1))
    outputs = outputs[:, :, :1, :1].expand_as(outputs).clone()
    outputs[..., 3:] = -outputs[..., 3:]  # from column 24 of the canvas, 48 of the file
    (found,) = own.decode(outputs, given)
    assert found.shape[-2:] == (64, 96)
    assert torch.allclose(found[..., :30], found[..., :1].expand_as(found[..., :30]), atol=1e-6)
    assert torch.allclose(found[..., -30:], found[..., -1:].expand_as(found[..., -30:]), atol=1e-6)
    assert not torch.allclose(found[..., 0], found[..., -1])


@pytest.mark.parametrize("name", HEADS)
def test_the_exported_map_is_the_decoded_one(name: str) -> None:
    own, given = head(name), batch((SIDE, SIDE), (SIDE, SIDE))
    outputs = own(features(1))
    frames = Frames.of_files(torch.tensor([[SIDE, SIDE]]), (SIDE, SIDE))
    torch.testing.assert_close(own.decoded(outputs, frames)["map"][0], own.decode(outputs, given)[0])


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("rates", [None, [1, 2]])
def test_it_learns_two_halves(name: str, rates: list[int] | None) -> None:
    levels = ["p3", "p4"] if rates is None else ["p3"]
    own, seen = head(name, levels=levels, rates=rates, dropout=0.0), features(1)
    for level, values in seen.items():
        if level in levels:
            values[:, 0] = torch.linspace(-1, 1, values.shape[-1]).sign()
    target = Target((SIDE, SIDE), {name: label(name)})
    optimizer = torch.optim.Adam(own.parameters(), lr=0.01)
    start = float(own.loss(own(seen), [target]).detach())
    for _ in range(60):
        loss = own.loss(own(seen), [target]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert 0.1 < start < 3, "about 1"
    assert float(loss.detach()) < 0.25 * start
    metrics = own.metrics()
    metrics.update(own.decode(own(seen), batch((SIDE, SIDE), (SIDE, SIDE))), [target])
    assert float(metrics.compute()[own.monitor]) > 0.9


def test_an_untrained_depth_is_typical() -> None:
    own = head("depth", typical=7.0)
    torch.testing.assert_close(own.finished(torch.zeros(1, 1, 2, 2)), torch.full((1, 2, 2), 7.0), rtol=1e-4, atol=0)
    assert (own.finished(torch.full((1, 1, 2, 2), -1e4)) > 0).all()


def test_several_levels_cannot_be_pooled() -> None:
    with pytest.raises(ConfigError, match=r"heads\.depth\.levels: found p3, p4; with heads\.depth\.rates"):
        head("depth", levels=["p3", "p4"], rates=[3])
    with pytest.raises(ConfigError, match=r"heads\.edges\.levels: found p9"):
        head("edges", levels=["p9"])


def test_images_without_a_known_pixel_are_left_out_of_the_figures() -> None:
    metrics = head("depth").metrics()
    empty = torch.full((4, 4), torch.nan)
    metrics.update([torch.ones(4, 4)] * 2, [Target((4, 4), {"depth": empty}), Target((4, 4))])
    metrics.update([torch.ones(4, 4)], [Target((4, 4), {"depth": torch.ones(4, 4)})])
    assert float(metrics.compute()["delta1"]) == 1
