from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from vjo_train.data.transforms import MEAN_COLOUR, Augment, Picture, fit, letterbox, sample_crop, seeded

ALL = {"zoom_out": 0.5, "zoom_out_max": 3.0, "crop": 0.7, "flip": 0.5, "jitter": 0.5, "jitter_strength": 1.0}


def painted(height: int, width: int, seed: int, objects: int = 3) -> Picture:
    """Rectangles whose colour, class mask and object mask all say which object they are."""
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
    return Picture(image, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.arange(objects), maps)


@settings(deadline=None, max_examples=80)
@given(st.integers(24, 70), st.integers(24, 70), st.integers(0, 10_000))
def test_boxes_stay_inside_and_on_their_masks(height, width, seed):
    with seeded(seed):
        after, (h, w), scale = letterbox(painted(height, width, seed), 64, Augment(**{**ALL, "jitter": 0.0}))
    assert after.image.shape == (3, 64, 64)
    assert after.maps.shape == (2, 64, 64)
    assert max(h, w) == 64
    assert (after.boxes >= 0).all()
    assert (after.boxes[:, 0::2] <= w).all()
    assert (after.boxes[:, 1::2] <= h).all()
    assert len(after.kept) == len(after.boxes)
    assert torch.equal(after.kept, after.kept.sort().values)
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
    picture = painted(40, 60, 0)
    augment = Augment(zoom_out=0, crop=1, flip=0, jitter=0)
    numbers = set()
    for seed in range(60):
        with seeded(seed):
            after, *_ = letterbox(picture, 32, augment)
        numbers.add(len(after.boxes))
    assert {1, 2, 3} <= numbers
    tiny = Picture(picture.image, torch.tensor([[5.0, 5.0, 5.5, 5.5]]), torch.tensor([0]), picture.maps)
    assert len(letterbox(tiny, 32, Augment(zoom_out=0, crop=0, flip=0, jitter=0))[0].boxes) == 0
    assert len(letterbox(tiny, 32)[0].boxes) == 1  # an evaluation loses none


@pytest.mark.parametrize("size", [(40, 60), (3, 200), (1, 1)])
def test_pictures_without_objects_or_of_odd_sizes_pass(size):
    picture = Picture(
        torch.zeros((3, *size), dtype=torch.uint8),
        torch.empty((0, 4)),
        torch.arange(0),
        torch.empty((0, *size), dtype=torch.uint8),
    )
    for seed in range(20):
        with seeded(seed):
            after, *_ = letterbox(picture, 32, Augment(**ALL))
        assert after.image.shape == (3, 32, 32)
        assert after.boxes.shape == (0, 4)
        assert after.maps.shape == (0, 32, 32)
    boxed = Picture(picture.image, torch.tensor([[0.0, 0.0, size[1], size[0]]]), torch.arange(1), picture.maps)
    for seed in range(20):
        with seeded(seed):
            letterbox(boxed, 32, Augment(**ALL))


def test_letterbox_keeps_the_aspect_ratio_and_fills_with_the_mean_colour():
    picture = painted(30, 60, 1)
    after, size, scale = letterbox(picture, 40)
    assert size == (20, 40)
    assert scale == pytest.approx(40 / 60)
    assert torch.equal(after.boxes, picture.boxes * scale)
    assert (after.image[:, 20:] == torch.tensor(MEAN_COLOUR)[:, None, None]).all()
    same, scale = fit(picture, 60)
    assert scale == 1
    assert torch.equal(same.image, picture.image)


def test_a_flip_mirrors_everything():
    picture = painted(32, 32, 2)
    after, *_ = letterbox(picture, 32, Augment(zoom_out=0, crop=0, flip=1, jitter=0))
    assert torch.equal(after.image, picture.image.flip(-1))
    assert torch.equal(after.maps, picture.maps.flip(-1))
    assert torch.equal(after.boxes[:, 0], 32 - picture.boxes[:, 2])


@settings(deadline=None, max_examples=50)
@given(st.integers(8, 60), st.integers(8, 60), st.integers(0, 1000))
def test_a_crop_holds_a_centre_and_overlaps_it(height, width, seed):
    boxes = torch.tensor([[0.0, 0.0, width / 2, height / 3], [width / 2, height / 4, width, height]])
    with seeded(seed):
        window = sample_crop(boxes, height, width)
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


def test_the_same_key_gives_the_same_picture_and_other_generators_are_untouched():
    picture = painted(40, 50, 3)
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()

    def made(*key):
        with seeded(*key):
            return letterbox(picture, 32, Augment(**ALL))[0].image

    assert torch.equal(made(1, "pool", 0, "x"), made(1, "pool", 0, "x"))
    distinct = {made(seed, "pool", turn, name).numpy().tobytes() for seed in (1, 2) for turn in (0, 1) for name in "xy"}
    assert len(distinct) > 5
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()


def test_jitter_does_not_depend_on_the_number_of_threads():
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 300, 400), dtype=np.uint8))
    images = []
    for threads in (1, 4):
        torch.set_num_threads(threads)
        with seeded(0):
            images.append(Augment(jitter=1, jitter_strength=0.5).colour(image))
    torch.set_num_threads(1)
    assert torch.equal(*images)
    assert not torch.equal(images[0], image)
