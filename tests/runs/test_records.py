"""Figures on resampled images are those of a data set in which the images really are drawn so often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vjo_train.errors import CheckpointError
from vjo_train.heads.classification import ClassificationMetrics
from vjo_train.heads.detection.metrics import DetectionMetrics
from vjo_train.heads.keypoints.metrics import KeypointMetrics
from vjo_train.heads.panoptic.metrics import PanopticMetrics
from vjo_train.heads.panoptic.segments import Segments
from vjo_train.heads.pixels.binary import EdgeMetrics
from vjo_train.heads.semantic import SemanticMetrics
from vjo_train.runs.average_precision import average_precision, resampled_average_precision
from vjo_train.runs.records import FILE, TaskRecords, read_records, to_bytes
from vjo_train.types import Boxes, Detections, Keypoints, Target

CLASSES, IMAGES, SIDE = 3, 7, 12


@settings(max_examples=80)
@given(st.data())
def test_drawn_images_count_as_copies(data):
    images = data.draw(st.integers(1, 5))
    n = data.draw(st.integers(0, 12))
    hits = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    image = np.array(data.draw(st.lists(st.integers(0, images - 1), min_size=n, max_size=n)), dtype=np.int64)
    positives = np.bincount(image[hits], minlength=images) + np.array(
        data.draw(st.lists(st.integers(0, 2), min_size=images, max_size=images))
    )
    draws = np.array(data.draw(st.lists(st.lists(st.integers(0, 3), min_size=images, max_size=images), min_size=1)))
    for interpolation in ("area", "11point"):
        found = resampled_average_precision(hits, image, positives, draws, interpolation)
        for value, drawn in zip(found, draws, strict=True):
            copies = np.repeat(hits, drawn[image])
            wanted = average_precision(copies, int(drawn @ positives), interpolation)
            np.testing.assert_allclose(value, wanted, rtol=1e-12)


def example(number: int) -> tuple[torch.Tensor, Detections, torch.Tensor, Target]:
    """Scores, detections, a semantic map and the truth of an image."""
    generator = torch.Generator().manual_seed(number)

    def boxes(n: int) -> torch.Tensor:
        corner = torch.randint(0, 6, (n, 2), generator=generator).float()
        return torch.cat([corner, corner + torch.randint(3, 7, (n, 2), generator=generator)], 1)

    n, m = 8, int(torch.randint(0, 4, (), generator=generator))
    semantic = torch.randint(0, CLASSES + 1, (SIDE, SIDE), generator=generator).to(torch.uint8)
    found = torch.where(torch.rand(SIDE, SIDE, generator=generator) < 0.5, semantic, 0).to(torch.uint8)
    semantic[0] = 255
    masks = torch.rand(m, SIDE, SIDE, generator=generator) < 0.4
    points = torch.cat([boxes(m).view(m, 2, 2), torch.randint(0, 3, (m, 2, 1), generator=generator)], 2)
    classes = torch.randint(-1, 2, (CLASSES,), generator=generator).to(torch.int8)
    labels, difficult = torch.randint(0, CLASSES, (m,), generator=generator), torch.rand(m, generator=generator) < 0.2
    known = {"classes": classes, "boxes": Boxes(boxes(m), labels, difficult), "masks": masks}
    known["keypoints"] = Keypoints(points.float(), torch.full((m,), 20.0), torch.zeros(0, 2, dtype=torch.int64))
    known["edges"] = torch.randint(0, 2, (SIDE, SIDE), generator=generator).to(torch.uint8)
    target = Target((SIDE, SIDE), {**known, "semantic": semantic} if number % 2 else known)
    scores = torch.arange(n, 0, -1) / n  # equal ones in different images only
    detections = Detections(boxes(n), scores, torch.randint(0, CLASSES, (n,), generator=generator))
    return torch.rand(CLASSES, generator=generator), detections, found, target


def _with_points(found: Detections) -> Detections:
    """Points at the corners of the boxes."""
    points = torch.cat([found.boxes.view(-1, 2, 2), torch.ones(len(found.boxes), 2, 1)], 2)
    return replace(found, keypoints=points)


def probabilities(number: int) -> torch.Tensor:
    return torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(number))


def parts(number: int) -> Segments:
    """Segments that lie about as those of the truth of some images do."""
    *_, target = example(number)
    ids = target["masks"].int().argmax(0).int() + 1 if len(target["masks"]) else torch.zeros(SIDE, SIDE).int()
    labels = target["boxes"].labels if len(target["masks"]) else torch.zeros(1, dtype=torch.int64)
    labels = labels.roll(1) if number % 3 == 0 else labels
    return Segments(ids, labels, torch.ones(len(labels)), labels != 1)


def metrics_of(numbers):
    scores, detections, maps, targets = zip(*map(example, numbers), strict=True)
    collectors = {
        "classification": (ClassificationMetrics(CLASSES), scores),
        "detection": (DetectionMetrics(CLASSES), detections),
        "semantic": (SemanticMetrics(CLASSES), maps),
        "keypoints": (KeypointMetrics(CLASSES, (0.3, 0.5)), [_with_points(one) for one in detections]),
        "edges": (EdgeMetrics("edges", 0.1), [probabilities(n) for n in numbers]),
        "panoptic": (PanopticMetrics(torch.tensor([True, False, True]), background=True), [parts(n) for n in numbers]),
    }
    for collector, predictions in collectors.values():
        collector.update(list(predictions), list(targets))
    return {task: collector for task, (collector, _) in collectors.items()}


@pytest.fixture(scope="module")
def records():
    kept = {task: metrics.records() for task, metrics in metrics_of(range(IMAGES)).items()}
    assert all(known is not None for known in kept.values())
    masked = [str(n) for n in range(IMAGES) if n % 2]
    ids = {"semantic": masked, "panoptic": masked}
    return {task: TaskRecords(tuple(ids.get(task, map(str, range(IMAGES)))), known) for task, known in kept.items()}


@pytest.mark.parametrize("drawn", [[1] * IMAGES, [0, 2, 1, 3, 0, 1, 1]])
def test_a_resample_has_the_figures_of_the_metrics_on_those_images(records, drawn):
    numbers = [n for n, times in enumerate(drawn) for _ in range(times)]
    for task, metrics in metrics_of(numbers).items():
        wanted = metrics.compute()
        draws = np.array([[drawn[int(name)] for name in records[task].ids]])
        figures = records[task].records.resampled(draws)
        assert figures
        for name, value in figures.items():
            assert value[0] == pytest.approx(float(wanted[name]), rel=1e-12), (task, name)


def test_a_file_gives_back_what_was_kept(records, tmp_path: Path):
    path = tmp_path / FILE
    path.write_bytes(to_bytes(records))
    back = read_records(path)
    assert {task: known.ids for task, known in back.items()} == {task: known.ids for task, known in records.items()}
    draws = np.random.default_rng(0).multinomial(IMAGES, [1 / IMAGES] * IMAGES, 5)
    for task in ("classification", "detection"):
        one, two = (known[task].records.resampled(draws) for known in (records, back))
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])
    assert read_records(tmp_path / "none.npz") == {}


def test_a_damaged_file_is_named(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(CheckpointError, match=r"test_records\.npz is damaged"):
        read_records(tmp_path / FILE)
