"""A network of two convolutions and three heads, and the training step around it, written out."""

from __future__ import annotations

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn
from torch.nn import functional as F

from vjo_train.weighting.base import ImageLosses, TaskLosses, Weighting

TASKS = ("a", "b", "c")
CONF = Path(__file__).parents[2] / "conf" / "weighting"
METHODS = sorted(path.stem for path in CONF.glob("*.yaml"))


def make(name: str, tasks=TASKS, **overrides) -> Weighting:
    """The weighting of conf/weighting/<name>.yaml."""
    node = OmegaConf.create({"seed": 7, "weighting": OmegaConf.load(CONF / f"{name}.yaml")}).weighting
    given = {"tasks": tasks} | ({"channels": 6} if name == "meta" else {}) | overrides
    return instantiate(OmegaConf.to_container(node, resolve=True) | given, _convert_="all")


def is_gradient(name: str) -> bool:
    return "sample" in OmegaConf.load(CONF / f"{name}.yaml")


class Net(nn.Module):
    """With `joint`, b and c are the two losses of one head, which has a layer that both train."""

    def __init__(self, seed: int = 0, joint: bool = False) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 6, 3, stride=2), nn.Tanh())
        self.heads = nn.ModuleDict({"a": nn.Linear(6, 4), "b": nn.Linear(6, 2), "c": nn.Linear(6, 1)})
        self.joint = nn.Sequential(nn.Linear(6, 6), nn.Tanh()) if joint else nn.Sequential()

    def step(self, images, tasks=TASKS, share=slice(None), factor=1.0, number=0, epoch=0, scaled=True, mask=None):
        """The task losses of the images in `share`, a part of the global batch; `mask` [3, B] says who is labelled.

        As many other images are held out.
        """
        mask = torch.ones(3, len(images)) if mask is None else mask
        labelled = {task: mask[TASKS.index(task)] for task in tasks}
        with torch.no_grad():
            whole = self._losses(images, labelled, slice(None))[1]
        end, per_image = self._losses(images, labelled, share)
        held_out = images.flip(0, 3) + 0.1
        return TaskLosses(
            losses=_shares(per_image, labelled, share),
            values={task: losses.sum() / labelled[task].sum() for task, losses in whole.items()},
            factor=torch.tensor(float(factor)),
            shared=[p for p in (*self.trunk.parameters(), *self.joint.parameters()) if p.requires_grad],
            behind=list(self.joint.parameters()),
            own={task: list(self.heads[task].parameters()) for task in tasks},
            representation=[end],
            step=number,
            epoch=epoch,
            others=[p for t in TASKS if t not in tasks for p in self.heads[t].parameters()],
            scaled=scaled,
            images=ImageLosses(
                losses=per_image,
                labelled={task: flags[share] > 0 for task, flags in labelled.items()},
                counts={task: int(flags.sum()) for task, flags in labelled.items()},
                summary=end.detach().mean((2, 3)),
                again=lambda: self._losses(images, labelled, share)[1],
            ),
            meta=lambda: _shares(self._losses(held_out, labelled, share)[1], labelled, share),
        )

    def _losses(self, images, labelled, share):
        """The features of the images in `share`, and their losses, task by task."""
        features = self.trunk(images[share])
        end = features.view_as(features)
        return end, {task: self._loss(task, end, share) * flags[share] for task, flags in labelled.items()}

    def _loss(self, task, features, share=slice(None)):
        pooled = features.mean((2, 3))
        output = self.heads[task](pooled if task == "a" else self.joint(pooled))
        if task == "a":
            return F.cross_entropy(output, torch.arange(64)[share][: len(output)] % 4, reduction="none")
        if task == "b":
            return (output - torch.tensor([1.0, -1.0])).pow(2).mean(1)
        return F.softplus(5 * output[:, 0])


def _shares(per_image, labelled, share):
    """The means over the labelled images of the global batch, as far as this rank has them."""
    return {
        task: losses.sum() / labelled[task].sum() if labelled[task][share].any() else torch.zeros(())
        for task, losses in per_image.items()
    }


def images(seed: int, n: int = 4):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def gradients(net):
    return {name: None if p.grad is None else p.grad.clone() for name, p in net.named_parameters()}


def assert_gradients_close(found, expected, **tolerance):
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(found[name], value, msg=lambda m, n=name: f"{n}: {m}", **tolerance)


def train(net, weighting, steps, start=0, optimizer=None, **kwargs):
    """Plain SGD with momentum over batches `start`..; returns the weights of each step."""
    parameters = [*net.parameters(), *weighting.parameters()]
    optimizer = optimizer or torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    history = []
    for number in range(start, start + steps):
        optimizer.zero_grad()
        history.append(weighting.backward(net.step(images(number), number=number, epoch=number // 2, **kwargs)))
        optimizer.step()
    return history, optimizer
