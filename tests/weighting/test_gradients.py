"""The engine: exact gradients, and the cheaper ways of deciding their weights."""

from __future__ import annotations

import pytest
import torch

from vjo_train.errors import ConfigError, NumericsError
from vjo_train.weighting.gradients import GradientWeighting
from vjo_train.weighting.pcgrad import PCGrad

from .tiny import METHODS, TASKS, Net, assert_gradients_close, gradients, images, is_gradient, make

ENGINE = [name for name in METHODS if is_gradient(name)]


class Given(GradientWeighting):
    """Weights given by the test; keeps the Gramian it saw."""

    def __init__(self, given, **options):
        super().__init__(**options)
        self.given = given

    def weights(self, gramian, values, tasks):
        self.seen = gramian
        return torch.tensor([self.given[task] for task in tasks], dtype=torch.float64)


def literal(net, weights, tasks=TASKS, seed=0):
    """The same update, written plainly: K backwards, each task's own gradient for its head."""
    step = net.step(images(seed), tasks=tasks)
    expected, rows = {n: None for n, _ in net.named_parameters()}, []
    for task in tasks:
        net.zero_grad()
        step.losses[task].backward(retain_graph=True)
        rows.append(torch.cat([p.grad.reshape(-1) for p in net.trunk.parameters() if p.requires_grad]))
        for name, p in net.named_parameters():
            if p.grad is not None:
                scale = weights[task] if name.startswith("trunk") else 1
                expected[name] = scale * p.grad + (0 if expected[name] is None else expected[name])
    net.zero_grad()
    return expected, torch.stack(rows).double() @ torch.stack(rows).double().T


WEIGHTS = {"a": 0.5, "b": 0.0, "c": -2.0}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("at", ["parameters", "features", "last_shared"])
def test_shared_gradients_are_weighted_and_heads_get_their_own(at, channels_last):
    net = Net()
    if channels_last:
        net.to(memory_format=torch.channels_last)
    weighting = Given(WEIGHTS, tasks=TASKS, at=at)
    expected, gramian = literal(net, WEIGHTS)
    weighting.backward(net.step(images(0)))
    assert_gradients_close(gradients(net), expected, rtol=1e-5, atol=1e-7)
    for p in net.parameters():
        assert p.grad.stride() == p.stride()
    if at == "parameters":
        torch.testing.assert_close(weighting.seen, gramian, rtol=1e-5, atol=1e-9)


def test_equal_weights_are_the_plain_backward():
    net = Net()
    Given(dict.fromkeys(TASKS, 1.0), tasks=TASKS).backward(net.step(images(0)))
    found = gradients(net)
    net.zero_grad()
    sum(net.step(images(0)).losses.values()).backward()
    assert_gradients_close(found, gradients(net), rtol=1e-6, atol=1e-7)


def test_gramian_at_features_and_at_the_last_shared_weight():
    net = Net()
    step = net.step(images(0))
    end = step.representation[0]
    rows = [torch.autograd.grad(loss, end, retain_graph=True)[0].flatten() for loss in step.losses.values()]
    weighting = Given(WEIGHTS, tasks=TASKS, at="features")
    weighting.backward(step)
    torch.testing.assert_close(weighting.seen.float(), torch.stack(rows) @ torch.stack(rows).T)
    step = net.step(images(0))
    weight = net.trunk[2].weight
    rows = [torch.autograd.grad(loss, weight, retain_graph=True)[0].flatten() for loss in step.losses.values()]
    weighting = Given(WEIGHTS, tasks=TASKS, at="last_shared")
    weighting.backward(step)
    torch.testing.assert_close(weighting.seen.float(), torch.stack(rows) @ torch.stack(rows).T)


@pytest.mark.parametrize("name", ENGINE)
def test_weights_are_reused_between_updates(name):
    net, weighting, every = Net(), make(name), make(name, every=3)
    first = weighting.backward(net.step(images(0)))
    assert every.backward(net.step(images(0))) == first
    for number in (1, 2):
        net.zero_grad()
        assert every.backward(net.step(images(number))) == first
    heads = {n: g for n, g in gradients(net).items() if n.startswith("heads") and not make(name).weights_heads}
    expected, _ = literal(net, {t: float(w) for t, w in first.items()}, seed=2)
    assert_gradients_close(heads, {n: expected[n] for n in heads}, rtol=1e-5, atol=1e-6)


def test_a_task_without_a_weight_yet_is_weighted_at_once():
    net, weighting = Net(), Given(WEIGHTS, tasks=TASKS, every=100)
    weighting.backward(net.step(images(0), tasks=("a",)))
    assert weighting.backward(net.step(images(1), tasks=("a", "c"))) == {"a": 0.5, "c": -2.0}
    assert weighting.seen.shape == (2, 2)


@pytest.mark.parametrize("every", [1, 2])
def test_sample_takes_the_gramian_from_a_second_forward(every):
    net, weighting = Net(), Given(WEIGHTS, tasks=TASKS, sample=0.5, every=every)
    expected, _ = literal(net, WEIGHTS)
    asked = []

    def resample(share):
        asked.append(share)
        return net.step(images(0)[:2]).losses

    for _ in range(2):
        step = net.step(images(0))
        step.resample = resample
        net.zero_grad()
        weighting.backward(step)
        assert_gradients_close(gradients(net), expected, rtol=1e-5, atol=1e-7)
    assert asked == [0.5] * (3 - every)
    small = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.trunk.parameters()), retain_graph=True)])
            for loss in net.step(images(0)[:2]).losses.values()
        ]
    )
    torch.testing.assert_close(weighting.seen.float(), small @ small.T, rtol=1e-4, atol=1e-6)


def test_a_task_absent_from_the_sample_keeps_its_last_weight():
    net, weighting = Net(), Given(WEIGHTS, tasks=TASKS, sample=0.5)
    step = net.step(images(0))
    step.resample = lambda share: net.step(images(0)[:2], tasks=("a", "b")).losses
    assert weighting.backward(step) == {"a": 0.5, "b": 0.0, "c": 1.0}


def test_an_inner_loss_weighting_multiplies_losses_and_heads():
    net = Net()
    inner = make("fixed", lambdas={"a": 2.0, "c": 0.5})
    weights = {t: WEIGHTS[t] * w for t, w in {"a": 2.0, "b": 1.0, "c": 0.5}.items()}
    expected, _ = literal(net, weights)
    own, _ = literal(net, dict.fromkeys(TASKS, 1.0))
    for name, task, scale in (("heads.a.weight", "a", 2.0), ("heads.c.bias", "c", 0.5)):
        assert task in name
        expected[name] = scale * own[name]
    weighting = Given(WEIGHTS, tasks=TASKS, losses=inner)
    assert weighting.backward(net.step(images(0))) == weights
    found = gradients(net)
    for name in ("trunk.0.weight", "trunk.2.bias", "heads.a.weight", "heads.b.weight", "heads.c.bias"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-7)
    assert "losses.calls" in weighting.state_dict()


@pytest.mark.parametrize("at", ["parameters", "features", "last_shared"])
def test_frozen_and_unreached_parameters_keep_no_gradient(at):
    net = Net()
    net.trunk[0].requires_grad_(False)
    step = net.step(images(0))
    unused = torch.nn.Parameter(torch.zeros(3))
    step.shared.append(unused)
    Given(WEIGHTS, tasks=TASKS, at=at).backward(step)
    assert net.trunk[0].weight.grad is None
    assert unused.grad is None
    assert net.trunk[2].weight.grad is not None


@pytest.mark.parametrize("at", ["parameters", "features"])
def test_a_parameter_that_one_task_alone_reaches_is_weighted_by_that_task(at):
    net, extra = Net(), torch.nn.Parameter(torch.ones(6))
    step = net.step(images(0))
    branch = step.representation[0].detach().mean((0, 2, 3)) * extra
    step.losses["c"] = step.losses["c"] + branch.pow(2).sum()
    step.shared.insert(0, extra)
    step.representation.append(branch)
    Given(WEIGHTS, tasks=TASKS, at=at).backward(step)
    base = step.representation[0].detach().mean((0, 2, 3))
    torch.testing.assert_close(extra.grad, -2.0 * 2 * base * base)


@pytest.mark.parametrize("at", ["parameters", "features"])
def test_the_auxiliary_loss_is_added_as_it_is(at):
    net = Net()
    expected, _ = literal(net, WEIGHTS)
    step = net.step(images(0), factor=4.0)
    step.auxiliary = 3 * net.trunk[0].bias.sum() + net.heads["b"].bias.sum()
    Given(WEIGHTS, tasks=TASKS, at=at).backward(step)
    expected["trunk.0.bias"] = expected["trunk.0.bias"] + 3
    expected["heads.b.bias"] = expected["heads.b.bias"] + 1
    assert_gradients_close(gradients(net), {n: 4 * g for n, g in expected.items()}, rtol=1e-5, atol=1e-6)


def test_bf16_autocast_gives_nearly_the_same_gradients():
    net = Net()
    expected, gramian = literal(net, WEIGHTS)
    for at in ("parameters", "features", "last_shared"):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            step = net.step(images(0))
        weighting = Given(WEIGHTS, tasks=TASKS, at=at)
        weighting.backward(step)
        assert all(p.grad.dtype == torch.float32 for p in net.parameters())
        assert_gradients_close(gradients(net), expected, rtol=0.1, atol=0.03)
    assert weighting.seen.dtype == gramian.dtype == torch.float64


def test_clipping_sees_the_combined_gradient():
    net = Net()
    expected, _ = literal(net, WEIGHTS)
    norm = torch.cat([g.flatten() for g in expected.values()]).norm()
    Given(WEIGHTS, tasks=TASKS).backward(net.step(images(0)))
    found = torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
    torch.testing.assert_close(found, norm)
    assert_gradients_close(gradients(net), {n: g * 0.1 / norm for n, g in expected.items()}, rtol=1e-4, atol=1e-6)


def test_a_compiled_trunk():
    net = Net()
    expected, _ = literal(net, WEIGHTS)
    net.trunk.forward = torch.compile(net.trunk.forward, backend="aot_eager")
    Given(WEIGHTS, tasks=TASKS).backward(net.step(images(0)))
    assert_gradients_close(gradients(net), expected, rtol=1e-4, atol=1e-6)


def test_a_gradient_that_is_not_finite_names_the_task_and_the_batch():
    net = Net()
    step = net.step(images(0), scaled=False, number=12)
    step.losses["b"] = step.losses["b"] * float("inf")
    with pytest.raises(NumericsError, match="gradient of b is not finite at batch 12"):
        PCGrad(tasks=TASKS).backward(step)


def test_a_representation_that_hides_a_path_is_refused():
    net = Net()
    step = net.step(images(0))
    step.losses["a"] = step.losses["a"] + net.trunk[0].bias.sum()
    with pytest.raises(ConfigError, match="the loss of a reaches shared parameters past the representation"):
        PCGrad(tasks=TASKS, at="features").backward(step)
    step = net.step(images(0))
    step.representation.append(step.representation[0] * 2)
    with pytest.raises(ConfigError, match="one tensor of the representation depends on another"):
        PCGrad(tasks=TASKS, every=2, at="features").backward(step)


def test_contradicting_keys_are_refused():
    with pytest.raises(ConfigError, match=r"weighting\.sample=0\.5"):
        PCGrad(tasks=TASKS, at="features", sample=0.5)
    with pytest.raises(ConfigError, match=r"weighting\.sample=0\.5: this training step offers no second forward"):
        PCGrad(tasks=TASKS, sample=0.5).backward(Net().step(images(0)))


def test_diagnostics_are_of_the_unscaled_gradients():
    net, weighting = Net(), PCGrad(tasks=TASKS, diagnose_every=2)
    _, gramian = literal(net, WEIGHTS)
    weighting.backward(net.step(images(0), factor=64.0))
    figures = weighting.diagnostics
    assert figures["gradient_norm/b"] == pytest.approx(float(gramian[1, 1].sqrt()), rel=1e-5)
    cosine = gramian[0, 2] / (gramian[0, 0] * gramian[2, 2]).sqrt()
    assert figures["cosine/a/c"] == pytest.approx(float(cosine), rel=1e-4)
    assert figures["conflict_share"] == sum(float(gramian[i, j]) < 0 for i, j in ((0, 1), (0, 2), (1, 2))) / 3
    assert figures["condition"] == pytest.approx(float(torch.linalg.cond(gramian) ** 0.5), rel=1e-3)
    weighting.backward(net.step(images(1)))
    assert weighting.diagnostics == {}


def test_what_a_task_adds_to_the_shared_gradient_counts_both_weights_and_no_sign():
    inner = make("fixed", lambdas={"a": 3.0, "b": 1.0, "c": 1.5})
    net, weighting = Net(), Given(WEIGHTS, tasks=TASKS, losses=inner, diagnose_every=1)
    _, gramian = literal(net, WEIGHTS)
    weights = weighting.backward(net.step(images(0)))
    for k, task in enumerate(TASKS):
        length = abs(float(weights[task])) * float(gramian[k, k].sqrt())
        assert weighting.diagnostics[f"update_norm/{task}"] == pytest.approx(length, rel=1e-4)
    assert float(weights["c"]) < 0


def test_a_solver_that_fails_is_counted_and_logged(caplog):
    weighting = make("nash", tasks=("a", "b"))
    gramian = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    with caplog.at_level("WARNING"):
        weighting.weights(gramian, torch.ones(2), ("a", "b"))
    assert int(weighting.unsolved) == 1
    assert "NashMTL: not solved at batch 0" in caplog.text
    assert "the last iterate is used" in caplog.text
