"""Losses of maps by hand, and what does not count."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from vjo_train.heads.pixels.binary import balanced_cross_entropy
from vjo_train.heads.pixels.depth_losses import berhu, l1, scale_invariant
from vjo_train.types import IGNORE

NAN = math.nan


def maps(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)[:, None, :]


def test_l1_is_the_mean_over_known_pixels() -> None:
    assert l1(maps([1, 2, 9], [1, 1, 1]), maps([2, 4, NAN], [NAN, NAN, NAN])).tolist() == [1.5, 0]


def test_a_common_factor_costs_half_of_its_square() -> None:
    """d is log 3 everywhere: mean d^2 - (mean d)^2 / 2."""
    truth = torch.rand(2, 4, 4) + 0.5
    torch.testing.assert_close(scale_invariant(3 * truth, truth), torch.full((2,), math.log(3) ** 2 / 2))


def test_errors_of_both_signs_cost_all_of_it() -> None:
    truth = torch.ones(1, 1, 2)
    found = torch.tensor([[[2.0, 0.5]]])
    torch.testing.assert_close(scale_invariant(found, truth), torch.tensor([math.log(2) ** 2]))


def test_berhu_is_linear_below_a_fifth_of_the_greatest_error() -> None:
    """Errors 0.5 and 5: c = 1, so 0.5 stays, and 5 becomes (25 + 1) / 2."""
    assert berhu(maps([1.5, 6]), maps([1, 1])).tolist() == pytest.approx([(0.5 + 13) / 2])


@pytest.mark.parametrize("loss", [l1, scale_invariant, berhu])
def test_unknown_pixels_send_no_gradient(loss) -> None:  # type: ignore[no-untyped-def]
    found = (torch.rand(2, 3, 3) + 0.5).requires_grad_()
    truth = torch.rand(2, 3, 3) + 0.5
    truth[0, 1, 1] = NAN
    truth[1] = NAN
    loss(found, truth).sum().backward()
    assert found.grad is not None
    assert found.grad.isfinite().all()
    assert found.grad[0, 1, 1] == 0
    assert (found.grad[1] == 0).all()


def test_yes_and_no_make_up_a_half_each() -> None:
    logits, truth = torch.randn(1, 4, 5), torch.zeros(1, 4, 5, dtype=torch.uint8)
    truth[0, 0, 0], truth[0, 3, 4] = 1, IGNORE
    losses = F.binary_cross_entropy_with_logits(logits, (truth == 1).float(), reduction="none")
    wanted = (losses[truth == 1].mean() + losses[truth == 0].mean()) / 2
    torch.testing.assert_close(balanced_cross_entropy(logits, truth, None), wanted[None])
    plain = losses[truth != IGNORE].mean()
    torch.testing.assert_close(balanced_cross_entropy(logits, truth, 0.5), plain[None])
    nothing = torch.full_like(truth, IGNORE)
    assert balanced_cross_entropy(logits, nothing, None).tolist() == [0]
    assert balanced_cross_entropy(torch.zeros_like(logits), truth, 0.9).tolist() == pytest.approx([math.log(2)])
