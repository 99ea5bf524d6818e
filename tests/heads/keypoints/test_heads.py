"""What holds for every key point head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.heads.detection import cases as detection
from tests.heads.keypoints import cases
from vjo_train.drawing.sheet import Sheet
from vjo_train.errors import ConfigError
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.task_files import TaskFiles
from vjo_train.types import Detections

pytestmark = pytest.mark.parametrize("kind", cases.KINDS)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_loss_of_a_batch_is_that_of_its_images_one_by_one(kind: str) -> None:
    head, maps, targets = cases.head(kind), detection.features(6), cases.mixed()
    together = head.loss(head(maps), targets)
    alone = [head.loss(head(detection.part(maps, i)), [targets[i]])[0] for i in range(6)]
    assert together.shape == (6,)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-6)


def test_detections_of_a_batch_are_those_of_its_images_one_by_one(kind: str) -> None:
    head, maps = cases.head(kind, score_threshold=0.0, detections_per_image=6), detection.features(2)
    targets = [cases.target(size=(96, 60)), cases.target(size=(50, 96))]
    originals = [cases.target(size=(192, 120)), cases.target(size=(50, 96))]
    scales = [0.5, 1.0]
    together = head.decode(head(maps), detection.batch(targets, scales, originals))
    for i, found in enumerate(together):
        one = head.decode(head(detection.part(maps, i)), detection.batch([targets[i]], [scales[i]], [originals[i]]))[0]
        assert found.keypoints is not None
        assert one.keypoints is not None
        assert found.keypoints.shape == (6, cases.POINTS, 3)
        assert bool(((found.keypoints[..., 2] >= 0) & (found.keypoints[..., 2] <= 1)).all())
        torch.testing.assert_close(found.boxes, one.boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.keypoints, one.keypoints, rtol=1e-3, atol=1e-2)


def test_nothing_found_has_no_points(kind: str) -> None:
    head, known = cases.head(kind, score_threshold=0.99), cases.target(size=(96, 70))
    (found,) = head.decode(head(detection.features(1)), detection.batch([known], [1.0], [known]))
    assert found.keypoints is not None
    assert found.keypoints.shape == (0, cases.POINTS, 3)


def test_images_without_key_points_give_zero_and_no_gradient(kind: str) -> None:
    head, targets = cases.head(kind), cases.mixed()
    maps = {level: feature.requires_grad_() for level, feature in detection.features(2).items()}
    losses = head.loss(head(maps), [targets[0], targets[4]])
    losses.sum().backward()
    assert losses[0] > 0
    assert losses[1] == 0
    assert all(feature.grad is not None and bool((feature.grad[1] == 0).all()) for feature in maps.values())
    none = head.loss(head(detection.features(2)), [targets[4], targets[4]])
    assert none.tolist() == [0, 0]
    none.sum().backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in head.parameters())


def test_only_known_points_of_ordinary_objects_are_looked_at(kind: str) -> None:
    head, maps = cases.head(kind), detection.features(1)

    def loss(row: int, point: int, values: list[float]) -> float:
        known = cases.target([[10, 10, 40, 40], [50, 50, 90, 90]], [1, 0], [True, False])
        known["keypoints"].points[1, 2] = 0  # unknown
        known["keypoints"].points[row, point] = torch.tensor(values)
        return head.loss(head(maps), [known]).item()

    usual = loss(1, 2, [0, 0, 0])
    assert loss(1, 2, [60, 60, 0]) == usual, "unknown, whatever its place says"
    assert loss(0, 1, [20, 20, 2]) == usual, "of a difficult object"
    assert loss(1, 1, [60, 70, 2]) != usual
    assert loss(1, 1, [60, 70, 1]) == loss(1, 1, [60, 70, 2]), "hidden points are learned too"


def test_objects_without_known_points_train_boxes(kind: str) -> None:
    head = cases.head(kind)
    known = cases.target([[10, 10, 60, 60]])
    known["keypoints"].points.zero_()
    losses = head.loss(head(detection.features(1)), [known])
    losses.sum().backward()
    assert losses.item() > 0
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in head.parameters())


def test_points_cost_about_one_at_the_start_however_many_there_are(kind: str) -> None:
    """What the points add to the detector's loss, without the weight that makes up for the mean over them."""
    plain = {"point_weight": 1.0} if kind == "fcos" else {}
    for points in (2, 4, 30):
        known = cases.target([[4, 4, 40, 60], [30, 20, 90, 80]])
        if points > 2:
            repeated = known["keypoints"].points.repeat(1, 8, 1)[:, :points]
        else:
            repeated = known["keypoints"].points[:, :points]
        losses = []
        for visible in (2.0, 0.0):
            repeated[..., 2] = visible
            known.labels["keypoints"] = replace(known["keypoints"], points=repeated.clone())
            losses.append(
                cases.head(kind, points=points, **plain).loss(
                    cases.head(kind, points=points, **plain)(detection.features(1)), [known]
                )
            )
        assert 0.7 < (losses[0] - losses[1]).item() < 1.8


def test_bfloat16_comes_close_to_float32(kind: str) -> None:
    head, maps, targets = cases.head(kind), detection.features(2), cases.mixed()[:2]
    exact = head.loss(head(maps), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = head.loss(head(maps), targets)
        head.decode(head(maps), detection.batch(targets, [1.0, 1.0], targets))
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02)


def test_every_parameter_learns(kind: str) -> None:
    head = cases.head(kind)
    head.loss(head(detection.features(6)), cases.mixed()).sum().backward()
    assert [name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_memorises_two_images(kind: str) -> None:
    """The whole way round: losses teach the head points that decoding brings back, and the metrics know them."""
    options = {"rois_per_image": 32, "anchors_per_image": 64, "hidden": 64} if kind == "rcnn" else {}
    head, maps = cases.head(kind, **options), detection.features(2)
    targets = [cases.target([[4, 6, 30, 40], [40, 30, 90, 84]], [0, 1]), cases.target([[20, 10, 70, 66]], [2])]
    originals = [
        cases.target(box, labels, size=(192, 192))
        for box, labels in (([[8, 12, 60, 80], [80, 60, 180, 168]], [0, 1]), ([[40, 20, 140, 132]], [2]))
    ]
    optimizer = torch.optim.AdamW(head.parameters(), lr=5e-3)
    for _ in range(100):
        loss = head.loss(head(maps), targets).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = head.decode(head(maps), detection.batch(targets, [0.5, 0.5], originals))
    collector = head.metrics()
    collector.update(found, originals)
    values = collector.compute()
    assert values["ap50_oks"] == pytest.approx(1, abs=1e-6)
    assert values["map_oks"] > 0.9
    assert found[1].keypoints is not None
    assert (found[1].keypoints[0, :, :2] - originals[1]["keypoints"].points[0, :, :2]).abs().max() < 6
    assert found[1].keypoints[0, :, 2].min() > 0.25, "sure enough to be drawn"


def test_another_number_of_points_is_refused(kind: str) -> None:
    head = cases.head(kind, points=5)
    with pytest.raises(ConfigError, match=r"heads\.keypoints\.points: found 5; the objects of the data set have 4"):
        head.loss(head(detection.features(1)), [cases.target([[10, 10, 60, 60]])])
    with pytest.raises(ConfigError, match=r"heads\.keypoints\.sigmas: found \[0\.1\]; must be 4 numbers above 0"):
        cases.head(kind, sigmas=[0.1])
    with pytest.raises(ConfigError, match=r"heads\.keypoints\.levels.*p9.*p3"):
        cases.head(kind, levels=["p3", "p9"])


def test_a_head_of_one_class_sees_the_points_of_that_class(kind: str) -> None:
    head = cases.head(kind, num_classes=1)
    head.space = LabelSpace(["dog"], ["cat", "dog", "bird"])
    (own,) = head.view([cases.target([[4, 4, 30, 40], [20, 20, 90, 80], [50, 8, 70, 30]], [0, 1, 2])])
    assert own["boxes"].labels.tolist() == [0]
    torch.testing.assert_close(own["keypoints"].points, cases.target([[20, 20, 90, 80]])["keypoints"].points)
    assert len(own["keypoints"].areas) == 1


def test_rows_are_in_cocos_form_and_drawings_show_sure_points(kind: str) -> None:
    head = cases.head(kind)
    points = torch.tensor([[[10.5, 20.5, 0.9], [30.0, 20.0, 0.8], [40.0, 50.0, 0.01], [5.0, 5.0, 0.7]]])
    found = Detections(
        torch.tensor([[4.0, 4.0, 60.0, 60.0]]), torch.tensor([0.75]), torch.tensor([1]), keypoints=points
    )
    rows: list[Any] = []
    head.write(
        TaskFiles(7, "a.jpg", lambda ending: Path(), lambda row: rows.append(row) if row else None), found, "abc"
    )
    assert rows[0]["keypoints"][:6] == [10, 20, 0.9, 29.5, 19.5, 0.8]
    assert (rows[0]["image_id"], rows[0]["category_id"], rows[0]["score"]) == (7, 2, 0.75)

    def drawn(one: Detections) -> Image.Image:
        sheet = Sheet(torch.full((3, 80, 80), 200, dtype=torch.uint8), threshold=0.5)
        head.draw(sheet, one, "abc")
        return sheet.finished("x")

    picture = drawn(found)
    bare = drawn(replace(found, keypoints=torch.zeros_like(points)))
    differ = [picture.getpixel(place) != bare.getpixel(place) for place in ((10, 20), (30, 20), (40, 50))]
    assert differ == [True, True, False]
