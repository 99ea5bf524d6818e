"""From scored boxes to detections in the file's pixels, and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.heads.detection import cases
from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.detection.candidates import Pairs, best_pairs, likely_pairs, pairs_above
from vjo_train.heads.detection.metrics import DetectionMetrics
from vjo_train.heads.detection.objects import Objects
from vjo_train.types import Boxes, Detections, Features


@dataclass
class Given:
    scores: Tensor
    boxes: Tensor


class GivenBoxes(DetectionHead):
    """A head whose boxes are given."""

    def __init__(self, **options: Any) -> None:
        defaults = {"score_threshold": 0.1, "nms_threshold": 0.5, "candidates": 100, "detections_per_image": 100}
        super().__init__(num_classes=2, **(defaults | options))

    def forward(self, features: Features) -> Any:
        raise NotImplementedError

    def losses(self, outputs: Any, objects: Objects) -> Tensor:
        raise NotImplementedError

    def find(self, outputs: Given, sizes: Tensor, threshold: float) -> tuple[Pairs, Tensor]:
        pairs = best_pairs(pairs_above(outputs.scores, threshold), len(sizes), self.candidates)
        return pairs, outputs.boxes[pairs.image, pairs.row]


def decode(boxes: list[list[float]], scores: list[list[float]], *, scale: float = 1.0, size=(96, 96), **options: Any):
    given = Given(torch.tensor([scores]), torch.tensor([boxes], dtype=torch.float32))
    batch = cases.batch([cases.target()], [scale], [cases.target(size=size)])
    return GivenBoxes(**options).decode(given, batch)[0]


def test_boxes_come_in_file_pixels_cut_to_the_image() -> None:
    found = decode([[-4, 10, 30, 50], [20, 20, 90, 80]], [[0.9, 0], [0, 0.8]], scale=0.5, size=(120, 160))
    assert found.boxes.tolist() == [[0, 20, 60, 100], [40, 40, 160, 120]]
    assert found.labels.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])


def test_boxes_in_the_padding_or_without_area_are_dropped() -> None:
    found = decode([[70, 0, 90, 40], [10, 10, 10, 30], [5, 5, 20, 20]], [[0.9, 0]] * 3, size=(96, 60))
    assert found.boxes.tolist() == [[5, 5, 20, 20]]


def test_suppression_is_class_by_class() -> None:
    boxes = [[10, 10, 50, 50], [11, 10, 51, 50], [10, 10, 50, 50]]
    found = decode(boxes, [[0.9, 0], [0.8, 0], [0, 0.7]])
    assert found.labels.tolist() == [0, 1]
    assert len(decode(boxes, [[0.9, 0], [0.8, 0], [0, 0.7]], nms_threshold=0.99).scores) == 3


def test_one_box_may_be_of_two_classes() -> None:
    found = decode([[10, 10, 50, 50]], [[0.9, 0.8]])
    assert found.labels.tolist() == [0, 1]


def test_low_scores_and_all_beyond_the_count_are_dropped() -> None:
    boxes = [[10.0 * i, 0, 10.0 * i + 9, 9] for i in range(5)]
    scores = [[0.5, 0], [0.05, 0], [0.9, 0], [0.7, 0], [0.6, 0]]
    assert decode(boxes, scores).scores.tolist() == pytest.approx([0.9, 0.7, 0.6, 0.5])
    assert decode(boxes, scores, detections_per_image=2).scores.tolist() == pytest.approx([0.9, 0.7])
    assert decode(boxes, scores, candidates=3).scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert decode(boxes, scores, score_threshold=0.95).boxes.shape == (0, 4)


def listed(pairs: Pairs) -> list[tuple[int, int, int]]:
    return list(zip(pairs.image.tolist(), pairs.row.tolist(), pairs.label.tolist(), strict=True))


def test_pairs_above_a_threshold_and_the_best_of_each_image() -> None:
    scores = torch.tensor([[[0.1, 0.9], [0.8, 0.2]], [[0.0, 0.0], [0.0, 0.0]], [[0.3, 0.0], [0.4, 0.5]]])
    pairs = pairs_above(scores, 0.15)
    assert listed(pairs) == [(0, 0, 1), (0, 1, 0), (0, 1, 1), (2, 0, 0), (2, 1, 0), (2, 1, 1)]
    assert pairs.score.tolist() == pytest.approx([0.9, 0.8, 0.2, 0.3, 0.4, 0.5])
    assert listed(best_pairs(pairs, 3, 2)) == [(0, 0, 1), (0, 1, 0), (2, 1, 1), (2, 1, 0)]
    assert listed(pairs_above(scores[:, :0], 0.0)) == []
    assert listed(best_pairs(pairs_above(scores, 0.95), 3, 2)) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threshold", [0.0, 1e-4, 0.05, 0.3])
def test_likely_pairs_miss_none_whose_probability_is_above_the_threshold(dtype, threshold) -> None:
    logits = (6 * torch.randn(2, 500, 3, generator=torch.Generator().manual_seed(0)) - 4).to(dtype)
    expected = pairs_above(logits.float().sigmoid(), threshold)
    pairs = likely_pairs(logits, threshold)
    assert len(pairs.image) < 1.1 * len(expected.image) + 2
    pairs = pairs[pairs.score > threshold]
    assert listed(pairs) == listed(expected)
    torch.testing.assert_close(pairs.score, expected.score)


def test_padding_of_objects() -> None:
    objects = Objects.of(cases.mixed(), [True, True, True, True, False])
    assert objects.real.tolist() == [[True] * 3, [True, False, False], [False] * 3, [False, True, False], [False] * 3]
    assert objects.difficult.sum(1).tolist() == [0, 0, 0, 1, 0]
    assert objects.boxes[1, 0].tolist() == [10, 30, 60, 70]
    assert objects.classes[0].tolist() == [0, 1, 2]
    assert Objects.of([cases.target()], [True]).boxes.shape == (1, 1, 4)


def exact(target: Any) -> Detections:
    known = target.labels.get("boxes", Boxes.none())
    return Detections(known.xyxy, torch.linspace(0.9, 0.5, len(known)), known.labels)


def test_perfect_detections_have_perfect_figures() -> None:
    targets = cases.mixed()
    collector = DetectionMetrics(cases.CLASSES)
    collector.update([exact(target) for target in targets[:4]], targets[:4])
    values = collector.compute()
    for name in ("map_voc07", "map_area", "map_coco"):
        assert values[name] == pytest.approx(1)
    for name, mean in collector.per_class.items():
        assert values[name].shape == (cases.CLASSES,)
        assert values[name].nanmean() == pytest.approx(float(values[mean]))


def test_images_without_annotation_count_neither_way() -> None:
    targets = cases.mixed()
    collector = DetectionMetrics(cases.CLASSES)
    collector.update([exact(target) for target in targets], targets)
    assert collector.compute()["map_area"] == pytest.approx(1)
    collector.reset()
    collector.update([exact(targets[4])], [targets[4]])
    assert bool(collector.compute()["map_area"].isnan())


def test_voc_figures_use_inclusive_pixels() -> None:
    """IoU 4/9: the devkit's widths x2 - x1 + 1 of boxes that were not converted would make it 9/16."""
    truth = cases.target([[10, 10, 12, 12]], [0])
    collector = DetectionMetrics(cases.CLASSES)
    shifted = Detections(torch.tensor([[10.0, 10, 13, 13]]), torch.tensor([0.9]), torch.tensor([0]))
    collector.update([shifted], [truth])
    assert collector.compute()["map_area"] == 0
