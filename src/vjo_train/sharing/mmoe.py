"""Multi-gate mixture of experts (Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with MMoE")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from vjo_train.sharing.features import SharedFeatures
from vjo_train.sharing.hard import HardSharing
from vjo_train.sharing.layers import block
from vjo_train.sharing.pyramid import channels, kinds, pyramid, read_by, trainable

SUMMARY = "c5"
"""The level from which the gates see what kind of image it is."""


class MMoE(HardSharing):
    """Hard sharing, and E experts on every level that a head reads, mixed for each image by one gate per task.

    Task k sees x_k = sum_e g_ke f_e(x), g_k = softmax(W_k mean(c5)) over the experts, per image. An expert is a
    residual bottleneck, f_e(x) = x + b_e(x); since a gate sums to 1, x_k = x + sum_e g_ke b_e(x). The levels of the
    neck share their experts, as the towers of a detection head do; each level of the backbone that a head reads has
    its own. A task has one gate for all of its levels. Gates start even (W = 0), so at first all tasks see the same.

    Experts count as shared parameters; gates are the tasks' own. `weighting.at=features` takes the gradients at the
    experts' outputs and at the gates' inputs.

    Figures: `gate_<task>_<e>`, the mean gate; `entropy_<task>`, the mean entropy of an image's gate, as a share of the
    greatest one, log E (1: even; 0: one expert per image).

    Args:
        backbone: images -> `c2`..`c5`, with `channels`.
        neck: `c2`..`c5` -> `p2`..`p7`, with `channels`.
        levels: task -> the features that its head reads.
        experts: E.
        reduction: by how much an expert has fewer channels inside than its level.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        experts: Annotated[int, Ge(2)] = 4,
        reduction: Annotated[int, Ge(1)] = 4,
    ) -> None:
        super().__init__(backbone=backbone, neck=neck, levels=levels)
        self.kinds = kinds(backbone, neck, read_by(levels.values()))
        self.experts = nn.ModuleDict(
            {
                kind: nn.ModuleList(expert(width, max(1, width // reduction)) for _ in range(experts))
                for kind, width in sorted(set(self.kinds.values()))
            }
        )
        self.gates = nn.ModuleDict({task: nn.Linear(channels(backbone)[SUMMARY], experts) for task in levels})
        for parameter in self.gates.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        read = read_by(self.levels[task] for task in tasks)
        features = pyramid(self.backbone, self.neck, images, read)
        pooled = features[SUMMARY].mean((2, 3)).float()
        # The experts' inputs and the residual path are different views: no end of the shared part depends on another.
        plain = {level: features[level].view_as(features[level]) for level in read}
        changes = {level: [e(features[level]) for e in self._experts(level)] for level in read}
        with torch.autocast(images.device.type, enabled=False):
            gates = {task: self.gates[task](pooled).softmax(1) for task in tasks}
        return SharedFeatures(
            tasks={
                task: {level: mix(plain[level], changes[level], gates[task]) for level in self.levels[task]}
                for task in tasks
            },
            representation=[pooled, *plain.values(), *(change for level in read for change in changes[level])],
            figures=gate_figures({task: gate.detach() for task, gate in gates.items()}) if self.training else {},
            summary=pooled.detach(),
        )

    def shared_parameters(self) -> list[nn.Parameter]:
        return trainable(self.backbone, self.neck, self.experts)

    def _experts(self, level: str) -> nn.ModuleList:
        experts = self.experts[self.kinds[level][0]]
        assert isinstance(experts, nn.ModuleList)
        return experts


def expert(width: int, inner: int) -> nn.Sequential:
    """What an expert adds to its input [B, width, h, w]: 1x1, 3x3 and 1x1 convolutions, narrower inside."""
    return nn.Sequential(block(width, inner, 1), block(inner, inner, 3), nn.Conv2d(inner, width, 1))


def mix(plain: Tensor, changes: Sequence[Tensor], gate: Tensor) -> Tensor:
    """Features x [B, C, h, w], E tensors b_e(x) like x, gate [B, E] -> x + sum_e g_e b_e(x)."""
    for change, share in zip(changes, gate.to(plain.dtype).unbind(1), strict=True):
        plain = torch.addcmul(plain, share[:, None, None, None], change.to(plain.dtype))
    return plain


def gate_figures(gates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Task -> gates [B, E] of its images: their means, and their mean entropies relative to log E."""
    figures: dict[str, Tensor] = {}
    for task, gate in gates.items():
        figures |= {f"gate_{task}_{e}": mean for e, mean in enumerate(gate.mean(0))}
        figures[f"entropy_{task}"] = torch.special.entr(gate).sum(1).mean() / math.log(gate.shape[1])
    return figures
