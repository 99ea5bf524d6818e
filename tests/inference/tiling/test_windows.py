"""Windows, and maps and objects that are put together of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from vjo_train.heads.detection.coco import placed_run_lengths, run_lengths
from vjo_train.heads.instance.masks import paste_masks, place_masks
from vjo_train.inference.tiling.mosaic import Mosaic
from vjo_train.inference.tiling.objects import Found, groups, is_cut, union
from vjo_train.inference.tiling.windows import Tiling, starts, weights, windows

SIZES = ((96, 160), (97, 131), (64, 300), (40, 65), (500, 64))


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
@pytest.mark.parametrize("size", SIZES)
def test_windows_cover_the_picture_and_stay_in_it(size: tuple[int, int], overlap: float) -> None:
    seen = np.zeros(size, int)
    cut = windows(size, Tiling((64, 48), overlap))
    for window in cut:
        assert window.size == (min(64, size[0]), min(48, size[1]))
        assert seen[window.rows, window.columns].shape == window.size
        seen[window.rows, window.columns] += 1
    assert seen.min() >= 1
    turned = size[1] > size[0]
    order = [(window.left, window.top) if turned else (window.top, window.left) for window in cut]
    assert order == sorted(set(order))


def test_where_windows_begin() -> None:
    assert starts(100, 40, 0.25) == [0, 30, 60]
    assert starts(101, 40, 0.25) == [0, 30, 60, 61]
    assert starts(40, 40, 0.25) == starts(7, 40, 0.25) == [0]
    assert starts(80, 40, 0.0) == [0, 40]
    assert Tiling((40, 20), 0.25).shared == (10, 5)


def test_weights_of_neighbours_sum_to_one() -> None:
    own = weights((40, 40), (10, 10))
    np.testing.assert_allclose(own[5, -10:] / own[5, 20] + own[5, :10] / own[5, 20], np.ones(10), rtol=1e-6)
    assert own[20, 20] == own.max() == 1
    assert (own > 0).all()


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
@pytest.mark.parametrize("size", SIZES)
def test_maps_that_agree_are_put_back_together(size: tuple[int, int], overlap: float) -> None:
    tiling = Tiling((64, 48), overlap)
    maps = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    held = []

    def finished(part: torch.Tensor) -> torch.Tensor:
        held.append(part.shape[-1 if size[1] > size[0] else -2])
        return part

    mosaic = Mosaic(size, tiling.shared, finished)
    for window in windows(size, tiling):
        mosaic.add(window, maps[:, window.rows, window.columns])
    torch.testing.assert_close(mosaic.whole(), maps, rtol=1e-5, atol=1e-5)
    assert max(held) <= 64
    assert sum(held) == max(size)


def test_where_windows_differ_the_nearer_centre_counts_more() -> None:
    tiling = Tiling((32, 40), 0.5)
    mosaic = Mosaic((32, 60), tiling.shared, lambda maps: maps)
    left, right = windows((32, 60), tiling)
    mosaic.add(left, torch.zeros(1, 32, 40))
    mosaic.add(right, torch.ones(1, 32, 40))
    row = mosaic.whole()[0, 16]
    assert row[:20].max() == 0
    assert row[40:].min() == 1
    np.testing.assert_allclose(row[20:40], (np.arange(20) + 0.5) / 20, atol=1e-6)


def planted(rng: np.random.Generator, size: tuple[int, int], longest: int) -> npt.NDArray[np.float64]:
    """Boxes that keep apart by 12 pixels."""
    boxes: list[npt.NDArray[np.float64]] = []
    for _ in range(200):
        sides = rng.uniform(12, longest, 2)
        corner = rng.uniform(0, np.array([size[1], size[0]]) - sides)
        box = np.concatenate([corner, corner + sides])
        apart = [(box[:2] > other[2:] + 12).any() or (box[2:] < other[:2] - 12).any() for other in boxes]
        if all(apart):
            boxes.append(box)
    return np.array(boxes)


def seen_by_windows(
    boxes: npt.NDArray[np.float64], size: tuple[int, int], tiling: Tiling, rng: np.random.Generator, noise: float
) -> Found:
    """What a perfect detector says of each window: what it sees of each box, if that has six pixels a side."""
    rows, view, seen = [], [], []
    for number, window in enumerate(windows(size, tiling)):
        edges = np.array([window.left, window.top, window.right, window.bottom], float)
        low, high = edges[[0, 1, 0, 1]], edges[[2, 3, 2, 3]]
        part = np.clip(boxes, low, high)
        for place in np.flatnonzero(((part[:, 2:] - part[:, :2]) >= 6).all(axis=1)):
            rows.append([*np.clip(part[place] + rng.uniform(-noise, noise, 4), low, high), place])
            view.append(number)
            seen.append(edges)
    table = np.array(rows)
    return Found(
        boxes=table[:, :4],
        scores=rng.uniform(0.6, 1, len(table)),
        labels=(table[:, 4] % 2).astype(np.int64),
        view=np.array(view),
        cut=is_cut(table[:, :4], np.array(seen), size),
        seen=np.array(seen),
    )


@pytest.mark.parametrize("overlap", [0.25, 0.5])
@pytest.mark.parametrize("longest", [24, 150])
@pytest.mark.parametrize("seed", range(8))
def test_planted_objects_come_out_once_and_whole(longest: int, overlap: float, seed: int) -> None:
    """Objects that are whole in a window, and longer ones, which are joined of what windows see of them."""
    rng = np.random.default_rng(seed)
    size = (300, 420)
    boxes = planted(rng, size, longest)
    found = seen_by_windows(boxes, size, Tiling((96, 96), overlap), rng, noise=0.5)
    chosen = groups(found, 0.5)
    got = np.array([union(found.boxes[own]) for own in chosen])
    assert len(got) == len(boxes)
    distances = np.abs(got[:, None] - boxes[None]).max(axis=2)
    assert sorted(distances.argmin(axis=1).tolist()) == list(range(len(boxes)))
    assert distances.min(axis=1).max() <= 1.0
    best = [found.scores[own[0]] for own in chosen]
    assert best == sorted(best, reverse=True)


def of_two_windows(rows: list[tuple[float, ...]]) -> Found:
    """Rows of box, score, label and window: of 180 columns, window 0 shows the first 100, 1 the last, and 2 all."""
    table = np.array(rows)
    edges = np.array([[0, 0, 100, 100], [80, 0, 180, 100], [0, 0, 180, 100]], float)
    view = table[:, 6].astype(np.int64)
    cut = is_cut(table[:, :4], edges[view], (100, 180))
    return Found(table[:, :4], table[:, 4], table[:, 5].astype(np.int64), view, cut, edges[view])


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        # A piece gives way to the whole one, also where it has a better score; a far better one does not.
        ([(85, 10, 100, 30, 0.9, 0, 0), (85, 10, 130, 30, 0.6, 0, 1)], [1]),
        ([(85, 10, 100, 30, 0.9, 0, 0), (85, 10, 130, 30, 0.1, 0, 1)], [0]),
        # One that both see whole is found once; so are two pieces of one, but not those of two classes.
        ([(82, 10, 95, 30, 0.5, 0, 0), (83, 10, 95, 30, 0.6, 0, 1)], [1]),
        ([(20, 10, 100, 30, 0.9, 0, 0), (80, 10, 150, 30, 0.8, 0, 1)], [0]),
        ([(20, 10, 100, 30, 0.9, 0, 0), (80, 10, 150, 30, 0.8, 1, 1)], [0, 1]),
        # Of one window nothing is left out, and what lies at the picture's own edge is no piece.
        ([(10, 10, 40, 40, 0.9, 0, 0), (12, 10, 40, 40, 0.8, 0, 0)], [0, 1]),
        ([(0, 0, 20, 20, 0.9, 0, 0), (150, 50, 180, 100, 0.8, 0, 1)], [0, 1]),
        # A piece is not joined with one of a far lower score, nor with another than the surest of the next window.
        ([(20, 10, 100, 30, 0.9, 0, 0), (80, 10, 150, 30, 0.2, 0, 1)], [0, 1]),
        ([(20, 10, 100, 30, 0.9, 0, 0), (80, 10, 150, 30, 0.8, 0, 1), (80, 12, 98, 31, 0.6, 0, 1)], [0, 2]),
        # One that no window can hold is what its pieces are of, if they look like it.
        ([(12, 0, 100, 100, 0.9, 0, 0), (80, 0, 168, 100, 0.8, 0, 1), (10, 0, 170, 100, 0.6, 0, 2)], [2]),
        ([(70, 10, 100, 30, 0.9, 0, 0), (10, 0, 170, 100, 0.6, 0, 2)], [0, 1]),
        # Neighbours at the edge that do not lie on one line are two.
        ([(20, 10, 100, 30, 0.9, 0, 0), (80, 40, 150, 60, 0.8, 0, 1)], [0, 1]),
    ],
)
def test_which_boxes_are_left(rows: list[tuple[float, ...]], left: list[int]) -> None:
    assert [int(own[0]) for own in groups(of_two_windows(rows), 0.5)] == left


def test_no_objects_at_all() -> None:
    none = np.empty((0, 4))
    nothing = Found(none, none[:, 0], np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool), none)
    assert groups(nothing, 0.5) == []


def test_masks_in_parts_are_the_masks() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(40, 2, generator=generator) * 50
    boxes = torch.cat([corner, corner + torch.rand(40, 2, generator=generator) * 30], 1)
    boxes = torch.minimum(boxes, torch.tensor([70.0, 60.0, 70.0, 60.0]))
    cells = torch.rand(40, 28, 28, generator=generator)
    whole, parts = paste_masks(cells, boxes, (60, 70)), place_masks(cells, boxes, (60, 70))
    assert torch.equal(parts.whole(), whole)
    assert torch.equal(parts[torch.tensor([3, 5])].whole(), whole[[3, 5]])
    assert torch.equal(parts[torch.arange(40) > 20].whole(), whole[21:])
    assert parts.shape == (40, 60, 70)
    assert parts[torch.arange(40) > 50].whole().shape == (0, 60, 70)


def test_run_lengths_of_a_part_are_those_of_the_mask() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        height, width = rng.integers(1, 9, 2)
        tall, wide = rng.integers(0, height + 1), rng.integers(0, width + 1)
        top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
        part = rng.random((tall, wide)) < rng.choice([0.2, 0.5, 0.95, 1.0])
        mask = np.zeros((height, width), bool)
        mask[top : top + tall, left : left + wide] = part
        assert placed_run_lengths(part, (top, left), (height, width)) == run_lengths(mask)
