"""Parameters of a head that several of its losses train: they get the combination, as the shared ones do."""

from __future__ import annotations

import pytest
import torch

from vjo_train.weighting.gradients import GradientWeighting

from .tiny import TASKS, Net, assert_gradients_close, gradients, images, make

OPTIONS = [{"at": "parameters"}, {"at": "features"}, {"at": "last_shared"}, {"every": 2}, {"sample": 0.5}]


def task_gradients(net, step):
    """Task -> name -> its gradient."""
    names, parameters = zip(*net.named_parameters(), strict=True)
    found = {}
    for task, loss in step.losses.items():
        given = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        found[task] = dict(zip(names, given, strict=True))
    return found


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_weights_act_on_everything_that_several_tasks_train(options):
    net, weighting = Net(joint=True), make("mgda", **options)
    for number in range(2):
        step = net.step(images(number), number=number)
        step.resample = lambda share, n=number: net.step(images(n)[: round(4 * share)]).losses
        net.zero_grad()
        rows = task_gradients(net, step)
        weights = weighting.backward(step)
        expected = {}
        for name, _ in net.named_parameters():
            scale = weights if name.startswith(("trunk", "joint")) else dict.fromkeys(weights, 1.0)
            terms = [scale[task] * row[name] for task, row in rows.items() if row[name] is not None]
            expected[name] = sum(terms)
        assert_gradients_close(gradients(net), expected, rtol=1e-4, atol=1e-6)
    assert len({round(float(w), 4) for w in weights.values()}) > 1


class Equal(GradientWeighting):
    """Weights of 1; keeps the Gramian that it was given."""

    def weights(self, gramian, values, tasks):
        self.seen = gramian
        return torch.ones_like(values)


@pytest.mark.parametrize("at", ["parameters", "features"])
def test_the_gramian_sees_them(at):
    net, weighting = Net(joint=True), Equal(tasks=TASKS, at=at)
    step = net.step(images(0))
    compared = [*step.shared] if at == "parameters" else [*step.representation, *step.behind]
    rows = []
    for loss in step.losses.values():
        given = torch.autograd.grad(loss, compared, retain_graph=True, allow_unused=True)
        flat = [torch.zeros_like(t) if g is None else g for t, g in zip(compared, given, strict=True)]
        rows.append(torch.cat([g.flatten() for g in flat]))
    weighting.backward(step)
    jacobian = torch.stack(rows).double()
    torch.testing.assert_close(weighting.seen, jacobian @ jacobian.T, rtol=1e-4, atol=1e-7)
