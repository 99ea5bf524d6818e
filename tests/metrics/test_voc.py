"""VOC detection AP: hand-made cases, a literal second implementation, an independent evaluator's figures."""

import json
import math
import os
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.literal import literal_detection
from vjo_train.metrics.voc import APSetting, VOCDetectionAP, VOCDetectionAPs

torch.set_num_threads(1)


def tensors(image):
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
    return pred, target


def evaluate(images, classes=1, batch=2, **kwargs):
    metric = VOCDetectionAP(classes, **kwargs)
    pairs = [tensors(image) for image in images]
    for start in range(0, len(pairs), batch):
        preds, targets = zip(*pairs[start : start + batch], strict=True)
        metric.update(list(preds), list(targets))
    return metric.compute()


A, B = (1, 1, 10, 10), (51, 51, 60, 60)
FAR = (200, 200, 220, 220)


def ap_of(images, **kwargs):
    return evaluate(images, **kwargs)["map"].item()


class TestDetectionByHand:
    def test_perfect(self):
        assert ap_of([([(A, 0.9, 0), (B, 0.8, 0)], [(A, 0, False), (B, 0, False)])]) == pytest.approx(1, abs=1e-12)

    def test_half_of_the_recall_is_six_of_eleven_points(self):
        image = ([(A, 0.9, 0)], [(A, 0, False), (B, 0, False)])
        assert ap_of([image]) == pytest.approx(6 / 11, abs=1e-12)
        assert ap_of([image], interpolation="area") == pytest.approx(1 / 2, abs=1e-12)

    def test_a_second_detection_of_an_object_is_wrong(self):
        image = ([(A, 0.9, 0), (A, 0.8, 0), (B, 0.7, 0)], [(A, 0, False), (B, 0, False)])
        assert ap_of([image]) == pytest.approx((6 + 5 * 2 / 3) / 11, abs=1e-12)

    def test_a_taken_object_is_not_passed_over_for_the_second_best(self):
        near = (1, 1, 10, 9)  # overlaps A by 0.9 and the shifted object by 0.54
        shifted = (1, 4, 10, 13)
        image = ([(A, 0.9, 0), (near, 0.8, 0)], [(A, 0, False), (shifted, 0, False)])
        assert ap_of([image]) == pytest.approx(6 / 11, abs=1e-12)

    def test_the_first_of_equally_good_objects_is_asked_for(self):
        image = ([(A, 0.9, 0), (A, 0.8, 0)], [(A, 0, False), (A, 0, False)])
        assert ap_of([image]) == pytest.approx(6 / 11, abs=1e-12)

    def test_difficult_objects_count_neither_way_however_often(self):
        image = ([(B, 0.9, 0), (B, 0.85, 0), (A, 0.8, 0)], [(A, 0, False), (B, 0, True)])
        assert ap_of([image]) == pytest.approx(1, abs=1e-12)
        missed = ([(A, 0.8, 0)], [(A, 0, False), (B, 0, True)])
        assert ap_of([missed]) == pytest.approx(1, abs=1e-12)

    def test_a_difficult_object_that_overlaps_most_hides_the_ordinary_one(self):
        image = ([(A, 0.9, 0)], [((1, 1, 10, 9), 0, False), (A, 0, True)])
        assert ap_of([image]) == 0

    def test_an_overlap_of_exactly_the_threshold_is_enough(self):
        half = (1, 1, 10, 5)  # 50 of 100 inclusive pixels
        assert ap_of([([(half, 0.9, 0)], [(A, 0, False)])]) == pytest.approx(1, abs=1e-12)
        assert ap_of([([((1, 1, 10, 4), 0.9, 0)], [(A, 0, False)])]) == 0
        for pixels, threshold in ((3, 0.3), (6, 0.6), (7, 0.7), (9, 0.9)):
            image = ([((1, 1, 10, pixels), 0.9, 0)], [(A, 0, False)])
            assert ap_of([image], iou_threshold=threshold) == pytest.approx(1, abs=1e-12), threshold

    @pytest.mark.parametrize("found", [3, 6, 7])
    def test_recalls_of_exactly_three_six_and_seven_tenths_are_reached(self, found):
        objects = [((x, 1, x + 5, 5), 0, False) for x in range(1, 200, 20)]
        image = ([(box, 0.9 - 0.01 * i, 0) for i, (box, _, _) in enumerate(objects[:found])], objects)
        assert ap_of([image]) == pytest.approx((found + 1) / 11, abs=1e-12)

    def test_recalls_of_three_tenths_of_many_positives(self):
        for positives in range(10, 100, 10):
            for k in range(11):
                hits = np.ones(positives * k // 10, dtype=bool)
                images = [([(A, 0.5, 0)] if n < len(hits) else [], [(A, 0, False)]) for n in range(positives)]
                expected = (k + 1) / 11 if k else 0
                assert ap_of(images, batch=50) == pytest.approx(expected, abs=1e-12), (positives, k)

    def test_equal_scores_keep_the_order_of_arrival(self):
        right, wrong = ([(A, 0.5, 0)], [(A, 0, False)]), ([(FAR, 0.5, 0)], [])
        assert ap_of([right, wrong]) == pytest.approx(1, abs=1e-12)
        assert ap_of([wrong, right]) == pytest.approx(1 / 2, abs=1e-12)
        both = ([(FAR, 0.5, 0), (A, 0.5, 0)], [(A, 0, False)])
        assert ap_of([both]) == pytest.approx(1 / 2, abs=1e-12)

    def test_a_class_without_positives_is_left_out_of_the_mean(self):
        found = [(A, 0.9, 0), (B, 0.9, 1), (B, 0.9, 2)]
        result = evaluate([(found, [(A, 0, False), (B, 2, True)])], classes=4)
        assert result["ap"].isnan().tolist() == [False, True, True, True]
        assert result["map"].item() == pytest.approx(1, abs=1e-12)

    def test_nothing_found_and_nothing_there(self):
        assert ap_of([([], [(A, 0, False)])]) == 0
        assert ap_of([([(B, 0.9, 0)], [(A, 0, False), (B, 0, True)])]) == 0  # all that was found is ignored
        assert math.isnan(ap_of([([(A, 0.9, 0)], [])]))
        assert math.isnan(ap_of([([], [])]))

    def test_another_image_and_another_class_do_not_help(self):
        assert ap_of([([(A, 0.9, 0)], [(B, 0, False)]), ([], [(A, 0, False)])]) == 0
        assert ap_of([([(A, 0.9, 0)], [(A, 1, False)])], classes=2) == 0

    def test_empty_tensors_of_any_type_and_a_missing_difficult_are_understood(self):
        metric = VOCDetectionAP(1)
        nothing = torch.tensor([])
        pred, target = tensors(([(A, 0.9, 0)], [(A, 0, False)]))
        del target["difficult"]
        empty = {"boxes": nothing, "scores": nothing, "labels": nothing}
        metric.update([empty, pred], [{"boxes": nothing, "labels": nothing}, target])
        assert metric.compute()["map"].item() == pytest.approx(1, abs=1e-12)

    def test_reset_forgets(self):
        metric = VOCDetectionAP(1)
        metric.update(*([part] for part in tensors(([(FAR, 0.9, 0)], [(A, 0, False)]))))
        metric.reset()
        metric.update(*([part] for part in tensors(([(A, 0.1, 0)], [(A, 0, False)]))))
        assert metric.compute()["map"].item() == pytest.approx(1, abs=1e-12)

    def test_forward_gives_the_batch_and_collects_all(self):
        metric, batches = VOCDetectionAP(1), []
        for image in [([(FAR, 0.5, 0)], []), ([(A, 0.5, 0)], [(A, 0, False)])]:
            batches.append(metric(*([part] for part in tensors(image)))["map"].item())
        assert math.isnan(batches[0])
        assert batches[1] == pytest.approx(1, abs=1e-12)
        assert metric.compute()["map"].item() == pytest.approx(1 / 2, abs=1e-12)


coordinates = st.integers(1, 6)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), coordinates, coordinates, coordinates, coordinates)
half_boxes = boxes.map(lambda box: (box[0], box[1] + 0.5, box[2] + 0.25, box[3] + 0.5))
labels = st.integers(0, 1)
scores = st.sampled_from([0.125, 0.25, 0.5, 0.75])
image_strategy = st.tuples(
    st.lists(st.tuples(st.one_of(boxes, half_boxes), scores, labels), max_size=6),
    st.lists(st.tuples(boxes, labels, st.booleans()), max_size=4),
)


class TestDetectionProperties:
    @settings(max_examples=80)
    @given(
        st.lists(image_strategy, min_size=1, max_size=6),
        st.integers(1, 3),
        st.sampled_from([Fraction(1, 2), Fraction(1, 4), Fraction(3, 4)]),
    )
    def test_agrees_with_the_literal_protocol(self, images, batch, threshold):
        for interpolation in ("11point", "area"):
            result = evaluate(images, 2, batch, iou_threshold=float(threshold), interpolation=interpolation)
            expected = [literal_detection(images, label, threshold, interpolation) for label in range(2)]
            np.testing.assert_allclose(result["ap"].numpy(), expected, rtol=0, atol=1e-12)
            defined = [ap for ap in expected if not math.isnan(ap)]
            mean = np.mean(defined) if defined else math.nan
            np.testing.assert_allclose(result["map"].item(), mean, rtol=0, atol=1e-12)

    @settings(max_examples=30)
    @given(st.lists(image_strategy, min_size=1, max_size=6), st.integers(1, 6), st.randoms(use_true_random=False))
    def test_without_equal_scores_the_order_is_without_effect(self, images, batch, random):
        number, images = 0, list(images)
        for n, (found, there) in enumerate(images):
            distinct = [(box, score + (number := number + 1) / 1000, label) for box, score, label in found]
            images[n] = (distinct, there)
        before = evaluate(images, 2, 2)["ap"]
        random.shuffle(images)
        after = evaluate([(random.sample(f, len(f)), there) for f, there in images], 2, batch)["ap"]
        torch.testing.assert_close(after, before, rtol=0, atol=0, equal_nan=True)

    @settings(max_examples=30)
    @given(st.lists(image_strategy, min_size=1, max_size=6))
    def test_several_settings_at_once_equal_each_alone(self, images):
        table = {"a": APSetting(0.5, "11point"), "b": APSetting(0.5, "area"), "c": APSetting(0.75, "area")}
        together = VOCDetectionAPs(2, table)
        preds, targets = zip(*map(tensors, images), strict=True)
        together.update(list(preds), list(targets))
        result = together.compute()
        assert set(result) == {f"{kind}_{name}" for kind in ("map", "ap") for name in table}
        for name, (threshold, interpolation) in table.items():
            alone = evaluate(images, 2, iou_threshold=threshold, interpolation=interpolation)
            for kind in ("map", "ap"):
                torch.testing.assert_close(result[f"{kind}_{name}"], alone[kind], rtol=0, atol=0, equal_nan=True)

    def test_parts_of_the_matching_give_the_same_as_the_whole(self, monkeypatch):
        random = np.random.default_rng(0)
        images = []
        for _ in range(20):
            corners = random.integers(1, 30, (12, 2))
            boxes = np.hstack([corners, corners + random.integers(2, 20, (12, 2))]).tolist()
            images.append(
                ([(box, float(random.random()), 0) for box in boxes[:8]], [(box, 0, False) for box in boxes[8:]])
            )
        whole = evaluate(images)["ap"]
        monkeypatch.setattr("vjo_train.metrics.matching.PAIRS_AT_ONCE", 7)
        torch.testing.assert_close(evaluate(images)["ap"], whole, rtol=0, atol=0)


GOOD_PRED, GOOD_TARGET = tensors(([(A, 0.9, 0), (B, 0.8, 1)], [(A, 0, False), (B, 1, True)]))


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        ({"scores": torch.tensor([0.5, math.nan])}, {}, r"preds\[1\].scores` should be finite. Found nan"),
        ({"scores": torch.tensor([0.5, math.inf])}, {}, r"preds\[1\].scores` should be finite. Found inf"),
        ({"scores": torch.tensor([1, 2])}, {}, r"preds\[1\].scores` should be floating point. Found torch.int64"),
        ({"scores": torch.rand(2, 1)}, {}, r"preds\[1\].scores` should have the shape \[2\]. Found \[2, 1\]"),
        ({"scores": [0.5, 0.5]}, {}, r"preds\[1\]` should have a tensor `scores`. Found list"),
        ({"scores": None}, {}, r"should have a tensor `scores`. Found NoneType"),
        ({"boxes": torch.rand(4)}, {}, r"preds\[1\].boxes` should have the shape \[N, 4\]. Found \[4\]"),
        ({"boxes": torch.rand(2, 5)}, {}, r"preds\[1\].boxes` should have the shape \[N, 4\]. Found \[2, 5\]"),
        ({"boxes": torch.full((2, 4), math.nan)}, {}, r"preds\[1\].boxes` should be finite"),
        ({"boxes": torch.ones(2, 4, dtype=torch.bool)}, {}, "should be floating point or integer. Found torch.bool"),
        ({"labels": torch.tensor([0, 3])}, {}, r"preds\[1\].labels` should be in 0..2. Found 3"),
        ({"labels": torch.tensor([0, -1])}, {}, r"preds\[1\].labels` should be in 0..2. Found -1"),
        ({"labels": torch.tensor([0.0, 1.0])}, {}, r"preds\[1\].labels` should be integer. Found torch.float32"),
        ({"labels": torch.tensor([0])}, {}, r"preds\[1\].labels` should have the shape \[2\]. Found \[1\]"),
        ({}, {"labels": torch.tensor([0, 3])}, r"targets\[1\].labels` should be in 0..2. Found 3"),
        ({}, {"difficult": torch.tensor([0, 1])}, r"targets\[1\].difficult` should be bool. Found torch.int64"),
        ({}, {"difficult": torch.tensor([True])}, r"targets\[1\].difficult` should have the shape \[2\]. Found \[1\]"),
        ({}, {"boxes": torch.full((2, 4), math.inf)}, r"targets\[1\].boxes` should be finite"),
    ],
)
def test_detections_of_another_form_are_refused(pred, target, message):
    metric = VOCDetectionAP(3)
    with pytest.raises(ValueError, match=message):
        metric.update([GOOD_PRED, {**GOOD_PRED, **pred}], [GOOD_TARGET, {**GOOD_TARGET, **target}])
    assert not metric.images  # nothing of a refused batch is kept


def test_lists_of_another_form_are_refused():
    metric = VOCDetectionAP(3)
    with pytest.raises(ValueError, match="as many images"):
        metric.update([GOOD_PRED, GOOD_PRED], [GOOD_TARGET])
    with pytest.raises(ValueError, match=r"`preds` should be a list of dicts, one per image. Found dict"):
        metric.update(GOOD_PRED, [GOOD_TARGET])
    with pytest.raises(ValueError, match=r"tensor `boxes`. Found the keys \['scores'\]"):
        metric.update([{"scores": torch.rand(2)}], [GOOD_TARGET])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "positive integer. Found 0"),
        ({"num_classes": 2, "interpolation": "11-point"}, "Found '11-point'"),
        ({"num_classes": 2, "iou_threshold": 0.0}, "Found 0.0"),
        ({"num_classes": 2, "iou_threshold": 50}, "Found 50"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VOCDetectionAP(**arguments)


# Figures of an independent evaluator on 98 real images.

# It steps through recalls in floating point, where 3 * 0.1 > 0.3: of 10 bicycles and 80 persons, recalls of exactly
# three, six or seven tenths miss their step, and the precision from the next step on takes its place.
ONE_STEP_LOW = {("11point", 0.75): {"bicycle": 0.471528, "person": 0.231672}}


def voc98():
    if "VJO_SHARED" not in os.environ:
        pytest.skip("VJO_SHARED is not set")
    root = Path(os.environ["VJO_SHARED"]) / "evalcases" / "voc98"
    expected = json.loads((root / "expected_rbg_voc_eval.json").read_text())
    classes = list(expected["area@0.50"])
    ids = (root / "imageset.txt").read_text().split()
    found = {image: [] for image in ids}
    for label, name in enumerate(classes):
        for line in (root / "dets" / f"comp4_det_{name}.txt").read_text().splitlines():
            image, score, *box = line.split()
            found[image].append((tuple(map(float, box)), float(score), label))
    images = []
    for image in ids:
        there = []
        for node in ElementTree.parse(root / "Annotations" / f"{image}.xml").getroot().iter("object"):
            box = tuple(float(node.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
            there.append((box, classes.index(node.findtext("name")), node.findtext("difficult") == "1"))
        images.append((found[image], there))
    return images, classes, expected


@pytest.mark.parametrize("threshold", [0.5, 0.75])
@pytest.mark.parametrize(("interpolation", "key"), [("11point", "voc07_11pt"), ("area", "area")])
def test_agrees_with_an_independent_evaluator(interpolation, key, threshold):
    images, classes, expected = voc98()
    assert sum(len(found) for found, _ in images) == 452
    result = evaluate(images, 20, 8, iou_threshold=threshold, interpolation=interpolation)
    literal = [literal_detection(images, c, Fraction(threshold), interpolation) for c in range(20)]
    np.testing.assert_allclose(result["ap"].numpy(), literal, rtol=0, atol=1e-12)
    low = ONE_STEP_LOW.get((interpolation, threshold), {})
    for name, ap in zip(classes, result["ap"].tolist(), strict=True):
        theirs = expected[f"{key}@{threshold:.2f}"][name]
        assert ap == pytest.approx(low.get(name, theirs), abs=1e-6 if name in low else 1e-12), name
        assert theirs <= ap + 1e-12
