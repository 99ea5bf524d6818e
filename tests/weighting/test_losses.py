"""Closed forms of the loss weightings, and of the methods that look at each element of the gradients."""

from __future__ import annotations

import pytest
import torch
from torchjd import scalarization

from vjo_train.weighting.dbmtl import DBMTL
from vjo_train.weighting.excess import ExcessMTL
from vjo_train.weighting.famo import FAMO
from vjo_train.weighting.gls import gls_weights
from vjo_train.weighting.graddrop import graddrop
from vjo_train.weighting.gradnorm import GradNorm, gradnorm_slopes
from vjo_train.weighting.moco import MoCo
from vjo_train.weighting.stch import STCH, stch_weights

from .tiny import TASKS, Net, images, make

LOSSES = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)


def derivative(function, values=LOSSES):
    x = values.clone().requires_grad_()
    return torch.autograd.grad(function(x), x)[0]


def test_gls_is_the_gradient_of_the_geometric_mean():
    torch.testing.assert_close(gls_weights(LOSSES), 3 * derivative(scalarization.GeometricMean()))
    assert gls_weights(torch.tensor([0.0, 1.0])).isfinite().all()


@pytest.mark.parametrize("mu", [0.01, 1.0, 10.0])
def test_stch_is_the_gradient_of_the_smooth_maximum(mu):
    nadir = torch.tensor([1.0, 1.5, 4.0], dtype=torch.float64)
    expected = derivative(lambda x: mu * torch.logsumexp((x / nadir).log() / mu, 0))
    torch.testing.assert_close(stch_weights(LOSSES, nadir, mu), 3 * expected / expected.sum())


def test_stch_takes_its_nadir_from_the_warm_up():
    weighting = STCH(tasks=["a", "b"], warmup_epochs=1)
    for values in ([1.0, 2.0], [3.0, 2.0]):
        weighting.weights(torch.tensor(values).double(), ["a", "b"], 0)
    values = torch.tensor([1.0, 1.0]).double()
    expected = stch_weights(values, torch.tensor([2.0, 2.0]).double(), 1.0)
    torch.testing.assert_close(weighting.weights(values, ["a", "b"], 1), expected)
    assert weighting.count.tolist() == [2, 2]


@pytest.mark.parametrize("name", ["uncertainty", "imtl_l"])
def test_learned_weights_follow_the_gradient_of_their_objective(name):
    weighting, net = make(name), Net()
    (parameters,) = [list(weighting.parameters())]
    for i, p in enumerate(parameters):
        p.data.fill_(0.3 * i)
    step = net.step(images(0), tasks=("a", "c"), factor=4.0)
    weights = weighting.backward(step)
    sign = -1 if name == "uncertainty" else 1
    for task, i in (("a", 0), ("c", 2)):
        s = torch.tensor(0.3 * i, requires_grad=True)
        objective = (sign * s).exp() * step.values[task] - sign * s
        (slope,) = torch.autograd.grad(objective, s)
        assert float(weights[task]) == pytest.approx(float((sign * s.detach()).exp()), rel=1e-6)
        assert float(parameters[i].grad) == pytest.approx(4 * float(slope) / (2 if sign < 0 else 1), rel=1e-5)
    assert parameters[1].grad is None


def test_rlw_draws_afresh_and_sums_to_the_number_of_tasks():
    net, weighting = Net(), make("rlw")
    first, second = (weighting.backward(net.step(images(0))) for _ in range(2))
    assert first != second
    assert sum(map(float, first.values())) == pytest.approx(3)
    assert make("rlw").backward(net.step(images(0))) == first


def test_famo_is_torchjd_s_with_the_same_second_losses():
    weighting, other = FAMO(tasks=TASKS, lr=0.1, weight_decay=0.01), scalarization.FAMO(3, lr=0.1, weight_decay=0.01)
    for number in range(4):
        before = LOSSES * (1 + 0.1 * number)
        weights = weighting.weights(before, TASKS, 0)
        torch.testing.assert_close(weights.float(), 3 * derivative(other, before.float()), rtol=1e-4, atol=1e-4)
        after = before * torch.tensor([0.9, 1.0, 0.7]).double()
        weighting.observe(dict(zip(TASKS, after, strict=True)))
        other.update(after.float())


def test_famo_takes_the_next_batch_where_nobody_looks_twice():
    told, waiting = FAMO(tasks=TASKS), FAMO(tasks=TASKS)
    for weighting in (told, waiting):
        weighting.weights(LOSSES, TASKS, 0)
    told.observe(dict(zip(TASKS, LOSSES / 2, strict=True)))
    assert torch.equal(told.weights(LOSSES / 2, TASKS, 0), waiting.weights(LOSSES / 2, TASKS, 0))
    waiting.weights(LOSSES[:1], TASKS[:1], 0)  # one task alone has nothing to be compared with
    assert waiting.count.tolist() == [1, 1, 1]


def test_gradnorm_slopes_are_the_derivative_of_its_objective():
    weights, norms = torch.tensor([1.0, 0.5, 1.5]).double(), torch.tensor([3.0, 1.0, 2.0]).double()
    target = (weights * norms).mean() * (LOSSES / LOSSES.mean()) ** 1.5
    expected = derivative(lambda w: (w * norms - target).abs().sum(), weights)
    torch.testing.assert_close(gradnorm_slopes(weights, norms, LOSSES, 1.5), expected)


def test_gradnorm_draws_norms_together():
    weighting = GradNorm(tasks=["a", "b"], alpha=0.0, lr=0.05)
    gramian, values = torch.diag(torch.tensor([9.0, 1.0]).double()), torch.ones(2).double()
    for _ in range(60):
        weights = weighting.weights(gramian, values, ["a", "b"])
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.5]).double(), rtol=0, atol=0.1)


def test_graddrop_keeps_one_sign_per_element():
    rows = [torch.tensor([1.0, 2.0, -1.0, 0.0]), torch.tensor([3.0, -1.0, -2.0, 5.0])]
    chance = torch.tensor([0.9, 0.7, 0.1, 0.2])  # purities: 1, 2/3, 0, 1
    merged, products = graddrop(rows, chance)
    assert merged.tolist() == [4.0, -1.0, -3.0, 5.0]
    assert [float(p) for p in products] == [1 + 1, 9 + 1 + 4 + 25]


def matrix(rows):
    return torch.stack(rows).double() @ torch.stack(rows).double().T


def test_dbmtl_gives_every_task_the_longest_length():
    weighting = DBMTL(tasks=["a", "b"], beta=0.5, sigma=1.0)
    rows = [torch.tensor([3.0, 0.0]), torch.tensor([0.0, 1.0])]
    merged, weights = weighting.merge([r.clone() for r in rows], matrix(rows), ["a", "b"])
    assert merged.tolist() == [3.0, 3.0]
    assert weights.tolist() == [1.0, 3.0]
    merged, _ = weighting.merge([torch.tensor([0.0, 0.0])], matrix(rows[:1]), ["a"])
    torch.testing.assert_close(merged, torch.tensor([0.75, 0.0]))  # kept share 0.5 / 2


def test_moco_steps_its_weights_on_the_simplex():
    weighting = MoCo(tasks=["a", "b"], gamma=0.1, rho=0.5)
    rows = [torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])]
    merged, weights = weighting.merge([r.clone() for r in rows], matrix(rows), ["a", "b"])
    slope = torch.tensor([4.0, 1.0]) / 2.5 * 0.5 + 0.25
    expected = torch.tensor([0.5, 0.5]) - 0.1 * (slope - slope.mean())
    torch.testing.assert_close(weights.float(), 2 * expected)
    torch.testing.assert_close(merged, 2 * expected * torch.tensor([2.0, 1.0]))


def test_excess_raises_the_task_whose_risk_grows():
    weighting = ExcessMTL(tasks=["a", "b"], step=0.5)
    rows = [torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0])]
    merged, weights = weighting.merge([r.clone() for r in rows], matrix(rows), ["a", "b"])
    assert weights.tolist() == [1.0, 1.0]
    assert merged.tolist() == [2.0, 0.0]
    rows[1] = 3 * rows[1]
    _, weights = weighting.merge([r.clone() for r in rows], matrix(rows), ["a", "b"])
    relative = torch.tensor([2**-0.5, 9 / 10**0.5]).double()
    torch.testing.assert_close(weights, 2 * (0.5 * relative).softmax(0), rtol=1e-5, atol=0)
