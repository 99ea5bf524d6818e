"""What must hold for every YAML in conf/weighting; a new method is tested when its file exists."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from .tiny import METHODS, TASKS, Net, assert_gradients_close, gradients, images, is_gradient, make, train


@pytest.mark.parametrize("name", METHODS)
def test_trains_finite_and_reports_a_weight_per_present_task(name):
    net, weighting = Net(), make(name, diagnose_every=2)
    optimizer = torch.optim.SGD([*net.parameters(), *weighting.parameters()], lr=0.01)
    for number, tasks in enumerate([TASKS, ("a", "c"), ("b",), TASKS, TASKS, TASKS]):
        optimizer.zero_grad()
        before = copy.deepcopy(net.heads.state_dict())
        weights = weighting.backward(net.step(images(number), tasks=tasks, number=number, epoch=number // 2))
        assert tuple(weights) == tasks
        assert all(math.isfinite(w) for w in weights.values())
        looked = number % 2 == 0 and len(tasks) > 1  # one task alone has nothing to be compared with
        assert ("gradient_norm/" + tasks[0] in weighting.diagnostics) == looked
        optimizer.step()
        for task in TASKS:
            moved = any(not torch.equal(before[f"{task}.{n}"], v) for n, v in net.heads[task].state_dict().items())
            assert moved == (task in tasks), (task, number)
    assert all(p.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_stops_and_resumes_is_bit_equal(name):
    net, weighting = Net(), make(name)
    straight, _ = train(net, weighting, 7)
    other, part = Net(), make(name)
    _, optimizer = train(other, part, 3)
    saved = copy.deepcopy((other.state_dict(), part.state_dict(), optimizer.state_dict()))
    resumed, fresh = Net(seed=9), make(name)
    resumed.load_state_dict(saved[0])
    fresh.prepare(list(resumed.step(images(0)).shared))
    fresh.load_state_dict(saved[1])
    second = torch.optim.SGD([*resumed.parameters(), *fresh.parameters()], lr=0.05, momentum=0.9)
    second.load_state_dict(saved[2])
    rest, _ = train(resumed, fresh, 4, start=3, optimizer=second)
    assert rest == straight[3:]
    for p, q in zip(net.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("name", METHODS)
def test_loss_scaling_is_carried_through_and_changes_no_decision(name):
    plain, scaled = Net(), Net()
    one, two = make(name), make(name)
    for number in range(3):
        for p in (*plain.parameters(), *scaled.parameters(), *one.parameters(), *two.parameters()):
            p.grad = None
        first = one.backward(plain.step(images(number), epoch=number))
        second = two.backward(scaled.step(images(number), epoch=number, factor=1024))
        assert {t: pytest.approx(float(w), rel=1e-4, abs=1e-5) for t, w in first.items()} == second
        expected = {n: None if g is None else 1024 * g for n, g in gradients(plain).items()}
        assert_gradients_close(gradients(scaled), expected, rtol=1e-3, atol=1e-2)
        for p, q in zip(one.parameters(), two.parameters(), strict=True):
            torch.testing.assert_close(q.grad, 1024 * p.grad)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("every", [1, 3])
def test_overflow_leaves_a_non_finite_gradient_and_changes_no_state(name, every):
    options = {"every": every} if is_gradient(name) else {}
    if every > 1 and not options:
        pytest.skip("no such key")
    net, weighting = Net(), make(name, **options)
    train(net, weighting, 2)
    before = copy.deepcopy(weighting.state_dict())
    step = net.step(images(5), epoch=2)
    step.losses["b"] = step.losses["b"] * math.inf
    step.images.losses["b"] = step.images.losses["b"] * math.inf
    net.zero_grad()
    weighting.backward(step)
    assert not all(p.grad.isfinite().all() for p in net.trunk.parameters())
    for key, value in weighting.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0, equal_nan=True, msg=key)


@pytest.mark.parametrize("name", METHODS)
def test_accumulation_adds_to_what_is_there(name):
    net, weighting, twin = Net(), make(name), make(name)
    twin.backward(net.step(images(0), factor=0.5))
    first = gradients(net)
    net.zero_grad()
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    weighting.backward(net.step(images(0), factor=0.5))
    assert_gradients_close(gradients(net), {n: g + 1 for n, g in first.items()}, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_one_task_alone_is_plain_training(name):
    if name == "dbmtl":
        pytest.skip("trains the logarithm of the loss")
    net, weighting = Net(), make(name, tasks=("a",))
    weights = weighting.backward(net.step(images(0), tasks=("a",)))
    assert float(weights["a"]) == pytest.approx(1)
    found = gradients(net)
    net.zero_grad()
    net.step(images(0), tasks=("a",)).losses["a"].backward()
    assert_gradients_close(found, gradients(net))
