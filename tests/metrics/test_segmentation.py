"""IoU and pixel accuracy against torchmetrics and against a count pixel by pixel."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassJaccardIndex

from vjo_train.metrics.segmentation import SegmentationIoU

torch.set_num_threads(1)

CLASSES = 3


def maps(seed, shape, classes=CLASSES, void=0.2):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randint(0, classes + 1, shape, generator=generator)
    truth = torch.randint(0, classes + 1, shape, generator=generator)
    truth[torch.rand(shape, generator=generator) < void] = 255
    return prediction.to(torch.uint8), truth.to(torch.uint8)


def figures(pairs, classes=CLASSES):
    metric = SegmentationIoU(classes)
    for prediction, truth in pairs:
        metric.update(prediction, truth)
    return metric.compute()


def literal(pairs, classes):
    """Every pixel in turn."""
    common, either = [0] * (classes + 1), [0] * (classes + 1)
    right = counted = 0
    for prediction, truth in pairs:
        for p, g in zip(prediction.flatten().tolist(), truth.flatten().tolist(), strict=True):
            if g == 255:
                continue
            counted += 1
            right += p == g
            for c in {p, g}:
                either[c] += 1
                common[c] += p == g
    iou = [a / b if b else math.nan for a, b in zip(common, either, strict=True)]
    defined = [value for value in iou if not math.isnan(value)]
    return iou, sum(defined) / len(defined) if defined else math.nan, right / counted if counted else math.nan


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6)), max_size=3),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_a_count_pixel_by_pixel(images, classes, void):
    pairs = [maps(seed, (height, width), classes, void) for seed, height, width in images]
    iou, mean, accuracy = literal(pairs, classes)
    values = figures(pairs, classes)
    assert [float(values["iou_background"]), *values["iou"].reshape(-1).tolist()] == pytest.approx(iou, nan_ok=True)
    assert float(values["miou"]) == pytest.approx(mean, nan_ok=True)
    assert float(values["pixel_accuracy"]) == pytest.approx(accuracy, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_miou_is_that_of_torchmetrics(seed):
    pairs = [maps(seed + 10 * i, (20, 30 + i)) for i in range(4)]
    theirs = MulticlassJaccardIndex(CLASSES + 1, average="macro", ignore_index=255)
    for prediction, truth in pairs:
        theirs.update(prediction.long(), truth.long())
    assert float(figures(pairs)["miou"]) == pytest.approx(float(theirs.compute()), abs=1e-6)


def test_classes_that_appear_nowhere_are_left_out():
    truth = torch.tensor([[0, 0, 1, 1]])
    values = figures([(torch.tensor([[0, 1, 1, 1]]), truth)])
    assert values["iou_background"] == 0.5
    assert values["iou"].tolist() == pytest.approx([2 / 3, math.nan, math.nan], nan_ok=True)
    assert values["miou"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert values["pixel_accuracy"] == 0.75
    wrong = figures([(torch.tensor([[0, 3, 1, 1]]), truth)])
    assert wrong["iou"][2] == 0  # predicted, and nowhere to be found
    assert wrong["miou"] == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_predictions_on_void_pixels_count_neither_way():
    truth = torch.tensor([[0, 1, 255, 255]])
    assert figures([(torch.tensor([[0, 1, 2, 3]]), truth)])["miou"] == 1


def test_counts_do_not_round():
    """A sum in float32 would stop at 2^24 pixels."""
    metric = SegmentationIoU(1)
    metric.confusion += torch.tensor([[2**24, 0], [0, 1]])
    metric.update(torch.tensor([[0]]), torch.tensor([[0]]))
    assert metric.confusion[0, 0] == 2**24 + 1


def test_wrong_inputs_are_refused():
    metric = SegmentationIoU(2)
    zeros = torch.zeros(2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"one shape.*\[2, 2\], \[2, 3\]"):
        metric.update(zeros, torch.zeros(2, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"`prediction` should be integer. Found torch\.float32"):
        metric.update(zeros.float(), zeros)
    with pytest.raises(ValueError, match=r"`prediction` should be in 0\.\.2\. Found 3"):
        metric.update(zeros + 3, zeros)
    with pytest.raises(ValueError, match=r"`truth` should be in 0\.\.2\. Found 4"):
        metric.update(zeros, zeros + 4)
