"""Losses and weights for rare classes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from tests.heads.test_category import head as category
from tests.heads.test_category import target
from tests.heads.test_classification import head
from vjo_train.errors import ConfigError
from vjo_train.heads.imbalance import balanced_weights, binary_losses
from vjo_train.heads.label_space import LabelSpace

LOGITS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) * 4
PRESENT = torch.rand(6, 5, generator=torch.Generator().manual_seed(1)) < 0.3


def test_focal_is_torchvisions_on_our_scale() -> None:
    theirs = sigmoid_focal_loss(LOGITS, PRESENT.float(), alpha=-1, gamma=2)
    torch.testing.assert_close(binary_losses(LOGITS, PRESENT, "focal"), 4 * theirs)


def test_asymmetric_is_the_papers_formula_on_our_scale() -> None:
    p = LOGITS.double().sigmoid()
    shifted = (p - 0.05).clamp(min=0)
    formula = torch.where(PRESENT, -(1 - p) * p.log(), -(shifted**4) * (1 - shifted).log()).float()
    found = binary_losses(LOGITS, PRESENT, "asymmetric")
    factor = found[PRESENT][0] / formula[PRESENT][0]
    torch.testing.assert_close(found, factor * formula)
    assert found[(p < 0.05) & ~PRESENT].eq(0).all()


@pytest.mark.parametrize("loss", ["bce", "focal", "asymmetric"])
@pytest.mark.parametrize("classes", [1, 3, 80])
def test_every_loss_starts_at_log_two_where_an_image_shows_one_class(loss: str, classes: int) -> None:
    present = torch.zeros(1, classes, dtype=torch.bool)
    present[0, 0] = True
    start = binary_losses(torch.zeros(1, classes), present, loss)  # type: ignore[arg-type]
    assert float(start.mean()) == pytest.approx(math.log(2), rel=1e-5)


@pytest.mark.parametrize("loss", ["focal", "asymmetric"])
def test_extreme_logits_have_finite_losses_and_gradients(loss: str) -> None:
    logits = torch.tensor([[1e4, -1e4, 1e4, -1e4, 0.0]], requires_grad=True)
    values = binary_losses(logits, torch.tensor([[True, True, False, False, True]]), loss)  # type: ignore[arg-type]
    values.sum().backward()
    assert logits.grad is not None
    assert values.isfinite().all()
    assert logits.grad.isfinite().all()


def test_balanced_weights_leave_the_expected_start_of_the_loss() -> None:
    counts = torch.tensor([90, 9, 1, 0])
    weights = balanced_weights(counts)
    assert float((weights * counts.clamp(min=1)).sum() / counts.clamp(min=1).sum()) == pytest.approx(1)
    assert float(weights[2] / weights[0]) == pytest.approx(90)


def test_weights_by_name_and_by_count_go_with_the_heads_own_classes() -> None:
    own = category(2, class_weights="balanced")
    own.space = LabelSpace(["d", "b"], ["a", "b", "c", "d"])
    own.learn_from({"a": 7, "b": 30, "c": 7, "d": 10})
    assert own.class_weights.tolist() == pytest.approx([2, 2 / 3])
    logits = torch.randn(2, 2)
    wanted = F.cross_entropy(logits, torch.tensor([0, 1]), weight=own.class_weights, reduction="none") / math.log(2)
    torch.testing.assert_close(own.loss(logits, [target(0), target(1)]), wanted)
    named = category(2, class_weights={"b": 5.0})
    named.space = own.space
    named.learn_from({"a": 7, "b": 30, "c": 7, "d": 10})
    assert named.class_weights.tolist() == [1, 5]


def test_balanced_terms_of_multi_label_classes_have_a_mean_of_one() -> None:
    own = head(class_weights="balanced")
    own.learn_from({"a": 100, "b": 10, "c": 1})
    assert float(own.class_weights.mean()) == pytest.approx(1)
    assert own.class_weights[2] / own.class_weights[0] == pytest.approx(100)
    assert "class_weights" not in own.state_dict()  # runs from before fit


def test_weights_of_another_number_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"heads\.classification\.class_weights: found 2 weights; there are 3"):
        head(class_weights=[1.0, 2.0])
