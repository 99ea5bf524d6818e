"""Which images count as best and as worst: closed forms for each kind of records."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vjo_train.report.examples import extremes
from vjo_train.runs.records import Matches, Pixels, Scores


def test_margins_tell_by_how_much_present_classes_lead() -> None:
    scores = np.array([[0.9, 0.2, 0.6], [0.3, 0.8, 0.1], [0.7, 0.6, 0.5], [0.4, 0.3, 0.2], [0.5, 0.5, 0.5]])
    labels = np.array([[1, -1, 1], [1, -1, -1], [1, 1, 0], [-1, -1, -1], [0, 0, 0]])
    found = Scores(scores, labels).quality()
    assert found[:3].tolist() == pytest.approx([0.6 - 0.2, 0.3 - 0.8, 0.6])
    assert np.isnan(found[3:]).all()
    assert Scores(scores, labels).contents().tolist() == [2, 1, 2, 0, 0]


def test_detections_are_ranked_within_their_image() -> None:
    """Image 0: right, wrong, right of 2; image 1: nothing found of 1; image 2: no object."""
    records = Matches(
        image=np.array([0, 2, 0, 0]),
        label=np.array([0, 0, 1, 1]),
        score=np.array([0.9, 0.8, 0.5, 0.7]),
        hits=np.array([[True, False, True, False], [False] * 4]),
        counted=np.ones((2, 4), bool),
        objects=np.array([[1, 1], [0, 1], [0, 0]]),
        metrics=["map_r50", "map_r70"],
        interpolations=["area", "area"],
    )
    found = records.quality()
    assert found[:2].tolist() == pytest.approx([(1 + 2 / 3) / 2, 0])
    assert np.isnan(found[2])
    assert records.contents().tolist() == [2, 1, 0]


def test_every_image_is_ranked_as_if_it_were_alone() -> None:
    rng = np.random.default_rng(0)
    images, found = 7, 60
    label = np.sort(rng.integers(0, 3, found))
    image, score = rng.integers(0, images - 1, found), rng.integers(0, 9, found) / 9  # of the last one nothing; ties
    hits, counted = rng.random((2, 1, found)) < 0.5
    objects = rng.integers(0, 3, (images, 3))

    def made(own: npt.NDArray[np.bool_], first: int, last: int) -> Matches:
        parts = (image[own] - first, label[own], score[own], hits[:, own], counted[:, own], objects[first:last])
        return Matches(*parts, metrics=["map_area"], interpolations=["area"])

    together = made(np.ones(found, bool), 0, images).quality()
    alone = [made(image == k, k, k + 1).quality()[0] for k in range(images)]
    np.testing.assert_array_equal(together, alone)
    assert len(made(np.zeros(found, bool), 0, 0).quality()) == 0


def test_pixels_give_the_mean_iou_of_what_is_shown() -> None:
    """Image 0: background 6 of 8, class 1 2 of 4; image 1 is all right; image 2 has no pixels that count."""
    records = Pixels(
        image=np.array([0, 0, 0, 1]),
        truth=np.array([0, 1, 1, 2]),
        found=np.array([0, 1, 0, 2]),
        count=np.array([6, 2, 2, 9]),
        shape=np.array([3, 3]),
    )
    found = records.quality()
    assert found[:2].tolist() == pytest.approx([(6 / 8 + 2 / 4) / 2, 1])
    assert np.isnan(found[2])


def test_extremes_are_apart_and_prefer_images_with_more_in_them() -> None:
    values = np.array([1.0, 0.0, np.nan, 1.0, 0.0, 0.5])
    weight = np.array([1.0, 1.0, 9.0, 3.0, 3.0, 1.0])
    assert extremes(values, weight, 2) == ([3, 0], [4, 1])
    best, worst = extremes(values, weight, 9)
    assert not set(best) & set(worst)
    assert (len(best), len(worst)) == (2, 2)
    assert extremes(np.array([0.5]), np.array([1.0]), 3) == ([], [])
