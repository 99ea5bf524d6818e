"""Which experts see an image: top-k routers, one a task, whose loads are kept even."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

STEADY = 0.1
"""The weight of a new step in the running averages, once there are as many steps."""
MEAN, SPREAD = "mean", "spread"


@dataclass
class Route:
    """Where B images go for one task.

    Attributes:
        gate: [B, E] float32 with graph: the weight of each chosen expert, 0 elsewhere.
        chosen: [B, E] bool, as many for each image.
    """

    gate: Tensor
    chosen: Tensor


class Router(nn.Module):
    """Pooled features [B, C] -> for each task, k of E experts for each image.

    With z, the features less their running mean over their running spread (one number for all channels), task t has the
    logits W_t z, chooses the k greatest of W_t z + b_t, and gives the chosen ones their softmax(W_t z). b_t is not
    learned by gradients: after each step of the optimizer, b_te += balance (1 - load_te E / k), where load_te is the
    share of the step's images that went to expert e.

    Running averages and b are buffers. They move in `step`, by what `observe` was told since the last one.

    Args:
        tasks: with a router each.
        channels: C.
        experts: E.
        top: k.
        balance: see above; 0 leaves the loads to themselves.
    """

    centre: Tensor
    spread: Tensor
    steps: Tensor
    bias: Tensor
    new_centre: Tensor
    new_spread: Tensor
    new_load: Tensor
    batches: Tensor
    images: Tensor

    def __init__(self, tasks: Sequence[str], channels: int, experts: int, top: int, balance: float) -> None:
        super().__init__()
        self.order = tuple(tasks)
        self.experts, self.top, self.balance = experts, top, balance
        self.logits = nn.ModuleDict({task: nn.Linear(channels, experts, bias=False) for task in tasks})
        for parameter in self.logits.parameters():
            nn.init.normal_(parameter, std=channels**-0.5)
        count = len(self.order)
        self.register_buffer("centre", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("bias", torch.zeros(count, experts))
        self.register_buffer("new_centre", torch.zeros(channels))
        self.register_buffer("new_spread", torch.zeros(()))
        self.register_buffer("new_load", torch.zeros(count, experts))
        self.register_buffer("batches", torch.zeros(()))
        self.register_buffer("images", torch.zeros(count))

    def forward(self, pooled: Tensor, tasks: Sequence[str]) -> dict[str, Route]:
        """[B, C] float32 without graph -> where the images go for each of `tasks`; outside autocast."""
        seen = (pooled - self.centre) / self.spread.clamp(min=1e-6).sqrt()
        biases = {task: self.bias[self.order.index(task)] for task in tasks}
        return {task: route(self.logits[task](seen), biases[task], self.top) for task in tasks}

    def statistics(self, pooled: Tensor, routes: Mapping[str, Route]) -> dict[str, Tensor]:
        """What `observe` wants to know of a batch."""
        loads = {task: one.chosen.float().mean(0) for task, one in routes.items()}
        return {MEAN: pooled.mean(0), SPREAD: (pooled - self.centre).square().mean(), **loads}

    def observe(self, statistics: Mapping[str, Tensor]) -> None:
        """Takes in a batch's `statistics`."""
        self.batches += 1
        for name, value in statistics.items():
            if name == MEAN:
                self.new_centre += value
            elif name == SPREAD:
                self.new_spread += value
            else:
                place = self.order.index(name)
                self.new_load[place] += value
                self.images[place] += 1

    def step(self) -> None:
        """Moves the running averages and the loads' biases, if there is anything new."""
        if not self.batches:
            return
        self.steps += 1
        share = torch.clamp(1 / self.steps, min=STEADY)
        # Before the first step, squares are distances from 0 instead of the mean.
        spread = self.new_spread / self.batches
        if self.steps == 1:
            spread = (spread - (self.new_centre / self.batches).square().mean()).clamp(min=1e-6)
        self.spread += (spread - self.spread) * share
        self.centre += (self.new_centre / self.batches - self.centre) * share
        load = self.new_load / self.images.clamp(min=1)[:, None]
        known = (self.images > 0)[:, None]
        self.bias += torch.where(known, self.balance * (1 - load * self.experts / self.top), 0)
        for buffer in (self.new_centre, self.new_spread, self.new_load, self.batches, self.images):
            buffer.zero_()


def route(logits: Tensor, bias: Tensor, top: int) -> Route:
    """Logits [B, E], bias [E] of the choice alone -> the `top` experts of each image."""
    best = (logits.detach() + bias).topk(top, dim=1).indices
    chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, best, True)
    return Route(logits.softmax(1) * chosen, chosen)
