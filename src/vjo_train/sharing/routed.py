"""Sparsely routed experts: each image goes through a few of them, for each task by a router of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.sharing.features import SharedFeatures, summary
from vjo_train.sharing.hard import HardSharing
from vjo_train.sharing.mmoe import SUMMARY, expert, mix
from vjo_train.sharing.pyramid import channels, kinds, pyramid, read_by, trainable
from vjo_train.sharing.router import Route, Router
from vjo_train.types import Features


class Routed(HardSharing):
    """Hard sharing, and E experts on every level that a head reads, of which an image goes through k for each task.

    Task t sees x + sum_{e in T_t} g_te b_e(x): T_t are the k experts that its router chooses for the image, from its
    averaged c5, g_t the softmax over all E, and b_e a residual bottleneck as in `MMoE`, which is the dense case k = E.
    The levels of the neck share their experts; each level of the backbone that a head reads has its own. An expert
    computes only the images that were sent to it, once for all tasks.

    After "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer" (Shazeer et al. 2017), with
    Switch's gate, which is not normalised over the chosen (Fedus, Zoph, Shazeer 2022), so that k = 1 has a gradient;
    routers by task as in M3ViT (Liang et al. 2022). Loads are kept even without a loss, by a bias on the choice that
    falls where an expert has more than its share ("Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts",
    Wang et al. 2024; here in proportion to the surplus). A loss of the batch's loads would make the gradient of a
    batch differ from that of its parts. There is no noise: an image's way depends on the image alone. See `Router`.

    Experts count as shared parameters; routers are the tasks' own, learn through the gates, and send no gradient down.
    `weighting.at=features` takes the gradients before the experts.

    Cost: k experts per image and task, at most E per image where tasks differ. A compiled or exported network computes
    all E, and comes to the same.

    Figures: `load/<task>_<e>`, the share of the images that expert e sees for the task; all of a task sum to k.

    Args:
        backbone: images -> `c2`..`c5`, with `channels`.
        neck: `c2`..`c5` -> `p2`..`p7`, with `channels`.
        levels: task -> the features that its head reads.
        experts: E.
        top: k.
        reduction: by how much an expert has fewer channels inside than its level.
        balance: how fast loads are evened out: what the bias of an expert with twice its share falls by in a step.

    Raises:
        ConfigError: `top` is greater than `experts`.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        experts: Annotated[int, Ge(2)] = 4,
        top: Annotated[int, Ge(1)] = 2,
        reduction: Annotated[int, Ge(1)] = 4,
        balance: Annotated[float, Ge(0)] = 0.1,
    ) -> None:
        if top > experts:
            raise ConfigError(f"sharing.top: found {top}; must be at most sharing.experts, {experts}.")
        super().__init__(backbone=backbone, neck=neck, levels=levels)
        self.kinds = kinds(backbone, neck, read_by(levels.values()))
        self.experts = nn.ModuleDict(
            {
                kind: nn.ModuleList(expert(width, max(1, width // reduction)) for _ in range(experts))
                for kind, width in sorted(set(self.kinds.values()))
            }
        )
        self.router = Router(tuple(levels), channels(backbone)[SUMMARY], experts, top, balance)
        self.progress: Tensor
        self.register_buffer("progress", torch.zeros((), dtype=torch.float64))

    def start_step(self, progress: float) -> None:
        """Evens out the loads, once the optimizer has taken a step."""
        if progress != float(self.progress):
            self.router.step()
            self.progress.fill_(progress)

    def observe(self, statistics: Mapping[str, Tensor]) -> None:
        self.router.observe(statistics)

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        read = read_by(self.levels[task] for task in tasks)
        features = pyramid(self.backbone, self.neck, images, read)
        pooled = summary(features[SUMMARY])
        with torch.autocast(images.device.type, enabled=False):
            routes = self.router(pooled, tasks)
        own: dict[str, Features] = {task: {} for task in tasks}
        for level in read:
            readers = {task: routes[task] for task in tasks if level in self.levels[task]}
            compute = dense if torch.compiler.is_compiling() else sparse
            for task, found in compute(self._experts(level), features[level], readers).items():
                own[task][level] = found
        return SharedFeatures(
            tasks=own,
            representation=[features[level] for level in read],
            behind=trainable(self.experts),
            figures=load_figures(routes) if self.training else {},
            statistics=self.router.statistics(pooled, routes) if self.training else {},
            summary=pooled,
        )

    def shared_parameters(self) -> list[nn.Parameter]:
        return trainable(self.backbone, self.neck, self.experts)

    def _experts(self, level: str) -> nn.ModuleList:
        experts = self.experts[self.kinds[level][0]]
        assert isinstance(experts, nn.ModuleList)
        return experts


def dense(experts: nn.ModuleList, inputs: Tensor, routes: Mapping[str, Route]) -> dict[str, Tensor]:
    """Every expert on every image.

    Args:
        experts: E of them.
        inputs: [B, C, h, w] that experts see and add to.
        routes: task -> where the images go.

    Returns:
        Task -> [B, C, h, w].
    """
    changes = [one(inputs) for one in experts]
    return {task: mix(inputs, changes, one.gate) for task, one in routes.items()}


def sparse(experts: nn.ModuleList, inputs: Tensor, routes: Mapping[str, Route]) -> dict[str, Tensor]:
    """The same as `dense`, every expert on the images that any task sends to it."""
    chosen = {task: one.chosen.cpu() for task, one in routes.items()}
    mixed = dict.fromkeys(routes, inputs)
    for e, one in enumerate(experts):
        sent = torch.stack([flags[:, e] for flags in chosen.values()]).any(0).nonzero().flatten()
        if not len(sent):
            continue
        change = one(taken(inputs, sent))
        for task, flags in chosen.items():
            own = flags[sent, e].nonzero().flatten()
            if len(own):
                mixed[task] = added(mixed[task], taken(change, own), sent[own], routes[task].gate[:, e])
    return mixed


def taken(tensor: Tensor, which: Tensor) -> Tensor:
    """Some of the first dimension; the tensor itself where they are all."""
    return tensor if len(which) == len(tensor) else tensor.index_select(0, which.to(tensor.device))


def added(features: Tensor, change: Tensor, where: Tensor, gate: Tensor) -> Tensor:
    """[B, C, h, w] with `change` [n, C, h, w] times the gates [B] added at the n images `where`."""
    share = taken(gate, where).to(features.dtype)[:, None, None, None]
    rows = torch.addcmul(taken(features, where), share, change.to(features.dtype))
    return rows if len(where) == len(features) else features.index_copy(0, where.to(features.device), rows)


def load_figures(routes: Mapping[str, Route]) -> dict[str, Tensor]:
    """The share of the images that each expert sees, by task."""
    loads = {task: route.chosen.float().mean(0) for task, route in routes.items()}
    return {f"load/{task}_{e}": share for task, load in loads.items() for e, share in enumerate(load)}
