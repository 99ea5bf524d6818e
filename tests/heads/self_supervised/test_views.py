"""What is done to pictures, and what the heads learn and are measured by."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from tests import tiny
from vjo_train.backbones.neck import FPN
from vjo_train.errors import ConfigError
from vjo_train.heads.self_supervised.base import SelfSupervised
from vjo_train.heads.self_supervised.colour import Colour
from vjo_train.heads.self_supervised.masked import Hidden, Masked, normalised
from vjo_train.heads.self_supervised.rotation import Rotation
from vjo_train.types import MEAN_COLOUR, Batch, Features, Target

CHANNELS = {f"{kind}{k}": 16 for kind in "cp" for k in range(2, 8)}
SIZES = [(64, 64), (40, 64), (64, 24), (5, 64)]


class Mine(Masked):
    """A user's own."""


def pictures(sizes: list[tuple[int, int]] = SIZES) -> Batch:
    """Noise at the top left of a canvas of the mean colour."""
    batch = tiny.batch(len(sizes))
    for image, (height, width) in zip(batch.images, sizes, strict=True):
        rest = torch.ones(tiny.SIZE, tiny.SIZE, dtype=torch.bool)
        rest[:height, :width] = False
        image[:, rest] = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)[:, None]
    batch.targets = [Target(size) for size in sizes]
    return batch


def rotation() -> Rotation:
    return Rotation(channels=CHANNELS)


def masked(**options: float) -> Masked:
    return Masked(channels=CHANNELS, width=16, patch=8, **options)  # type: ignore[arg-type]


def test_a_turned_square_of_the_picture_turns_back_into_it() -> None:
    batch, turns = pictures(), set()
    for seed in range(12):
        views = rotation().views(batch, [seed] * len(batch))
        for image, source, target, (height, width) in zip(
            views.images, batch.images, views.targets, SIZES, strict=True
        ):
            side = min(height, width)
            assert target.size == (side, side)
            turns.add(int(target["rotation"]))
            back = torch.rot90(image[:, :side, :side], -int(target["rotation"]), (1, 2))
            parts = source[:, :height, :width].unfold(1, side, 1).unfold(2, side, 1)
            assert (parts == back[:, None, None]).all(-1).all(-1).all(0).any()
            assert (image[:, side:] == torch.tensor(MEAN_COLOUR)[:, None, None]).all()
    assert turns == {0, 1, 2, 3}


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_hidden_patches_have_the_mean_colour_and_all_else_is_as_it_was(share: float) -> None:
    batch = pictures()
    views = masked(share=share).views(batch, [3] * len(batch))
    assert views.targets[3].labelled == frozenset()  # 5 pixels high: no whole patch
    assert torch.equal(views.images[3], batch.images[3])
    for image, source, target in zip(views.images[:3], batch.images, views.targets, strict=False):
        rows, columns = (length // 8 for length in target.size)
        hidden = target["masked"]
        assert len(hidden.places) == max(1, min(round(share * rows * columns), rows * columns - 1))
        restored = image.clone()
        for (row, column), pixels in zip(hidden.places.tolist(), hidden.pixels, strict=True):
            place = (slice(None), slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
            assert (image[place] == torch.tensor(MEAN_COLOUR)[:, None, None]).all()
            restored[place] = pixels
        assert torch.equal(restored, source)


def test_a_grey_picture_and_its_colours_are_those_of_another_implementation() -> None:
    batch = pictures()
    views = Colour(channels=CHANNELS, width=16).views(batch, [0] * len(batch))
    for image, source, target, (height, width) in zip(views.images, batch.images, views.targets, SIZES, strict=True):
        assert target.size == (height, width)
        picture = source[:, :height, :width].permute(1, 2, 0).contiguous().numpy()
        luma, red, blue = np.moveaxis(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.float32), -1, 0)
        assert np.abs(image[:, :height, :width].numpy() - luma).max() <= 1
        differences = np.stack([blue, red]) - 128
        size = np.sqrt((differences**2).mean())
        np.testing.assert_allclose(target["colour"].numpy(), differences / size, atol=1.5 / size)
        assert float(target["colour"].square().mean()) == pytest.approx(1, abs=1e-4)


def test_a_picture_without_colours_teaches_none_and_who_predicts_grey_has_the_error_1() -> None:
    batch, head = pictures(), Colour(channels=CHANNELS, width=16)
    batch.images[1] = batch.images[1, :1]
    batch.images[0, 0], batch.images[0, 1:] = 200, 80  # one colour
    views = head.views(batch, [0] * 4)
    assert [head.labelled(target) for target in views.targets] == [True, False, True, True]
    outputs = torch.zeros(4, 2, 8, 8)
    torch.testing.assert_close(head.loss(outputs, views.targets), torch.tensor([1.0, 0, 1, 1]), atol=1e-4, rtol=0)
    outputs[0] = views.targets[0]["colour"][:, :1, :1]
    assert float(head.loss(outputs, views.targets)[0]) == pytest.approx(0, abs=1e-6)
    metrics = head.metrics()
    metrics.update(head.decode(outputs, views), views.targets)
    assert float(metrics.compute()["r2"]) == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.parametrize("head", [rotation(), masked()], ids=["rotation", "masked"])
def test_a_view_depends_on_its_picture_and_seed_alone(head: SelfSupervised) -> None:
    batch, before = pictures(), torch.get_rng_state()
    whole, last = head.views(batch, [1, 2, 3, 4]), head.views(batch.part(slice(2, 3)), [3])
    assert torch.equal(whole.images[2], last.images[0])
    assert not torch.equal(head.views(batch, [5, 6, 7, 8]).images[0], whole.images[0])
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(batch.images, pictures().images)


def test_who_predicts_the_mean_has_the_error_1_and_who_predicts_the_pixels_0() -> None:
    head, metrics = masked(), masked().metrics()
    views = head.views(pictures(), [0, 1, 2, 3])
    mean, right = torch.zeros(4, 3, 64, 64), torch.zeros(4, 3, 64, 64)
    for map_, target in zip(right, views.targets[:3], strict=False):
        hidden = target["masked"]
        for (row, column), pixels in zip(hidden.places.tolist(), normalised(hidden.pixels), strict=True):
            map_[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = pixels
    for outputs, loss in ((mean, 1.0), (right, 0.0)):
        torch.testing.assert_close(
            head.loss(outputs, views.targets), torch.tensor([loss, loss, loss, 0]), atol=1e-3, rtol=0
        )
        metrics.reset()
        metrics.update(head.decode(outputs, views), views.targets)
        assert float(metrics.compute()["r2"]) == pytest.approx(1 - loss, abs=1e-6)


def test_a_flat_patch_has_nothing_to_be_found_out() -> None:
    pixels = torch.full((1, 3, 8, 8), 90, dtype=torch.uint8)
    assert normalised(pixels).abs().max() < 1e-3
    pixels[0, 0, 0, 0] = 92  # an odd pixel is not blown up
    assert normalised(pixels).abs().max() < 1.5


def test_turns_are_judged_against_chance() -> None:
    head, metrics = rotation(), rotation().metrics()
    targets = [Target((8, 8), {"rotation": torch.tensor(k % 4)}) for k in range(8)] + [Target((8, 8))]
    torch.testing.assert_close(head.loss(torch.zeros(9, 4), targets), torch.tensor([1.0] * 8 + [0.0]))
    metrics.update(head.decode(torch.eye(4)[:1].expand(9, 4), tiny.batch(9)), targets)
    assert float(metrics.compute()["top1"]) == 0.25


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_losses_start_at_about_1_and_have_gradients(precision: torch.dtype) -> None:
    torch.manual_seed(0)
    backbone = tiny.TinyBackbone()
    neck = FPN(in_channels=backbone.channels, channels=16)
    batch = tiny.batch(8)
    for head in (Rotation(channels=backbone.channels), masked(), Colour(channels=CHANNELS, width=16)):
        views = head.views(batch, range(8))
        with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
            pyramid = backbone((views.images.float() - 128) / 64)
            features: Features = {**pyramid, **neck(pyramid)}
            losses = head.loss(head(features), views.targets)
        assert losses.dtype == torch.float32
        assert float(losses.mean().detach()) == pytest.approx(1, abs=0.1)
        losses.mean().backward()
        grads = [p.grad for p in (*backbone.parameters(), *head.parameters()) if p.grad is not None]
        assert all(g.isfinite().all() for g in grads)
        assert math.fsum(float(g.abs().sum()) for g in grads) > 0
        backbone.zero_grad()


def test_a_patch_must_fit_on_the_canvas() -> None:
    with pytest.raises(ConfigError, match=r"heads.masked.patch: found 65; must be at most 64"):
        Masked(channels=CHANNELS, patch=65).views(pictures(), [0] * 4)


def test_labels_go_to_the_device_with_their_batch() -> None:
    views = masked().views(pictures(), [0, 1, 2, 3])
    moved = views.to("meta")
    hidden = moved.targets[0]["masked"]
    assert isinstance(hidden, Hidden)
    assert hidden.pixels.device.type == "meta"
