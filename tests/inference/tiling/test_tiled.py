"""Networks that are plain functions of the pixels say the same of a picture whether it is cut or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tiny import module
from vjo_train.data.letterbox import Picture, blank, letterbox
from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head
from vjo_train.heads.classification import Classification
from vjo_train.heads.instance.base import InstanceHead
from vjo_train.heads.instance.mnc import MNC
from vjo_train.heads.pixels.depth import Depth
from vjo_train.heads.semantic import SemanticFPN
from vjo_train.inference.reading import ByImage, Reading
from vjo_train.inference.tiling.tiled import Tiled
from vjo_train.inference.tiling.windows import Tiling
from vjo_train.types import Batch, Frames, PlacedMasks, Target

CHANNELS = {"p3": 8, "p4": 8, "p5": 8, "p6": 8, "p7": 8, "c5": 8}
SIDE = 96


class Shades(SemanticFPN):
    """Logits are the colours: red and green above the threshold of 120 (channel 0, background)."""

    def of_pixels(self, images: Tensor) -> Tensor:
        maps = images.float()
        return torch.cat([torch.full_like(maps[:, :1], 120.0), maps[:, :2]], 1)


class Brightness(Depth):
    def of_pixels(self, images: Tensor) -> Tensor:
        return images.float().mean(1, keepdim=True) / 64


class Blobs(MNC):
    """Finds everything that is blue: a box and a full mask; the class is 1 where there is red in it."""

    def decoded(self, outputs: Any, frames: Frames) -> dict[str, Tensor]:
        count = 60
        boxes, labels = torch.zeros(len(outputs), count, 4), torch.full((len(outputs), count), -1)
        for k, image in enumerate(outputs):
            height, width = (int(side) for side in frames.sizes[k])
            blue = (image[2, :height, :width] > 200).numpy().astype(np.uint8)
            number, _, table, _ = cv2.connectedComponentsWithStats(blue, connectivity=4)
            for place in range(1, number):
                left, top, wide, tall, _ = table[place].tolist()
                boxes[k, place - 1] = torch.tensor([left, top, left + wide, top + tall]) / frames.scales[k]
                labels[k, place - 1] = int(image[0, top + tall // 2, left + wide // 2] > 200)
        scores = torch.where(labels >= 0, 0.9, 0.0)
        return {"boxes": boxes, "scores": scores, "labels": labels, "masks": torch.ones(len(outputs), count, 28, 28)}


def heads() -> dict[str, Head]:
    shades = Shades(channels=CHANNELS, num_classes=2, width=8)
    bright = Brightness(channels=CHANNELS, width=8)
    shades.stride = bright.stride = 1
    blobs = Blobs(channels=CHANNELS, num_classes=2, hidden=16, mask_depth=1, mask_width=8)
    return {"semantic": shades, "depth": bright, "instance": blobs}


def computed(own: Mapping[str, Head], steps: list[int]) -> Any:
    def network(batch: Batch, reading: Reading) -> dict[str, ByImage]:
        steps.append(len(batch))
        outputs = {task: head.of_pixels(batch.images) if task != "instance" else batch.images  # type: ignore[operator]
                   for task, head in own.items()}  # fmt: skip
        return {task: reading.of_outputs(head, outputs[task], batch) for task, head in own.items()}

    return network


def on_canvas(picture: Tensor, side: int) -> Batch:
    images = blank(1, side, side)
    placed = letterbox(Picture.bare(picture), (side, side), pixels=images[0])
    size = int(picture.shape[1]), int(picture.shape[2])
    return Batch(images, [Target(placed.size)], ["a"], torch.tensor([placed.scale]), (), originals=[Target(size)])


def scene(size: tuple[int, int]) -> tuple[Tensor, list[tuple[int, int, int, int]]]:
    """Smooth red and green, and blue blocks on and off the edges of windows, two of them longer than a window."""
    height, width = size
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels[..., 2] = 0
    blocks = [(4, 4, 24, 20), (90, 10, 106, 24), (150, 90, 175, 110), (60, 60, 66, 72), (20, 140, 190, 160)]
    blocks.append((200, 20, 215, 180))
    for number, (left, top, right, bottom) in enumerate(blocks):
        pixels[top:bottom, left:right, [0, 2]] = 255 * (number % 2), 255
    return torch.from_numpy(pixels).permute(2, 0, 1), blocks


@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_a_cut_picture_gives_what_the_whole_one_gives(overlap: float) -> None:
    picture, blocks = scene((200, 240))
    own, steps = heads(), list[int]()
    tiled = Tiled(computed(own, steps), own, Tiling((SIDE, SIDE), overlap), (SIDE, SIDE), batch_size=4)
    (found,) = tiled.found(on_canvas(picture, SIDE), [picture])
    assert max(steps) <= 4
    large = on_canvas(picture, 240)
    (wanted,) = Tiled(computed(own, []), own, Tiling((240, 240), 0), (240, 240), 4).found(large, [picture])
    assert found["semantic"].dtype == torch.uint8
    assert torch.equal(found["semantic"], wanted["semantic"])
    torch.testing.assert_close(found["depth"], wanted["depth"], rtol=1e-4, atol=1e-4)

    objects = found["instance"]
    boxes = sorted(tuple(int(value) for value in box) for box in objects.boxes.tolist())
    assert boxes == sorted(blocks)
    assert isinstance(objects.masks, PlacedMasks)
    blue = (picture[2] > 200).numpy()
    assert np.array_equal(objects.masks.whole().any(0).numpy(), blue)
    assert int(objects.masks.whole().sum()) == blue.sum(), "each pixel once"
    assert isinstance(own["instance"], InstanceHead)


def test_a_tile_of_another_size_than_the_canvas_is_scaled() -> None:
    """Of windows half as large as the canvas the network sees every pixel four times."""
    picture, blocks = scene((200, 240))
    own = heads()
    tiled = Tiled(computed(own, []), own, Tiling((48, 48), 0.5), (96, 96), batch_size=8)
    (found,) = tiled.found(on_canvas(picture, 96), [picture])
    boxes = np.array(sorted(tuple(box) for box in found["instance"].boxes.tolist()))
    np.testing.assert_allclose(boxes, sorted(blocks), atol=1.0)
    agree = found["semantic"] == Shades.finished(own["semantic"], Shades.of_pixels(own["semantic"], picture[None]))[0]  # type: ignore[arg-type]
    assert agree.float().mean() > 0.99


def test_pictures_that_fit_a_window_are_not_cut() -> None:
    small, large = scene((96, 96))[0], scene((97, 96))[0]
    own, steps = heads(), list[int]()
    tiled = Tiled(computed(own, steps), own, Tiling((SIDE, SIDE), 0.25), (SIDE, SIDE), batch_size=4)
    (one,) = tiled.found(on_canvas(small, SIDE), [small])
    assert steps == [1]
    assert isinstance(one["instance"].masks, Tensor)
    (other,) = tiled.found(on_canvas(large, SIDE), [large])
    assert steps == [1, 2, 1]
    assert other["semantic"].shape == (97, 96)


def test_heads_that_say_nothing_of_a_place_are_no_reason_to_cut() -> None:
    head = Classification(channels=CHANNELS, num_classes=2)
    with pytest.raises(ConfigError, match="tile: classification say nothing of a place"):
        Tiled(computed({}, []), {"classification": head}, Tiling((64, 64), 0.25), (64, 64), 4)


def test_a_real_network_on_windows() -> None:
    """All kinds of heads; a flat picture gives the same map in every window's middle."""
    own = module(("classification", "detection", "semantic", "instance")).eval()
    parts = {task: own.head(task) for task in own.tasks}

    def network(batch: Batch, reading: Reading) -> dict[str, ByImage]:
        with torch.no_grad():
            outputs = own(batch.images, own.tasks)
            return {task: reading.of_outputs(head, outputs[task], batch) for task, head in parts.items()}

    picture = torch.randint(0, 256, (3, 150, 100), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = on_canvas(picture, 64)
    (found,) = Tiled(network, parts, Tiling((64, 64), 0.25), (64, 64), 4).found(batch, [picture])
    assert found["semantic"].shape == (150, 100)
    (whole,) = Tiled(network, parts, Tiling((150, 150), 0), (64, 64), 4).found(batch, [picture])
    torch.testing.assert_close(found["classification"], whole["classification"])
    for task in ("detection", "instance"):
        boxes = found[task].boxes
        assert (boxes[:, 2:] <= torch.tensor([100.0, 150.0])).all()
        assert (boxes >= 0).all()
        assert (found[task].scores.diff() <= 0).all()
    assert found["instance"].masks.shape == (len(found["instance"].boxes), 150, 100)
