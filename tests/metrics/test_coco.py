"""COCO's AP: hand-made cases, and a literal implementation of its matching for boxes."""

import logging
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vjo_train.metrics.coco import COCODetectionAP

torch.set_num_threads(1)

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def literal(images, label):
    """Mean AP of one class; each threshold, image and detection in turn. Difficult objects are COCO's `ignore`."""
    positives = sum(lab == label and not hard for _, there in images for _, lab, hard in there)
    if not positives:
        return math.nan
    aps = []
    for threshold in THRESHOLDS:
        verdicts = []
        for found, there in images:
            objects = sorted([(box, hard) for box, lab, hard in there if lab == label], key=lambda o: o[1])
            taken = [False] * len(objects)
            for box, score, lab in sorted(found, key=lambda d: -d[1]):
                if lab != label:
                    continue
                best, chosen = min(threshold, 1 - 1e-10), None
                for j, (other, hard) in enumerate(objects):
                    if taken[j]:
                        continue
                    if chosen is not None and not objects[chosen][1] and hard:
                        break
                    if iou(box, other) >= best:
                        best, chosen = iou(box, other), j
                if chosen is not None:
                    taken[chosen] = True
                if chosen is None or not objects[chosen][1]:
                    verdicts.append((score, chosen is not None))
        right = [hit for _, hit in sorted(verdicts, key=lambda v: -v[0])]
        tp = np.cumsum(right) if right else np.zeros(0)
        recall, precision = tp / positives, tp / np.arange(1, len(tp) + 1)
        aps.append(np.mean([max(precision[recall >= r], default=0) for r in RECALLS]))
    return np.mean(aps)


def tensors(image, masks=False):
    found, there = image
    pred = {
        "boxes": torch.tensor([d[0] for d in found], dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor([d[1] for d in found], dtype=torch.float32),
        "labels": torch.tensor([d[2] for d in found], dtype=torch.int64),
    }
    target = {
        "boxes": torch.tensor([o[0] for o in there], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([o[1] for o in there], dtype=torch.int64),
        "difficult": torch.tensor([o[2] for o in there], dtype=torch.bool),
    }
    if masks:
        for item in (pred, target):
            item["masks"] = torch.zeros(len(item["boxes"]), 40, 30, dtype=torch.bool)
            for mask, (x1, y1, x2, y2) in zip(item["masks"], item["boxes"].int().tolist(), strict=True):
                mask[y1:y2, x1:x2] = True
    return pred, target


def evaluate(images, classes=1, masks=False):
    metric = COCODetectionAP(classes, "segm" if masks else "bbox")
    for image in images:
        pred, target = tensors(image, masks)
        metric.update([pred], [target])
    return metric.compute()


A, B, C = (0, 0, 10, 10), (15, 15, 25, 25), (0, 15, 10, 25)


@pytest.mark.parametrize("masks", [False, True])
class TestByHand:
    def test_perfect(self, masks):
        result = evaluate([([(A, 0.9, 0), (B, 0.8, 0)], [(A, 0, False), (B, 0, False)])], masks=masks)
        assert {name: float(value.mean()) for name, value in result.items()} == pytest.approx(
            {"map": 1, "map_50": 1, "map_75": 1, "ap": 1}, abs=1e-9
        )

    def test_an_overlap_of_four_fifths_passes_seven_thresholds(self, masks):
        result = evaluate([([((0, 0, 8, 10), 0.9, 0)], [(A, 0, False)])], masks=masks)
        assert result["map"].item() == pytest.approx(0.7, abs=1e-9)
        assert (result["map_50"].item(), result["map_75"].item()) == pytest.approx((1, 1), abs=1e-9)

    def test_a_difficult_object_is_no_positive_and_takes_one_detection(self, masks):
        there = [(A, 0, False), (B, 0, True)]
        assert evaluate([([(A, 0.8, 0)], there)], masks=masks)["map"].item() == pytest.approx(1, abs=1e-9)
        once = [(B, 0.9, 0), (A, 0.8, 0)]
        assert evaluate([(once, there)], masks=masks)["map"].item() == pytest.approx(1, abs=1e-9)
        twice = [(B, 0.95, 0), *once]
        assert evaluate([(twice, there)], masks=masks)["map"].item() == pytest.approx(1 / 2, abs=1e-9)

    def test_a_difficult_object_is_no_crowd(self, masks):
        """A small box inside a crowd would be ignored."""
        image = ([((15, 15, 19, 19), 0.9, 0), (A, 0.8, 0)], [(A, 0, False), (B, 0, True)])
        assert evaluate([image], masks=masks)["map"].item() == pytest.approx(1 / 2, abs=1e-9)

    def test_a_class_without_positives_is_left_out_of_the_mean(self, masks):
        image = ([(A, 0.9, 0), (B, 0.9, 1), (C, 0.9, 2)], [(A, 0, False), (C, 2, True)])
        result = evaluate([image], classes=4, masks=masks)
        assert result["ap"].isnan().tolist() == [False, True, True, True]
        assert result["map"].item() == pytest.approx(1, abs=1e-9)

    def test_nothing_found_and_nothing_there(self, masks):
        assert evaluate([([], [(A, 0, False)])], masks=masks)["map"].item() == 0
        assert math.isnan(evaluate([([(A, 0.9, 0)], [])], masks=masks)["map"].item())
        assert math.isnan(evaluate([([], [])], masks=masks)["map"].item())

    def test_it_prints_and_logs_nothing(self, masks, capsys, caplog):
        with caplog.at_level(logging.INFO):
            evaluate([([(A, 0.9, 0)], [(A, 0, False)])], masks=masks)
        assert capsys.readouterr() == ("", "")
        assert not caplog.records


corner, side = st.integers(0, 4), st.integers(2, 6)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, side, side)
image_strategy = st.tuples(
    st.lists(st.tuples(boxes, st.sampled_from([0.25, 0.5, 0.75]), st.integers(0, 1)), max_size=5),
    st.lists(st.tuples(boxes, st.integers(0, 1), st.booleans()), max_size=4),
)


@settings(max_examples=60)
@given(st.lists(image_strategy, min_size=1, max_size=4))
def test_agrees_with_the_literal_matching(images):
    expected = [literal(images, label) for label in range(2)]
    for masks in (False, True):
        np.testing.assert_allclose(evaluate(images, 2, masks)["ap"].numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (None, r"preds\[0\].masks` should be a bool tensor \[N, H, W\]. Found NoneType"),
        (torch.ones(1, 40, 30), r"preds\[0\].masks` should be a bool tensor \[N, H, W\]. Found torch.float32"),
        (torch.ones(2, 40, 30, dtype=torch.bool), r"preds\[0\].masks` should be 1, as the labels. Found 2"),
        (torch.ones(1, 30, 40, dtype=torch.bool), "of image 0 should be of one size"),
    ],
)
def test_masks_of_another_form_are_refused(masks, message):
    pred, target = tensors(([(A, 0.9, 0)], [(A, 0, False)]), masks=True)
    with pytest.raises(ValueError, match=message):
        COCODetectionAP(1, "segm").update([{**pred, "masks": masks}], [target])


def test_unknown_iou_type_is_refused():
    with pytest.raises(ValueError, match="Found 'masks'"):
        COCODetectionAP(1, "masks")
