"""Keypoint R-CNN: what is labelled, what it costs, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.heads.detection import cases
from vjo_train.errors import ConfigError, DataError
from vjo_train.heads.keypoints.keypoint_rcnn import KeypointRCNN
from vjo_train.heads.label_space import LabelSpace
from vjo_train.types import Batch, Detections, Frames, Target

POINTS, SIZE = 3, cases.SIZE
BOX = [16.0, 16, 80, 80]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def head(**options: Any) -> KeypointRCNN:
    torch.manual_seed(0)
    whole = {"anchors_per_image": 10**5, "rois_per_image": 10**5, "proposals": 20, "eval_proposals": 20, "hidden": 32}
    small = {"channels": cases.CHANNELS, "num_classes": cases.CLASSES, "point_depth": 1, "point_width": 16}
    return KeypointRCNN(**(small | whole | {"points": POINTS} | options))


def target(*points: list[list[float]], boxes: list[list[float]] | None = None, **options: Any) -> Target:
    plain = cases.target(boxes or [BOX] * len(points), **options)
    known = torch.tensor(points, dtype=torch.float32).reshape(-1, POINTS, 3)
    return Target(plain.size, {**plain.labels, "keypoints": known})


EYES = [[20.0, 30, 2], [70, 30, 2], [45, 60, 1]]


def test_images_without_points_cost_nothing() -> None:
    own = head()
    outputs = own(cases.features(3))
    boxes_alone = target(EYES).only(frozenset({"boxes"}))
    losses = own.loss(outputs, [target(EYES), boxes_alone, target()])
    assert losses[1] == 0
    assert losses[0] > losses[2] > 0
    assert [own.labelled(one) for one in (target(EYES), boxes_alone)] == [True, False]


def test_unknown_points_and_difficult_objects_teach_no_points() -> None:
    own = head(split_losses=True)
    outputs = own(cases.features(1))
    nothing = own.part_losses(outputs, [target([[0, 0, 0]] * POINTS)])
    assert set(nothing) == {"box", "category", "point"}
    assert nothing["point"].tolist() == [0]
    hidden = own.part_losses(outputs, [target(EYES, difficult=[True])])
    assert hidden["point"].tolist() == [0]
    (some,) = own.part_losses(outputs, [target(EYES)])["point"].tolist()
    assert 0.5 < some < 2, "about 1 at the start"


def test_other_classes_take_their_points_with_them() -> None:
    own = head(num_classes=1)
    own.space = LabelSpace(["b"], ["a", "b", "c"])
    two = target(EYES, [[1, 1, 2]] * 3, boxes=[BOX, [0, 0, 9, 9]], labels=[0, 1])
    (seen,) = own.view([two])
    assert seen["keypoints"].tolist() == [[[1, 1, 2]] * 3]


def test_it_learns_where_points_are() -> None:
    own, seen = head(levels=["p3"], roi_levels=["p3"]), cases.features(1)
    known, frames = target(EYES), Frames.of_files(torch.tensor([[SIZE, SIZE]]), (SIZE, SIZE))
    optimizer = torch.optim.Adam(own.parameters(), lr=0.01)
    for _ in range(80):
        loss = own.loss(own(seen), [known]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    own.eval()
    decoded = own.decoded(own(seen), frames)
    batch = Batch(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), [known], ["a"], torch.ones(1), (), [known])
    (found,) = own.predictions(decoded, batch)
    assert found.points is not None
    assert found.points.shape == (len(found.boxes), POINTS, 3)
    off = (found.points[0, :, :2] - known["keypoints"][0, :, :2]).norm(dim=1)
    assert off.max() < 3
    metrics = own.metrics()
    metrics.update([found], [known])
    assert float(metrics.compute()["map_oks50"]) == 1


def test_points_are_in_the_pixels_of_the_file() -> None:
    own = head()
    outputs = own(cases.features(1))
    one = own.decoded(outputs, Frames.of_files(torch.tensor([[SIZE, SIZE]]), (SIZE, SIZE)))
    double = own.decoded(outputs, Frames.of_files(torch.tensor([[2 * SIZE, 2 * SIZE]]), (SIZE, SIZE)))
    torch.testing.assert_close(2 * one["points"][..., :2], double["points"][..., :2], rtol=1e-4, atol=1e-3)


def test_rows_are_cocos() -> None:
    from vjo_train.heads.detection.coco import coco_rows

    found = Detections(
        torch.tensor([[1.0, 2, 4, 6]]), torch.tensor([0.5]), torch.tensor([0]), points=torch.ones(1, 2, 3)
    )
    assert coco_rows(found) == [{"category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, "keypoints": [1.0] * 6}]


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"heads\.keypoints\.sigmas: found 2; there are 3 points"):
        head(sigmas=[0.1, 0.1])
    with pytest.raises(ConfigError, match=r"heads\.keypoints\.skeleton: found \[0, 3\]; must be two of 0\.\.2"):
        head(skeleton=[[0, 3]])
    own = head(points=5)
    with pytest.raises(DataError, match=r"heads\.keypoints\.points: found 5; the labels have 3 points"):
        own.loss(own(cases.features(1)), [target(EYES)])
