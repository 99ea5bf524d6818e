"""Weights that give all tasks gradients of one length, found once."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vjo_train.weighting.balanced import Balanced, balanced_weights

from .tiny import TASKS, Net, gradients, images, make


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6))
def test_weighted_norms_are_equal_and_weights_sum_to_the_number_of_tasks(norms):
    norms = torch.tensor(norms, dtype=torch.float64)
    weights = balanced_weights(norms)
    assert float(weights.sum()) == pytest.approx(len(norms))
    torch.testing.assert_close(weights * norms, (weights * norms)[:1].expand_as(norms))


def lengths(net, step, at):
    """The norm of each task's gradient, by plain autograd."""
    wanted = step.shared if at == "parameters" else step.representation
    norms = {}
    for task, loss in step.losses.items():
        found = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
        norms[task] = torch.cat([g.flatten() for g in found if g is not None]).double().norm()
    return norms


@pytest.mark.parametrize("at", ["parameters", "features"])
def test_one_batch_balances_that_batch(at):
    net, weighting = Net(), Balanced(tasks=TASKS, batches=1, at=at)
    step = net.step(images(0), factor=8.0)
    norms = lengths(net, step, at)
    weights = weighting.backward(step)
    shares = [float(weights[task] * norms[task]) for task in TASKS]
    assert shares == pytest.approx([shares[0]] * 3, rel=1e-5)
    assert float(sum(weights.values())) == pytest.approx(3)


def test_the_norm_is_the_geometric_mean_of_the_first_batches_and_the_weights_then_stay():
    net, weighting = Net(), Balanced(tasks=TASKS, batches=2)
    norms, history = [], []
    for number in range(4):
        step = net.step(images(number), number=number)
        norms.append(torch.stack(list(lengths(net, step, "parameters").values())))
        history.append(torch.stack(list(weighting.backward(step).values())).double())
    expected = balanced_weights((norms[0] * norms[1]).sqrt())
    for found in history[1:]:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(history[0], expected, rtol=1e-3)


def test_a_task_that_comes_later_has_batches_of_its_own():
    net, weighting = Net(), Balanced(tasks=TASKS, batches=1)
    first = weighting.backward(net.step(images(0), tasks=("a", "b")))
    assert float(first["a"] + first["b"]) == pytest.approx(2)
    step = net.step(images(1))
    late = lengths(net, step, "parameters")["c"]
    weights = weighting.backward(step)
    assert float(weights["a"] / weights["b"]) == pytest.approx(float(first["a"] / first["b"]))
    norm_of_a = weighting.log_sum[0].exp()
    assert float(weights["c"] * late) == pytest.approx(float(weights["a"] * norm_of_a), rel=1e-5)
    assert weighting.count.tolist() == [1, 1, 1]


def test_a_task_without_gradient_is_passed_over():
    net, weighting = Net(), Balanced(tasks=TASKS, batches=1)
    step = net.step(images(0))
    step.losses["b"] = step.losses["b"] * 0
    weights = weighting.backward(step)
    assert weighting.count.tolist() == [1, 0, 1]
    assert float(weights["b"]) == 1
    assert all(g is None or bool(g.isfinite().all()) for g in gradients(net).values())


def test_an_overflow_under_a_loss_scaler_is_not_counted():
    net, weighting = Net(), Balanced(tasks=TASKS, batches=1)
    before = copy.deepcopy(weighting.state_dict())
    step = net.step(images(0), scaled=True)
    step.losses["a"] = step.losses["a"] * float("inf")
    weighting.backward(step)
    after = weighting.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_it_balances_the_losses_under_a_gradient_method():
    net, weighting = Net(), make("upgrad", losses=Balanced(tasks=TASKS, batches=1))
    step = net.step(images(0))
    norms = lengths(net, step, "parameters")
    weighting.backward(step)
    inner = weighting.losses.weights(torch.ones(3), TASKS, 0)
    shares = [float(w * norms[task]) for w, task in zip(inner, TASKS, strict=True)]
    assert shares == pytest.approx([shares[0]] * 3, rel=1e-5)
