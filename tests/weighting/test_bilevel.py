"""Weights learned from held-out images: their gradient, their cost, and what they do about wrong labels."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from vjo_train.errors import ConfigError, NumericsError
from vjo_train.weighting.autolambda import AutoLambda
from vjo_train.weighting.base import ImageLosses, TaskLosses
from vjo_train.weighting.bilevel import normalised

from .problem import Problem, auc, train
from .tiny import TASKS, Net, assert_gradients_close, gradients, images, make

MASK = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 1, 1.0]])
NAMES = ("meta", "autolambda")


class Linear(nn.Module):
    """y_k = W_k U x, squared errors."""

    def __init__(self) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(3)
        draw = {"generator": source, "dtype": torch.float64}
        self.trunk = nn.Parameter(torch.randn(6, 5, **draw))
        self.heads = nn.ParameterDict({task: nn.Parameter(torch.randn(2, 6, **draw)) for task in TASKS})
        self.inputs, self.held_out = torch.randn(2, 4, 5, **draw)
        self.targets = torch.randn(4, 2, **draw)

    def losses(self, x, tasks, trunk=None, heads=None):
        trunk, heads = self.trunk if trunk is None else trunk, heads or self.heads
        found = {t: (x @ trunk.T @ heads[t].T - self.targets).pow(2).sum(1) for t in tasks}
        return {t: loss * MASK[TASKS.index(t)] for t, loss in found.items()}

    def auxiliary(self, trunk=None):
        return 0.3 * (self.trunk if trunk is None else trunk).pow(2).sum()

    def step(self, tasks, factor, primary):
        counts = {task: int(MASK[TASKS.index(task)].sum()) for task in tasks}
        per_image = self.losses(self.inputs, tasks)
        shares = {task: loss.sum() / counts[task] for task, loss in per_image.items()}
        return TaskLosses(
            losses=shares,
            values={task: loss.detach() for task, loss in shares.items()},
            factor=torch.tensor(factor, dtype=torch.float64),
            shared=[self.trunk],
            own={task: [self.heads[task]] for task in tasks},
            representation=[],
            auxiliary=self.auxiliary(),
            others=[self.heads[task] for task in TASKS if task not in tasks],
            scaled=False,
            images=ImageLosses(
                losses=per_image,
                labelled={task: MASK[TASKS.index(task)] > 0 for task in tasks},
                counts=counts,
                summary=self.inputs @ torch.ones(5, 6, dtype=torch.float64) + torch.arange(6) * self.inputs[:, :1] ** 2,
                again=lambda: self.losses(self.inputs, tasks),
            ),
            meta=lambda: {t: v.mean() for t, v in self.losses(self.held_out, primary).items()},
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("factor", [1.0, 1024.0, 0.25])
@pytest.mark.parametrize(("tasks", "primary"), [(TASKS, None), (("a", "c"), ["c"]), (("b",), None)])
def test_the_learned_follow_the_gradient_through_the_virtual_step(name, factor, tasks, primary):
    """The second implementation: autograd through theta - a grad L(theta, w)."""
    net, weighting = Linear(), make(name, virtual_lr=0.02, primary=primary)
    weighting.learned += 0.3 * torch.randn(weighting.learned.shape, generator=torch.Generator().manual_seed(5))
    learned = weighting.learned.clone().requires_grad_()
    step = net.step(tasks, factor, primary or TASKS)

    weights = weighting.weights(learned, step.images)
    losses = net.losses(net.inputs, tasks)
    total = net.auxiliary() + sum(
        (weights[:, TASKS.index(t)] * losses[t]).sum() / MASK[TASKS.index(t)].sum() for t in tasks
    )
    parameters = [net.trunk, *(net.heads[t] for t in tasks)]
    slopes = torch.autograd.grad(total, parameters, create_graph=True)
    trunk, *moved = (p - 0.02 * g for p, g in zip(parameters, slopes, strict=True))
    heads = {**net.heads, **dict(zip(tasks, moved, strict=True))}
    objective = sum(loss.mean() for loss in net.losses(net.held_out, primary or TASKS, trunk, heads).values())
    (expected,) = torch.autograd.grad(objective, learned)

    before = weighting.learned.clone()
    weighting.backward(step)
    assert (weighting.mean - 0.1 * expected).norm() < 1e-4 * 0.1 * expected.norm()
    reached = expected.abs() > 1e-5  # Adam's first step is as long as the learning rate
    torch.testing.assert_close(
        weighting.learned[reached], (before - 0.001 * expected.sign())[reached], rtol=0, atol=2e-5
    )
    for p, g in zip(parameters, slopes, strict=True):
        torch.testing.assert_close(p.grad, factor * g.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_one_trains_like_equal_and_puts_the_parameters_back(name):
    net, twin = Net(), Net()
    make("equal").backward(twin.step(images(0)))
    before = [(p, p.data_ptr(), p.detach().clone()) for p in net.parameters()]
    weights = make(name).backward(net.step(images(0)))
    assert {t: float(w) for t, w in weights.items()} == dict.fromkeys(TASKS, 1.0)
    assert_gradients_close(gradients(net), gradients(twin), rtol=1e-6, atol=1e-7)
    assert all(p.data_ptr() == place and torch.equal(p, value) for p, place, value in before)


def test_weights_of_an_image_have_mean_one_and_leave_no_gradient_in_the_network():
    net, weighting = Net(), make("meta")
    weighting.learned += 0.1 * torch.randn(weighting.learned.shape, generator=torch.Generator().manual_seed(1))
    step = net.step(images(0))
    weights = weighting.weights(weighting.learned, step.images)
    torch.testing.assert_close(weights.sum(1), torch.full((4,), 3.0, dtype=torch.float64))
    assert weights.std(0).min() > 1e-3
    step.images.summary = step.images.summary.requires_grad_()
    mean = weighting.backward(step)
    assert step.images.summary.grad is None
    assert float(mean["a"]) == pytest.approx(float(weights[:, 0].mean()), rel=1e-6)
    assert weighting.diagnostics["spread/a"] == pytest.approx(float(weights[:, 0].std(correction=0)), rel=1e-6)


def test_weights_of_images_are_told_where_they_are_labelled():
    net, weighting = Net(), make("meta")
    weighting.backward(net.step(images(0), mask=MASK))
    assert [w.isnan().tolist() for w in weighting.image_weights.values()] == (MASK == 0).tolist()
    alike = make("autolambda")
    alike.backward(net.step(images(0)))
    assert alike.image_weights == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_that_learns_costs_four_forwards_and_two_backwards(name):
    net, weighting = Net(), make(name, diagnose_every=0)
    count = {"forward": 0, "graph": 0, "backward": 0}

    def forward(module, inputs, output):
        count["forward"] += 1
        if output.requires_grad:
            count["graph"] += 1
            output.register_hook(lambda _: count.update(backward=count["backward"] + 1))

    def step(learns):
        made = net.step(images(0))
        count.update(forward=1, graph=1, backward=0)  # that of the images themselves
        weighting.backward(made if learns else replace(made, meta=None))
        return tuple(count.values())

    net.trunk.register_forward_hook(forward)
    assert step(learns=True) == (4, 2, 2)
    assert step(learns=False) == (1, 1, 1)


def test_one_task_asks_for_no_held_out_images_and_others_for_those_of_primary():
    assert make("meta", tasks=("a",)).meta_tasks == ()
    assert make("meta").meta_tasks == TASKS
    assert make("autolambda", primary=["c"], every=3).meta_tasks == ("c",)
    assert make("equal").meta_tasks == ()
    for wrong in ([], ["x"]):
        with pytest.raises(ConfigError, match=r"weighting\.primary=.*: name some of the tasks, a, b, c"):
            AutoLambda(tasks=TASKS, primary=wrong)


def test_what_meta_cannot_look_at_is_refused():
    step = Net().step(images(0))
    step.images.summary = None
    with pytest.raises(ConfigError, match=r"gives no c5 at a step of a, b, c, so .* use schedule=joint"):
        make("meta").backward(step)
    make("autolambda").backward(step)
    with pytest.raises(ConfigError, match="does not tell the losses of its images"):
        make("autolambda").backward(replace(step, images=None))


@pytest.mark.parametrize("name", NAMES)
def test_an_overflow_on_the_held_out_images_stops_or_skips_the_learning_alone(name):
    net, weighting = Net(), make(name)
    weighting.backward(net.step(images(0)))
    before = weighting.learned.clone()
    for scaled in (True, False):
        net.zero_grad()
        step = net.step(images(1), scaled=scaled)
        meta = step.meta
        step.meta = lambda meta=meta: {t: v * math.inf for t, v in meta().items()}
        if scaled:
            weighting.backward(step)
            assert torch.equal(weighting.learned, before)
            assert all(p.grad.isfinite().all() for p in net.parameters())
        else:
            with pytest.raises(
                NumericsError, match=r"meta loss is not finite at batch 0\. Lower weighting\.virtual_lr"
            ):
                weighting.backward(step)


def test_images_with_wrong_labels_lose_their_weight_and_clean_images_are_told_better():
    """Half of the images have wrong labels for task a, and come from a source that can be seen in the picture."""
    problem = Problem(0)
    meta = make("meta", tasks=("a", "b"), channels=64, lr=0.003)
    accuracy, weights = train(problem, meta)
    assert auc(weights[problem.wrong], weights[~problem.wrong]) > 0.8
    assert accuracy > 0.05 + train(problem, make("equal", tasks=("a", "b")))[0]


def test_autolambda_switches_off_a_task_of_pure_noise():
    problem = Problem(0, noise=1.0)
    weighting = make("autolambda", tasks=("a", "b"), primary=["b"], lr=0.01)
    train(problem, weighting, steps=800)
    noise, real = normalised(weighting.learned).tolist()
    assert noise < 0.3
    assert real > 1.7
