"""AP of masks against a literal protocol, against that of boxes, and against faster-coco-eval."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.literal import literal_ap
from vjo_train.metrics.coco import COCODetectionAP
from vjo_train.metrics.instance import VOCMaskAPs, mask_iou
from vjo_train.metrics.voc import APSetting, VOCDetectionAPs

torch.set_num_threads(1)

CLASSES, SIDE = 2, 6
SETTINGS = {"half": APSetting(0.5, "area"), "most": APSetting(0.7, "area"), "points": APSetting(0.5, "11point")}


def image(seed, detections, objects, difficult=0.2):
    """Random masks: some are objects of the image with a few pixels changed; scores have ties."""
    generator = torch.Generator().manual_seed(seed)

    def chance(*shape):
        return torch.rand(shape, generator=generator)

    there = chance(objects, SIDE, SIDE) < 0.5
    found = chance(detections, SIDE, SIDE) < 0.5
    if objects:
        source = torch.randint(0, objects, (detections,), generator=generator)
        near = there[source] ^ (chance(detections, SIDE, SIDE) < chance(detections, 1, 1) * 0.4)
        found = torch.where(chance(detections, 1, 1) < 0.8, near, found)
    labels = torch.randint(0, CLASSES, (detections + objects,), generator=generator)
    pred = {"masks": found, "labels": labels[:detections], "scores": (chance(detections) * 4).ceil() / 4}
    target = {"masks": there, "labels": labels[detections:], "difficult": chance(objects) < difficult}
    for item in (pred, target):
        item["boxes"] = torch.zeros(len(item["masks"]), 4)
    return pred, target


def compute(images, settings=SETTINGS, classes=CLASSES):
    metric = VOCMaskAPs(classes, settings)
    for start in range(0, len(images), 2):
        preds, targets = zip(*images[start : start + 2], strict=True)
        metric.update(list(preds), list(targets))
    return metric.compute()


def literal(images, label, threshold, interpolation):
    """One detection and one object at a time, in rationals."""
    answers, positives = [], 0
    for index, (pred, target) in enumerate(images):
        positives += int(((target["labels"] == label) & ~target["difficult"]).sum())
        for mask, score, own in zip(pred["masks"], pred["scores"], pred["labels"], strict=True):
            if own == label:
                answers.append((index, mask, float(score)))
    taken, verdicts = set(), []
    for index, mask, _ in sorted(answers, key=lambda answer: -answer[2]):
        target = images[index][1]
        best, chosen = Fraction(-1), None
        for j, other in enumerate(target["masks"]):
            if target["labels"][j] == label:
                either = int((mask | other).sum())
                iou = Fraction(int((mask & other).sum()), either) if either else Fraction(0)
                if iou > best:
                    best, chosen = iou, j
        if chosen is None or best < threshold:
            verdicts.append(-1)
        elif target["difficult"][chosen]:
            verdicts.append(0)
        else:
            verdicts.append(-1 if (index, chosen) in taken else 1)
            taken.add((index, chosen))
    return literal_ap(verdicts, positives, interpolation)


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 3)), max_size=5))
def test_the_protocol_in_rationals(images):
    images = [image(*one) for one in images]
    values = compute(images)
    for name, (threshold, interpolation) in SETTINGS.items():
        exact = Fraction(round(threshold * 10), 10)
        expected = [literal(images, c, exact, interpolation) for c in range(CLASSES)]
        assert values[f"ap_{name}"].tolist() == pytest.approx(expected, nan_ok=True)
        defined = [ap for ap in expected if not math.isnan(ap)]
        mean = sum(defined) / len(defined) if defined else math.nan
        assert float(values[f"map_{name}"]) == pytest.approx(mean, nan_ok=True)


def test_rectangles_have_the_figures_of_their_boxes():
    """Masks that fill whole-pixel boxes overlap as the boxes do."""
    generator = torch.Generator().manual_seed(0)
    images = []
    for _ in range(12):
        pair = []
        for count in (6, 3):
            corner = torch.randint(0, 8, (count, 2), generator=generator)
            inclusive = torch.cat([corner, corner + torch.randint(3, 7, (count, 2), generator=generator)], 1)
            masks = torch.zeros(count, 16, 16, dtype=torch.bool)
            for mask, (x1, y1, x2, y2) in zip(masks, inclusive.tolist(), strict=True):
                mask[y1 : y2 + 1, x1 : x2 + 1] = True
            labels = torch.randint(0, CLASSES, (count,), generator=generator)
            pair.append({"boxes": inclusive.float(), "labels": labels, "masks": masks})
        pair[0]["scores"] = torch.rand(6, generator=generator)
        pair[1]["difficult"] = torch.rand(3, generator=generator) < 0.2
        images.append(tuple(pair))
    boxes = VOCDetectionAPs(CLASSES, SETTINGS)
    boxes.update([pred for pred, _ in images], [target for _, target in images])
    torch.testing.assert_close(compute(images), boxes.compute(), rtol=0, atol=0)
    assert 0 < boxes.compute()["map_half"] < 1


def test_agrees_with_coco_where_the_protocols_do():
    """One object per image, and different scores: nothing to choose, no second claim. The matching is then the same,
    and COCO's AP differs only in how it reads the curve: at 101 recalls. 21 objects put no recall on one of these."""
    images = []
    for seed in range(21):
        pred, target = image(seed, 1, 1, difficult=0.0)
        pred["labels"], target["labels"] = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
        pred["scores"] = torch.tensor([1 - seed / 42])
        images.append((pred, target))
    iou = [mask_iou(pred["masks"], target["masks"])[0, 0] for pred, target in images]
    hits = np.array(iou) >= 0.5
    assert 0 < hits.sum() < 21
    coco = COCODetectionAP(CLASSES, "segm")
    coco.update([pred for pred, _ in images], [target for _, target in images])
    recall, precision = np.cumsum(hits) / 21, np.cumsum(hits) / np.arange(1, 22)
    sampled = [max(precision[recall >= r], default=0) for r in np.linspace(0, 1, 101)]
    assert float(coco.compute()["map_50"]) == pytest.approx(np.mean(sampled), abs=1e-6)
    area = sum(max(precision[k:]) for k in np.flatnonzero(hits)) / 21
    assert float(compute(images)["map_half"]) == pytest.approx(area)


def test_iou_of_masks():
    a = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], dtype=torch.bool)
    b = torch.tensor([[[1, 0], [1, 0]], [[0, 0], [0, 0]], [[1, 1], [0, 0]]], dtype=torch.bool)
    assert mask_iou(a, b).tolist() == [[1 / 3, 0, 1], [0, 0, 0]]
    assert mask_iou(a[:0], b).shape == (0, 3)
    assert mask_iou(a, b[:0]).shape == (2, 0)


def test_iou_of_large_masks_is_exact_under_autocast():
    masks = torch.zeros(2, 40, 40, dtype=torch.bool)
    masks[0, :, :33], masks[1, :, 1:] = True, True
    with torch.autocast("cpu", torch.bfloat16):
        assert mask_iou(masks[:1], masks).tolist() == [[1, 32 * 40 / 1600]]


def test_many_pixels_in_several_parts(monkeypatch):
    masks = torch.rand(7, 9, 11, generator=torch.Generator().manual_seed(0)) < 0.5
    whole = mask_iou(masks, masks[:3])
    monkeypatch.setattr("vjo_train.metrics.instance.ELEMENTS_AT_ONCE", 200)
    np.testing.assert_array_equal(mask_iou(masks, masks[:3]), whole)


def test_images_without_objects_or_detections():
    nothing = image(0, 0, 0)
    assert math.isnan(compute([nothing])["map_half"])
    found, missed = image(1, 3, 0), image(2, 0, 2, difficult=0.0)
    assert compute([found, missed, nothing])["map_half"] == 0


def test_wrong_inputs_are_refused():
    pred, target = image(0, 2, 1)
    metric = VOCMaskAPs(CLASSES, SETTINGS)
    with pytest.raises(ValueError, match=r"`preds\[0\]\.masks` should be a bool tensor .* torch.uint8 \[2, 6, 6\]"):
        metric.update([pred | {"masks": pred["masks"].to(torch.uint8)}], [target])
    with pytest.raises(ValueError, match=r"`targets\[0\]\.labels` should be 0, as the masks. Found \[1\]"):
        metric.update([pred], [target | {"masks": target["masks"][:0]}])
    with pytest.raises(ValueError, match=r"image 0 should be of one size. Found \[6, 6\] and \[6, 5\]"):
        metric.update([pred], [target | {"masks": target["masks"][..., :5]}])
    with pytest.raises(ValueError, match="as many images"):
        metric.update([pred], [target, target])
    assert math.isnan(metric.compute()["map_half"])
