"""Class weights and the focal loss of segmentation."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tests.heads.test_semantic import CLASSES, features, head, mixed
from vjo_train.errors import ConfigError
from vjo_train.heads.imbalance import RAREST, balanced_pixel_weights
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pixel_losses import pixel_loss

LOGITS = 3 * torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
TRUTH = torch.randint(0, 4, (2, 6, 5), generator=torch.Generator().manual_seed(1))
TRUTH[0, :2] = 255


def test_neutral_values_are_the_cross_entropy_to_the_bit() -> None:
    plain = pixel_loss(LOGITS, TRUTH)
    assert torch.equal(pixel_loss(LOGITS, TRUTH, torch.ones(4), 0.0), plain)
    model, maps = head("fpn"), features(4)
    outputs = model(maps)
    for options in ({"class_weights": {}}, {"class_weights": [1.0] * (CLASSES + 1)}, {"focal": 0.0}):
        assert torch.equal(head("fpn", **options).loss(outputs, mixed()), model.loss(outputs, mixed()))


def test_focal_and_weights_by_hand() -> None:
    weights, gamma = torch.tensor([0.5, 1.0, 2.0, 4.0]), 2.0
    p = LOGITS.softmax(1)
    for image in range(2):
        terms = [
            float(weights[c] * (1 - p[image, c, y, x]) ** gamma * -p[image, c, y, x].log() / (3 / 4) ** gamma)
            for y in range(6)
            for x in range(5)
            if (c := int(TRUTH[image, y, x])) != 255
        ]
        assert float(pixel_loss(LOGITS, TRUTH, weights, gamma)[image]) == pytest.approx(
            sum(terms) / len(terms), rel=1e-5
        )


@pytest.mark.parametrize("classes", [2, 7, 21])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_every_gamma_starts_at_the_logarithm_of_the_number_of_classes(classes: int, gamma: float) -> None:
    truth = torch.randint(0, classes, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    start = pixel_loss(torch.zeros(1, classes, 8, 8), truth, None, gamma)
    assert float(start) == pytest.approx(math.log(classes), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_certain_pixels_have_finite_gradients(gamma: float) -> None:
    logits = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1).repeat(1, 1, 1, 2).requires_grad_()
    pixel_loss(logits, torch.tensor([[[0, 1]]]), None, gamma).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_ignored_pixels_have_no_gradient_with_weights() -> None:
    logits = LOGITS.clone().requires_grad_()
    pixel_loss(logits, TRUTH, torch.tensor([1.0, 2.0, 3.0, 4.0]), 2.0).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, :, :2].eq(0).all()
    assert logits.grad[0, :, 2:].ne(0).any()


def test_balanced_weights_have_a_mean_of_one_over_the_pixels() -> None:
    counts = torch.tensor([9000, 900, 90, 0])
    weights = balanced_pixel_weights(counts)
    assert float((weights * counts / counts.sum()).sum()) == pytest.approx(1)
    assert float(weights[1] / weights[0]) == pytest.approx(10)
    assert float(weights[3] / weights[0]) == pytest.approx(9000 / 9990 / RAREST), "no class counts a million times"
    assert balanced_pixel_weights(torch.zeros(3)).tolist() == [1, 1, 1]


def test_balanced_weights_go_with_the_heads_own_classes() -> None:
    counts = torch.zeros(256)
    counts[[0, 1, 2, 3, 4, 255]] = torch.tensor([500.0, 100, 200, 300, 400, 9999])
    own = head("fpn", class_weights="balanced")
    own.space = LabelSpace(["d", "b", "a"], ["a", "b", "c", "d"])
    assert own.wants_pixels
    own.learn_pixels(counts)
    # What is of class c is background to this head.
    assert own.class_weights.tolist() == pytest.approx(
        balanced_pixel_weights(torch.tensor([800, 400, 200, 100])).tolist()
    )
    whole = head("fpn", class_weights="balanced", background=False)
    whole.learn_pixels(counts)
    assert whole.class_weights.tolist() == pytest.approx(balanced_pixel_weights(torch.tensor([100, 200, 300])).tolist())


def test_weights_by_name_may_name_the_background() -> None:
    own = head("deeplab", class_weights={"b": 3.0, "background": 0.5})
    assert not own.wants_pixels
    own.learn_from({"a": 1, "b": 1, "c": 1})
    assert own.class_weights.tolist() == [0.5, 1, 3, 1]
    outputs = own(features(4))
    maps = F.interpolate(outputs.float(), (64, 64), mode="bilinear", align_corners=False)
    truth = torch.stack([target["semantic"] for target in mixed()[:2]])
    wanted = pixel_loss(maps[:2], truth, own.class_weights)
    torch.testing.assert_close(own.loss(outputs, mixed())[:2], wanted)
    with pytest.raises(ConfigError, match=r"heads.semantic.class_weights: found 2 weights; there are 4 classes"):
        head("fpn", class_weights=[1.0, 2.0])
