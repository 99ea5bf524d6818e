"""Adversarial multi-task sharing (AMTN, after Liu, Qiu, Huang 2017, "Adversarial Multi-task Learning")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.sharing.features import SharedFeatures
from vjo_train.sharing.hard import HardSharing
from vjo_train.sharing.layers import block
from vjo_train.sharing.pyramid import kinds, read_by
from vjo_train.sharing.reversal import dann_ramp, reverse_gradient
from vjo_train.types import Features

FLAT = 1e-6
"""`similarity` takes a map with ||A^T A||^2 below this for flat."""


class AdversarialSharing(HardSharing):
    """Hard sharing, and two branches per task: one that a discriminator cannot tell from the other tasks', one free.

    For task k and each level x that its head reads, S_k = shared branch of x, P_k = private branch of x, and the head
    sees a 1x1 convolution of [S_k; P_k] with as many channels as x. Each branch is `depth` times 3x3 convolution,
    group norm, ReLU; a task's levels of the neck share one pair. (In the paper the tasks have texts of their own and
    one shared extractor; here all tasks see the same images, and one extractor would give the same features.)

    Two losses of the sharing, added to the weighted sum of the task losses as they are:

    - `discriminator`: cross-entropy of a small network that guesses k from S_k, averaged over cells and levels. It
      learns to; the branches and what lies below them get its gradient reversed, times
      strength * (2 / (1 + exp(-ramp p)) - 1), p the share of training done (Ganin et al. 2016).
    - `difference`: its weight times the mean over images, tasks and levels of `similarity(S_k, P_k)`.

    Both are means over the images at hand, whether they are labelled for a task or not: so all tasks have the same
    images, and what is in them tells nothing. Where not all tasks are on (alternating), only those that are have
    features in the step: the discriminator sees one task after another, as in the paper, and tends to guess the last.
    Whatever is off does not move. The discriminator's gradient counts in `trainer.gradient_clip_val`.

    Figures: `accuracy` of the discriminator (chance is 1 / number of tasks on average), and the `reversal` in force.

    Backbone and neck are the shared parameters; branches are the tasks' own, the discriminator is nobody's.

    Args:
        backbone: images -> `c2`..`c5`, with `channels`.
        neck: `c2`..`c5` -> `p2`..`p7`, with `channels`.
        levels: task -> the features that its head reads.
        depth: of each branch.
        width: channels of each branch, and of the discriminator's hidden layer.
        strength: of the reversed gradient at the end of the ramp; 0 takes the discriminator's influence away.
        ramp: steepness of the ramp; None: full strength from the first step.
        difference: weight of the difference loss.

    Raises:
        ConfigError: fewer than two tasks, or no branches: nothing for the discriminator to guess.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        depth: Annotated[int, Ge(0)] = 1,
        width: Annotated[int, Ge(8)] = 128,
        strength: Annotated[float, Ge(0)] = 0.1,
        ramp: Annotated[float, Gt(0)] | None = 10.0,
        difference: Annotated[float, Ge(0)] = 0.05,
    ) -> None:
        if len(levels) < 2:
            raise ConfigError(
                f"sharing=adversarial: found {len(levels)} head; the discriminator needs two or more tasks to tell"
                " apart. Use sharing=hard for a single task."
            )
        if depth == 0:
            raise ConfigError(
                "sharing.depth: found 0; without branches all tasks have the same features and there is nothing for"
                " the discriminator to guess. Must be a whole number >= 1, or use sharing=hard."
            )
        super().__init__(backbone=backbone, neck=neck, levels=levels)
        self.strength, self.ramp, self.difference = strength, ramp, difference
        self.kinds = kinds(backbone, neck, read_by(levels.values()))
        self.branches = nn.ModuleDict(
            {
                task: nn.ModuleDict(
                    {
                        kind: Branches(channels, width, depth)
                        for kind, channels in sorted({self.kinds[level] for level in names})
                    }
                )
                for task, names in levels.items()
            }
        )
        self.discriminator = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, len(levels)))
        self.start_step(0.0)

    def start_step(self, progress: float) -> None:
        """Sets the strength of the reversal."""
        self.reversal = self.strength * (1.0 if self.ramp is None else dann_ramp(progress, self.ramp))

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        shared = super().forward(images, tasks)
        pairs = {task: self._pairs(task, shared.tasks[task]) for task in tasks}
        shared = replace(shared, tasks={task: self._merged(task, found) for task, found in pairs.items()})
        if not self.training:
            return shared
        with torch.autocast(images.device.type, enabled=False):
            logits, labels = self._guess({task: [s for s, _ in found.values()] for task, found in pairs.items()})
            auxiliary = {"discriminator": F.cross_entropy(logits, labels)}
            if self.difference > 0:
                found = [similarity(s.float(), p.float()).mean() for pair in pairs.values() for s, p in pair.values()]
                auxiliary["difference"] = self.difference * torch.stack(found).mean()
        accuracy = (logits.argmax(1) == labels).float().mean()
        figures = {"accuracy": accuracy, "reversal": torch.tensor(self.reversal, device=images.device)}
        return replace(shared, auxiliary=auxiliary, figures=figures)

    def _branches(self, task: str, level: str) -> Branches:
        branches = self.branches.get_submodule(f"{task}.{self.kinds[level][0]}")
        assert isinstance(branches, Branches)
        return branches

    def _pairs(self, task: str, features: Features) -> dict[str, tuple[Tensor, Tensor]]:
        return {level: self._branches(task, level)(features[level]) for level in self.levels[task]}

    def _merged(self, task: str, pairs: Mapping[str, tuple[Tensor, Tensor]]) -> Features:
        return {level: self._branches(task, level).merge(torch.cat(pair, 1)) for level, pair in pairs.items()}

    def _guess(self, branches: Mapping[str, Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Task -> its shared branch at each level [B, width, h, w] -> logits [n * B, K] and true tasks [n * B]."""
        pooled = [torch.stack([s.float().mean((2, 3)) for s in maps]).mean(0) for maps in branches.values()]
        logits = self.discriminator(reverse_gradient(torch.cat(pooled), self.reversal))
        places = torch.tensor([list(self.levels).index(task) for task in branches], device=logits.device)
        return logits, places.repeat_interleave(len(pooled[0]))


class Branches(nn.Module):
    """One task's shared and private branch on features of one kind.

    Args:
        channels: of the features, and of what the head sees.
        width: channels of each branch.
        depth: 3x3 convolutions of each branch.
    """

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        inputs = [channels, *[width] * (depth - 1)]
        self.shared = nn.Sequential(*(block(n, width, 3) for n in inputs))
        self.private = nn.Sequential(*(block(n, width, 3) for n in inputs))
        self.merge = nn.Conv2d(2 * width, channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, h, w] -> shared and private features, each [B, width, h, w]."""
        return self.shared(features), self.private(features)


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """How far the channels of two feature maps vary together over the cells of an image, in 0..1.

    ||A^T B||^2 / (||A^T A|| ||B^T B||), Frobenius norms, where the rows of A and B are the cells of one image, centred:
    linear CKA (Kornblith et al. 2019). 0 where no channel of a is correlated with any channel of b. The paper's
    ||A^T B||^2 would grow with the size of the map, and fall if the features merely shrank. By image rather than by
    batch, so that it means the same on several ranks and under accumulation.

    Args:
        a: [B, C, h, w] float32, of the scale that a norm gives.
        b: like a.

    Returns:
        [B]; 0 for a map of one cell, or without variation.
    """
    a, b = (m.flatten(2) - m.flatten(2).mean(2, keepdim=True) for m in (a, b))
    cross, left, right = ((x @ y.mT).square().sum((1, 2)) for x, y in ((a, b), (a, a), (b, b)))
    # So that the rounding of a flat map does not count as variation. Roots apart: the product may overflow.
    return cross / ((left + FLAT).sqrt() * (right + FLAT).sqrt())
