"""Masks of boxes and masks of images: the way there and back, and the loss."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.heads.instance import cases
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.regions import Regions
from vjo_train.heads.instance.base import regions_with_masks
from vjo_train.heads.instance.masks import crop_masks, mask_loss, mask_targets, paste_masks, with_pixels
from vjo_train.metrics.instance import mask_iou

torch.set_num_threads(1)


def test_a_full_mask_fills_the_pixels_whose_centres_are_in_the_box() -> None:
    boxes = torch.tensor([[2.0, 3.0, 7.0, 5.0], [1.4, 0.6, 3.6, 3.4], [-5.0, -5.0, 50.0, 1.0]])
    masks = paste_masks(torch.ones(3, 28, 28), boxes, (8, 10))
    expected = torch.zeros(3, 8, 10, dtype=torch.bool)
    expected[0, 3:5, 2:7] = True
    expected[1, 1:3, 1:4] = True
    expected[2, :1] = True
    assert torch.equal(masks, expected)


def test_cells_hold_the_share_that_the_mask_covers() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, :, 4:] = True
    cells = crop_masks(mask, torch.tensor([0, 0]), torch.tensor([[2.0, 0, 6, 8], [0, 0, 8, 8]]), 4)
    assert cells.shape == (2, 4, 4)
    assert cells[0].mean().item() == pytest.approx(0.5)
    assert cells[1, 0].tolist() == pytest.approx([0, 0, 1, 1], abs=0.15)
    assert bool((cells[:, :, 0] == 0).all())
    assert bool((cells[:, :, -1] == 1).all())


@settings(max_examples=60)
@given(
    corner=st.tuples(st.floats(0, 30), st.floats(0, 30)),
    sides=st.tuples(st.floats(24, 60), st.floats(24, 60)),
    scale=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_a_mask_comes_back_from_its_box(corner: tuple[float, float], sides: tuple[float, float], scale: float) -> None:
    """Cropped on a canvas, pasted into a file of another size: nearly the shape that was drawn there."""
    box = torch.tensor([[*corner, corner[0] + sides[0], corner[1] + sides[1]]])
    small = crop_masks(cases.ellipses(box, (96, 96)), torch.tensor([0]), box, 28)
    size = (round(96 / scale), round(96 / scale))
    back = paste_masks(small, box / scale, size)
    assert mask_iou(back, cases.ellipses(box / scale, size))[0, 0] > 0.9


def test_any_shape_comes_back_from_its_box() -> None:
    """A ring with a bite, larger than the grid of cells."""
    box = torch.tensor([[10.0, 20.0, 150.0, 120.0]])
    ring = cases.ellipses(box, (160, 160)) & ~cases.ellipses(torch.tensor([[45.0, 45.0, 115.0, 95.0]]), (160, 160))
    ring[:, 20:60, 100:] = False
    back = paste_masks(crop_masks(ring, torch.tensor([0]), box, 28), box, (160, 160))
    assert mask_iou(back, ring)[0, 0] > 0.9


def sampled(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The same by torch's sampling of a picture at places."""
    y, x = (torch.arange(n) + 0.5 for n in size)
    out = torch.zeros(len(masks), *size)
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        u, v = (x - x1) / (x2 - x1) * 2 - 1, (y - y1) / (y2 - y1) * 2 - 1
        places = torch.stack(torch.broadcast_tensors(u[None, :], v[:, None]), dim=-1)[None]
        value = F.grid_sample(masks[i][None, None], places, padding_mode="border", align_corners=False)[0, 0]
        inside = (u[None, :] >= -1) & (u[None, :] < 1) & (v[:, None] >= -1) & (v[:, None] < 1)
        out[i] = value * inside
    return out


def test_pasting_is_bilinear_sampling() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(6, 28, 28, generator=generator)
    corner = torch.rand(6, 2, generator=generator) * 40 - 5
    boxes = torch.cat([corner, corner + 1 + torch.rand(6, 2, generator=generator) * 60], 1)
    for threshold in (0.3, 0.5):
        expected = sampled(masks, boxes, (40, 50))
        found = paste_masks(masks, boxes, (40, 50), threshold)
        clear = (expected - threshold).abs() > 1e-4
        assert torch.equal(found[clear], (expected >= threshold)[clear])


def test_pasting_in_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = torch.rand(5, 28, 28, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[1.0, 2.0, 17.0, 15.0]]).repeat(5, 1)
    whole = paste_masks(masks, boxes, (20, 20))
    monkeypatch.setattr("vjo_train.heads.instance.masks.ELEMENTS_AT_ONCE", 900)
    assert torch.equal(paste_masks(masks, boxes, (20, 20)), whole)
    assert paste_masks(masks[:0], boxes[:0], (20, 30)).shape == (0, 20, 30)


def regions() -> tuple[Regions, Objects]:
    """Of the first image a hit and background, of the second two hits of which one has no pixels, of the third none."""
    targets = [cases.target([[8, 8, 40, 40]], [1]), cases.mixed()[5], cases.target()]
    boxes = torch.zeros(3, 4, 4)
    boxes[0, 1], boxes[0, 2] = targets[0]["boxes"].xyxy[0], torch.tensor([60.0, 60, 90, 90])
    boxes[1, :2] = targets[1]["boxes"].xyxy
    found = torch.full((3, 4), -1)
    found[0, 1] = 0
    found[1, :2] = torch.tensor([0, 1])
    chosen = torch.zeros(3, 4, dtype=torch.bool)
    chosen[0, 1:3], chosen[1, :2], chosen[2, 0] = True, True, True
    return Regions.of(boxes, found, chosen), Objects.of(targets, [True] * 3)


def test_only_objects_with_pixels_have_a_mask_to_learn() -> None:
    sample, objects = regions()
    assert with_pixels(objects).tolist() == [[True, False], [False, True], [False, False]]
    assert regions_with_masks(sample, objects).tolist() == [True, False, False, True, False]


def test_mask_loss_by_hand() -> None:
    sample, objects = regions()
    trained = regions_with_masks(sample, objects)
    flat = torch.zeros(2, 28, 28)
    assert mask_loss(flat, sample, trained, objects).tolist() == pytest.approx([math.log(2), math.log(2), 0])
    truth = mask_targets(objects.masks, sample.objects[trained], sample.boxes[trained], sample.image[trained], 28)
    direct = crop_masks(cases.mixed()[5]["masks"][1:], torch.tensor([0]), sample.boxes[trained][1:], 28)  # type: ignore
    torch.testing.assert_close(truth[1:], direct)
    logits = torch.randn(2, 28, 28, generator=torch.Generator().manual_seed(0))
    by_hand = -(truth * F.logsigmoid(logits) + (1 - truth) * F.logsigmoid(-logits)).mean((1, 2))
    torch.testing.assert_close(mask_loss(logits, sample, trained, objects)[:2], by_hand)


def test_mask_loss_of_several_regions_is_their_mean() -> None:
    known = cases.target([[8, 8, 40, 40], [50, 50, 90, 80]], [0, 1])
    sample = Regions.of(known["boxes"].xyxy[None], torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
    objects = Objects.of([known], [True])
    trained = regions_with_masks(sample, objects)
    logits = torch.randn(2, 28, 28, generator=torch.Generator().manual_seed(0))
    truth = mask_targets(objects.masks, sample.objects, sample.boxes, sample.image, 28)
    expected = F.binary_cross_entropy_with_logits(logits, truth)
    assert mask_loss(logits, sample, trained, objects).tolist() == pytest.approx([expected.item()])
