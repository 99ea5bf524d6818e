"""Two tasks on points instead of pictures, one with wrong labels, and the training step around them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from vjo_train.weighting.base import ImageLosses, TaskLosses, Weighting

DIM, CLASSES, WIDTH = 16, 4, 64


class Problem:
    """Task a: four classes, of which a share of the training points has wrong labels; task b: regression.

    The last coordinate tells from which of two sources a point comes: in training, the one with wrong labels or the
    other. Held-out and test points come from both, with right labels; with noise 1 all labels but those for the test
    are drawn at random.
    """

    def __init__(self, seed: int, *, points: int = 2048, noise: float = 0.5, visible: bool = True) -> None:
        self.seed = seed
        source = torch.Generator().manual_seed(seed)
        classes = torch.randn(DIM, CLASSES, generator=source)
        values = torch.randn(DIM, 3, generator=source) / DIM**0.5
        classes[-1] = values[-1] = 0

        def draw(number: int, bad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            x = torch.randn(number, DIM, generator=source)
            if visible:
                x[:, -1] = torch.where(bad, 2.0, -2.0) + 0.3 * x[:, -1]
            return x, (x @ classes).argmax(1), torch.tanh(x @ values)

        self.wrong = torch.arange(points) < noise * points
        x, labels, targets = draw(points, self.wrong)
        others = torch.randint(1, CLASSES, (points,), generator=source)
        self.train = x, torch.where(self.wrong, (labels + others) % CLASSES, labels), targets
        self.held_out, self.test = (draw(n, torch.rand(n, generator=source) < 0.5) for n in (128, 1000))
        if noise == 1:
            self.train = x, torch.randint(CLASSES, (points,), generator=source), targets
            self.held_out = self.held_out[0], torch.randint(CLASSES, (128,), generator=source), self.held_out[2]


class Points(nn.Module):
    """A perceptron with two hidden layers that the tasks share."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = nn.Sequential(nn.Linear(DIM, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.heads = nn.ModuleDict({"a": nn.Linear(WIDTH, CLASSES), "b": nn.Linear(WIDTH, 3)})

    def losses(self, data):
        x, labels, targets = data
        features = self.trunk(x)
        return features, {
            "a": F.cross_entropy(self.heads["a"](features), labels, reduction="none"),
            "b": (self.heads["b"](features) - targets).pow(2).mean(1),
        }

    def step(self, data, held_out, number, meta_tasks) -> TaskLosses:
        features, losses = self.losses(data)
        means = {task: loss.mean() for task, loss in losses.items()}
        return TaskLosses(
            losses=means,
            values={task: loss.detach() for task, loss in means.items()},
            factor=torch.ones(()),
            shared=list(self.trunk.parameters()),
            own={task: list(head.parameters()) for task, head in self.heads.items()},
            representation=[features],
            step=number,
            scaled=False,
            images=ImageLosses(
                losses=losses,
                labelled={task: torch.ones(len(features), dtype=torch.bool) for task in losses},
                counts={task: len(features) for task in losses},
                summary=features.detach(),
                again=lambda: self.losses(data)[1],
            ),
            meta=lambda: {task: loss.mean() for task, loss in self.losses(held_out)[1].items() if task in meta_tasks},
        )


def train(problem: Problem, weighting: Weighting, steps: int = 600, batch: int = 64) -> tuple[float, torch.Tensor]:
    """The accuracy of task a on the test points, and the last weight for a that each training point had."""
    net = Points(problem.seed)
    source = torch.Generator().manual_seed(100 + problem.seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    weights = torch.ones(len(problem.wrong), dtype=torch.float64)
    for number in range(steps):
        chosen = torch.randperm(len(weights), generator=source)[:batch]
        others = torch.randperm(128, generator=source)[:batch]
        data, held_out = (tuple(t[i] for t in d) for d, i in ((problem.train, chosen), (problem.held_out, others)))
        optimizer.zero_grad()
        weighting.backward(net.step(data, held_out, number, weighting.meta_tasks))
        optimizer.step()
        if weighting.image_weights:
            weights[chosen] = weighting.image_weights["a"]
    with torch.no_grad():
        guessed = net.heads["a"](net.trunk(problem.test[0])).argmax(1)
    return float((guessed == problem.test[1]).double().mean()), weights


def auc(low: torch.Tensor, high: torch.Tensor) -> float:
    """The chance that one of `low` is below one of `high`; ties count half."""
    return float(((low[:, None] < high).double() + 0.5 * (low[:, None] == high)).mean())
