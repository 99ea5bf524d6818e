from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import box_iou
from torchvision.transforms.v2 import functional as F

from vjo_train.data import colour
from vjo_train.data.colour import Jitter
from vjo_train.data.letterbox import Picture, blank, letterbox
from vjo_train.data.resizing import resize
from vjo_train.data.transforms import Augment, generator, sample_crop
from vjo_train.types import MEAN_COLOUR, Frames

ALL = {"zoom_out": 0.5, "zoom_out_max": 3.0, "crop": 0.7, "flip": 0.5, "jitter": 0.5, "jitter_strength": 1.0}


@dataclass
class Laid:
    """A picture after `letterbox`, with what follows it."""

    image: Tensor
    maps: Tensor
    boxes: Tensor
    kept: np.ndarray
    size: tuple[int, int]
    scale: float


def lay(picture, canvas, augment=None, rng=None, maps=None) -> Laid:
    pixels = blank(*canvas)
    placement = letterbox(picture, canvas, augment, rng, pixels)
    placed = torch.empty(0, *canvas) if maps is None else placement.maps(maps, 255)
    boxes = torch.from_numpy(placement.boxes(picture.boxes))
    return Laid(pixels, placed, boxes, placement.objects, placement.size, placement.scale)


def painted(height: int, width: int, seed: int, objects: int = 3) -> tuple[Picture, Tensor]:
    """Rectangles whose colour, and maps [2, H, W] of whose numbers, say which object they are."""
    rng = np.random.default_rng(seed)
    image = torch.full((3, height, width), 0, dtype=torch.uint8)
    maps = torch.zeros((2, height, width), dtype=torch.uint8)
    boxes = []
    for number in range(objects):
        # side by side, so that none hides another
        left, right = number * width // objects + 1, (number + 1) * width // objects - 1
        top = int(rng.integers(0, height - 6))
        bottom = int(rng.integers(top + 5, height))
        image[:, top:bottom, left:right] = 80 * (number + 1)
        maps[:, top:bottom, left:right] = number + 1
        boxes.append([left, top, right, bottom])
    return Picture(image, (height, width), np.array(boxes, np.float32).reshape(-1, 4)), maps


@settings(max_examples=80)
@given(
    st.integers(24, 70), st.integers(24, 70), st.sampled_from([(64, 64), (32, 64), (72, 40)]), st.integers(0, 10_000)
)
def test_boxes_stay_inside_and_on_their_masks(height, width, canvas, seed):
    augment = Augment(**{**ALL, "jitter": 0.0})
    picture, maps = painted(height, width, seed)
    after = lay(picture, canvas, augment, generator(seed), maps)
    (h, w), scale = after.size, after.scale
    assert after.image.shape == (3, *canvas)
    assert after.maps.shape == (2, *canvas)
    assert h <= canvas[0]
    assert w <= canvas[1]
    assert h == canvas[0] or w == canvas[1]
    assert (after.boxes >= 0).all()
    assert (after.boxes[:, 0::2] <= w).all()
    assert (after.boxes[:, 1::2] <= h).all()
    assert len(after.kept) == len(after.boxes)
    assert np.array_equal(after.kept, np.sort(after.kept))
    assert (after.maps[:, h:] == 255).all()
    assert (after.maps[:, :, w:] == 255).all()
    margin = max(1.0, scale) + 0.51  # nearest pixels of the mask, and sides rounded to whole pixels
    for box, number in zip(after.boxes, after.kept, strict=True):
        rows, columns = torch.nonzero(after.maps[1] == number + 1, as_tuple=True)
        if len(rows):
            seen = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (seen[:2] >= box[:2] - margin).all()
            assert (seen[2:] <= box[2:] + margin).all()
            large = (box[2:] - box[:2] > 3 * margin).all()
            assert not large or (seen - box).abs().max() <= margin
            # the colour there is the object's own
            middle = ((box[1] + box[3]) / 2).long(), ((box[0] + box[2]) / 2).long()
            assert not large or (after.image[0][middle] == 80 * (number + 1)).all()


def test_classes_of_dropped_boxes_vanish_and_all_may():
    picture, _ = painted(40, 60, 0)
    augment = Augment(zoom_out=0, crop=1, flip=0, jitter=0)
    numbers = set()
    for seed in range(60):
        numbers.add(len(lay(picture, (32, 32), augment, generator(seed)).boxes))
    assert {1, 2, 3} <= numbers
    tiny = Picture(picture.image, picture.size, np.array([[5.0, 5.0, 5.5, 5.5]], np.float32))
    assert len(lay(tiny, (32, 32), Augment(zoom_out=0, crop=0, flip=0, jitter=0)).boxes) == 0
    assert len(lay(tiny, (32, 32)).boxes) == 1  # an evaluation loses none


@pytest.mark.parametrize("size", [(40, 60), (3, 200), (1, 1)])
def test_pictures_without_objects_or_of_odd_sizes_pass(size):
    picture = Picture.bare(torch.zeros((3, *size), dtype=torch.uint8))
    for seed in range(20):
        after = lay(picture, (32, 32), Augment(**ALL), generator(seed), torch.empty((0, *size), dtype=torch.uint8))
        assert after.image.shape == (3, 32, 32)
        assert after.boxes.shape == (0, 4)
        assert after.maps.shape == (0, 32, 32)
    boxed = Picture(picture.image, picture.size, np.array([[0.0, 0.0, size[1], size[0]]], np.float32))
    for seed in range(20):
        letterbox(boxed, (32, 32), Augment(**ALL), generator(seed))


@given(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), min_size=1), st.sampled_from([(64, 64), (32, 96)]))
def test_a_picture_lies_where_its_size_alone_says(sizes, canvas):
    """What an exported network computes from the sizes of the files is what the canvases were made with."""
    frames = Frames.of_files(torch.tensor(sizes), canvas)
    for k, size in enumerate(sizes):
        placement = letterbox(Picture.bare(torch.zeros((3, *size), dtype=torch.uint8)), canvas)
        assert tuple(frames.sizes[k].tolist()) == placement.size
        assert frames.scales[k].item() == pytest.approx(placement.scale, rel=1e-6)


def test_letterbox_keeps_the_aspect_ratio_and_fills_with_the_mean_colour():
    picture, _ = painted(30, 60, 1)
    after = lay(picture, (40, 40))
    assert after.size == (20, 40)
    assert after.scale == pytest.approx(40 / 60)
    assert np.array_equal(after.boxes.numpy(), picture.boxes * np.float32(after.scale))
    assert (after.image[:, 20:] == torch.tensor(MEAN_COLOUR)[:, None, None]).all()
    wide = lay(picture, (20, 44))  # as wide as high twice, and a little more
    assert wide.size == (20, 40)
    assert wide.scale == pytest.approx(20 / 30)
    assert torch.equal(wide.image[:, :, :40], after.image[:, :20])
    assert (wide.image[:, :, 40:] == torch.tensor(MEAN_COLOUR)[:, None, None]).all()
    same = lay(picture, (60, 60))
    assert same.scale == 1
    assert torch.equal(same.image[:, :30], picture.image)


def test_a_flip_mirrors_everything():
    picture, maps = painted(32, 32, 2)
    after = lay(picture, (32, 32), Augment(zoom_out=0, crop=0, flip=1, jitter=0), maps=maps)
    assert torch.equal(after.image, picture.image.flip(-1))
    assert torch.equal(after.maps, maps.flip(-1))
    assert np.array_equal(after.boxes[:, 0].numpy(), 32 - picture.boxes[:, 2])


@settings(max_examples=40)
@given(st.integers(8, 40), st.integers(8, 40), st.integers(0, 1000))
def test_points_and_maps_of_any_type_follow_the_picture(height, width, seed):
    """A point in the middle of a pixel lies, on the canvas, in a pixel that says it comes from there."""
    rng = np.random.default_rng(seed)
    where = torch.arange(height * width, dtype=torch.int32).reshape(1, height, width)
    picture = Picture(torch.zeros((3, height, width), dtype=torch.uint8), (height, width),
                      np.array([[0, 0, width, height]], np.float32))  # fmt: skip
    augment = Augment(zoom_out=0.5, crop=0.5, flip=0.5, jitter=0)
    placement = letterbox(picture, (64, 48), augment, generator(seed))
    maps = placement.maps(where, -1)[0]
    assert maps.dtype == torch.int32
    assert torch.equal(placement.maps(where.float(), -1)[0].int(), maps)
    x, y = rng.integers(0, width), rng.integers(0, height)
    (across, down) = placement.points(np.array([x + 0.5, y + 0.5], np.float32))
    seen = (maps == where[0, y, x]).nonzero().float() + 0.5
    for row, column in seen.tolist():
        assert abs(row - down) <= max(0.5, placement.scale / 2) + 0.51
        assert abs(column - across) <= max(0.5, placement.scale / 2) + 0.51


@settings(max_examples=50)
@given(st.integers(8, 60), st.integers(8, 60), st.integers(0, 1000))
def test_a_crop_holds_a_centre_and_overlaps_it(height, width, seed):
    boxes = torch.tensor([[0.0, 0.0, width / 2, height / 3], [width / 2, height / 4, width, height]])
    window = sample_crop(boxes.numpy(), height, width, generator(seed))
    if window is None:
        return
    left, top, right, bottom = window
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert 0.5 <= (right - left) / (bottom - top) <= 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centres > torch.tensor([left, top])) & (centres < torch.tensor([right, bottom]))
    assert inside.all(dim=1).any()
    assert box_iou(boxes, torch.tensor([window]).float()).max() > 0


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 1000))
def test_a_picture_without_boxes_is_cropped_anywhere(height, width, seed):
    if max(height, width) > 2 * min(height, width):  # no window of a ratio up to 2 need be found soon
        width = height
    window = sample_crop(np.empty((0, 4), np.float32), height, width, generator(seed))
    if window is not None:
        left, top, right, bottom = window
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert 0.5 <= (right - left) / (bottom - top) <= 2


@settings(max_examples=200)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10_000))
def test_what_is_cropped_shows_some_of_a_picture_on_a_larger_ground(height, width, seed):
    augment = Augment(zoom_out=1, zoom_out_max=8, crop=1)
    left, top, right, bottom = augment.window(np.empty((0, 4), np.float32), height, width, generator(seed))[0]
    assert min(right, width) > max(left, 0)
    assert min(bottom, height) > max(top, 0)


def test_about_one_in_seven_is_not_cropped_without_boxes():
    none = np.empty((0, 4), np.float32)
    kept = [sample_crop(none, 40, 50, generator("none", k)) is None for k in range(350)]
    assert 30 < sum(kept) < 75


def test_the_same_key_gives_the_same_picture():
    picture, _ = painted(40, 50, 3)

    def made(*key):
        return lay(picture, (32, 32), Augment(**ALL), generator(*key)).image

    assert torch.equal(made(1, "pool", 0, "x"), made(1, "pool", 0, "x"))
    distinct = {made(seed, "pool", turn, name).numpy().tobytes() for seed in (1, 2) for turn in (0, 1) for name in "xy"}
    assert len(distinct) > 5


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("size", [(256, 320), (253, 311), (211, 97)])
def test_a_reduced_picture_is_laid_where_the_whole_one_is(reduction, size):
    """Boxes and masks to the bit, the pixels of a smooth picture to within what the reduction itself loses."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    smooth = [
        128 + 100 * np.sin(rows / 40),
        128 + 100 * np.cos(columns / 50),
        (rows + columns) * 255 / (height + width),
    ]
    image = torch.from_numpy(np.stack(smooth).astype(np.uint8))
    blocks = torch.nn.functional.pad(
        image.float()[None], (0, -width % reduction, 0, -height % reduction), mode="replicate"
    )
    coarse = torch.nn.functional.avg_pool2d(blocks, reduction)[0].round().to(torch.uint8)
    boxes, maps = np.array([[10, 20, 60, 90], [30, 100, 90, 190]], np.float32), torch.zeros((1, *size)).byte()
    maps[:, 20:90, 10:60] = 1
    whole, reduced = Picture(image, size, boxes), Picture(coarse, size, boxes, reduction)
    one, other = (lay(picture, (32, 32), maps=maps) for picture in (whole, reduced))
    assert torch.equal(one.boxes, other.boxes)
    assert torch.equal(one.maps, other.maps)
    assert (one.image.int() - other.image.int()).abs().max() <= 4
    for seed in range(20):  # a window begins with a pixel of the image, up to reduction - 1 further out
        after = lay(reduced, (32, 32), Augment(**{**ALL, "jitter": 0.0}), generator(seed), maps)
        for box, number in zip(after.boxes, after.kept, strict=True):
            if number == 0 and (after.maps == 1).any():
                _, y, x = torch.nonzero(after.maps == 1, as_tuple=True)
                seen = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1])
                assert (seen - box).abs().max() <= 1.01


def test_without_jitter_zooming_and_cropping_the_resizing_is_torchvisions():
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 375, 500), dtype=np.uint8))
    after = lay(Picture.bare(image), (320, 320))
    height, width = after.size
    assert torch.equal(after.image[:, :height, :width], F.resize(image, [240, 320], antialias=True))


def test_jitter_is_what_its_factors_say():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(60, 160, (3, 31, 47), dtype=np.uint8))

    def changed(**factors):
        return jittered(image, Jitter(**factors)).int()

    def off(found, expected):
        return (found - expected).abs().max()

    pixels = image.permute(1, 2, 0).numpy()
    assert Jitter()(pixels) is pixels
    assert off(changed(brightness=1.3), image * 1.3) <= 1
    assert off(changed(saturation=0.5), F.adjust_saturation(image, 0.5)) <= 2
    grey = F.rgb_to_grayscale(image).int()
    assert off(changed(saturation=0.0), grey) <= 2
    flat = torch.full((3, 8, 8), 100, dtype=torch.uint8)  # a grey picture stays as it is
    assert torch.equal(jittered(flat, Jitter(contrast=1.7, saturation=0.2, hue=1.1)), flat)
    assert off(changed(contrast=0.0).float(), colour.mean_grey(image.permute(1, 2, 0).numpy())) <= 1
    turned = F.rgb_to_grayscale(changed(hue=1.08).to(torch.uint8)).int()
    assert off(turned, grey) <= 2  # the hue leaves the luma alone
    assert off(changed(hue=1.25).sub(grey), image.int() - grey) > 20
    assert off(jittered(changed(hue=1.1).to(torch.uint8), Jitter(hue=0.9)).int(), image.int()) <= 3  # and back


def jittered(image, jitter):
    """[3, h, w] -> [3, h, w]."""
    return torch.from_numpy(jitter(image.permute(1, 2, 0).numpy())).permute(2, 0, 1)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5), (64, 64), (301, 403)])
def test_colours_change_pixel_by_pixel_in_any_order_of_memory(size):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    change = colour.matrix(Jitter(1.2, 1.4, 0.6, 1.05), 90.0)
    exact = (np.round(change * 1024) / 1024).astype(np.float64)
    expected = np.floor(pixels @ exact[:, :3].T + exact[:, 3] + 0.5).clip(0, 255).astype(np.uint8)
    assert np.array_equal(colour.apply(pixels, change), expected)
    other = np.ascontiguousarray(pixels.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert np.array_equal(colour.apply(other, change), expected)
    assert colour.mean_grey(pixels) == pytest.approx(np.dot(pixels[::4].mean(axis=(0, 1)), colour.GREY))


def test_jitter_does_not_depend_on_the_number_of_threads():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    results = []
    for threads in (1, 4):
        cv2.setNumThreads(threads)
        results.append(Jitter(1.05, 1.3, 0.8, 1.02)(pixels))
    cv2.setNumThreads(0)
    assert np.array_equal(*results)
    assert not np.array_equal(results[0], pixels)


@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_a_flip_mirrors_the_picture_to_the_bit_whatever_its_size_becomes(reduction):
    """Also where the last pixel of a reduced picture is not whole."""
    image = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (3, 61, 83), dtype=np.uint8))
    whole = (61 * reduction - reduction // 2, 83 * reduction - reduction // 2)
    picture = Picture.bare(image, whole, reduction)
    for side in (31, 83, 160):
        one, other = (
            lay(picture, (side, side), Augment(zoom_out=0, crop=0, flip=flip, jitter=0)).image for flip in (0, 1)
        )
        assert torch.equal(one.flip(-1), other)


@pytest.mark.parametrize("size", [(512, 384), (83, 61), (61, 200), (500, 62)])
def test_a_picture_is_enlarged_within_a_level_of_the_exact_values(size):
    pixels = np.random.default_rng(3).integers(0, 256, (61, 60, 3), dtype=np.uint8)
    canvas = np.zeros((600, 600, 3), np.uint8)
    place = canvas[10 : 10 + size[0], 20 : 20 + size[1]]
    resize(pixels, place, (size[0] / 61, size[1] / 60))
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
    exact = interpolate(image, size, mode="bilinear")[0].permute(1, 2, 0).numpy()
    assert np.abs(place - exact).max() < 1
    assert (place == exact.round()).mean() > 0.85  # torchvision's own: 0.83 to 0.85
    assert not canvas[:10].any()
    assert not canvas[:, :20].any()
    assert not canvas[10 + size[0] :].any()
    assert not canvas[:, 20 + size[1] :].any()
