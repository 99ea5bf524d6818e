"""A tree of shared stages: tasks part where they no longer help each other."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures, summary
from vjo_train.sharing.pyramid import NECK, channels, reads_neck, stages_of, trainable
from vjo_train.sharing.tree import KEY, Groups, tree
from vjo_train.types import Features


class Branched(Sharing):
    """The stages of the backbone and the neck as a tree: each group of tasks has a copy of its own of what lies there.

    After "Branched Multi-Task Networks: Deciding What Layers To Share" (Vandenhende, Georgoulis, De Brabandere, Van
    Gool 2020). With groups G_1(s), G_2(s), .. at stage s, each inside a group of the stage before, a task in G_i(s)
    sees x_s = f_s,i(x_{s-1}). A tree without branches is hard sharing; tasks parted from `c2` on are networks of their
    own. All copies of a stage start alike, and frozen stages stay frozen in each. What no task of a group reads is left
    out.

    A copy is trained by the tasks of its group, and is a shared parameter where these are several. Gradients of all
    tasks meet at the last stage that has one copy, where `weighting.at=features` takes them; it is refused where the
    tree parts tasks at `c2`.

    Cost: each further copy of a stage costs that stage once more, in time and parameters. Only the path to the tasks
    that are on is computed.

    Args:
        backbone: images -> `c2`..`c5`, in stages.
        neck: `c2`..`c5` -> `p2`..`p7`.
        levels: task -> the features that its head reads.
        branches: a stage (`c2`..`c5`) or `neck` -> the groups of tasks from there on, such as `{c4: [[classification],
            [detection, semantic]], neck: [[classification], [detection], [semantic]]}`; before the first, all tasks
            are one group. None: each task has its last stage and its neck for itself.
        absent: heads of the config that are not built, in a single-task run; `branches` may name them.

    Raises:
        ConfigError: the backbone is not made of stages; groups that are no tree of the tasks (see `tree.tree`); or a
            tree that shares nothing.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        branches: Mapping[str, Sequence[Sequence[str]]] | None = None,
        absent: Sequence[str] = (),
    ) -> None:
        super().__init__()
        stages_of(backbone)
        self.stages = tuple(channels(backbone))
        self.levels = {task: tuple(names) for task, names in levels.items()}
        alone = {self.stages[-1]: [[task] for task in levels]}
        given = alone if branches is None else branches
        self.tree = tree(given, tuple(levels), (*self.stages, NECK), absent)
        if len(levels) > 1 and all(len(group) == 1 for group in self.tree[self.stages[0]]):
            raise ConfigError(
                f"{KEY}.{self.stages[0]}: found every task alone, so that nothing would be shared; train them apart"
                " (single=TASK), or part them later."
            )
        self.tasks_meet = len(self.tree[self.stages[0]]) == 1
        self._reading = {task for task, names in levels.items() if reads_neck(backbone, names)}
        self.nodes = nodes(
            {stage: self.tree[stage] for stage in self.stages},
            {task: len(self.stages) if task in self._reading else self._top(names) for task, names in levels.items()},
        )
        # The names hold `backbone.`, so that `optimizer.backbone_lr_factor` finds them.
        self.backbone = nn.ModuleList(
            _with_stages(backbone, {node.place for node in self.nodes if node.column == column})
            for column in range(len(self.tree[self.stages[-1]]))
        )
        readers = [tuple(task for task in group if task in self._reading) for group in self.tree[NECK]]
        self.readers: Groups = tuple(group for group in readers if group)
        self.necks = nn.ModuleList(copy.deepcopy(neck) for _ in self.readers)

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        features: dict[str, Features] = {task: {} for task in tasks}
        raw: dict[str, Tensor] = {}
        ends: list[Tensor] = []
        tops: list[Tensor] = []
        for node in self.nodes:
            on = [task for task in node.tasks if task in features]
            if not on:
                continue
            level = self.stages[node.place]
            before = features[on[0]].get(self.stages[node.place - 1], images) if node.place else images
            found = self._stage(node)(raw[on[0]] if node.meeting and node.place else before)
            if node.meeting:
                raw |= dict.fromkeys(on, found)
                # A view, so that a level beside those built from it ends the shared part as a tensor of its own.
                found = found.view_as(found)
                ends.append(found)
            if node.place == len(self.stages) - 1:
                tops.append(summary(found))
            for task in on:
                features[task][level] = found
        for neck, group in zip(self.necks, self.readers, strict=True):
            if on := [task for task in group if task in features]:
                read = {level for task in on for level in self.levels[task]}
                made = neck(features[on[0]], read)
                features |= {task: features[task] | made for task in on}
        return SharedFeatures(
            tasks=features,
            representation=ends,
            behind=trainable(*self._behind()),
            summary=torch.stack(tops).mean(0) if tops else None,
        )

    def hard_name(self, name: str) -> str:
        return re.sub(r"^(backbone|neck)s?\.\d+\.", r"\1.", name)

    def shared_parameters(self) -> list[nn.Parameter]:
        """The copies that several tasks train; with a single task, all."""
        meeting = [self._stage(node) for node in self.nodes if node.meeting]
        return trainable(*meeting, *self._behind())

    def parameters_by_depth(self) -> list[list[nn.Parameter]]:
        """The stages, each with all of its copies."""
        copies = [[self._stage(node) for node in self.nodes if node.place == i] for i in range(len(self.stages))]
        return [[p for stage in stages for p in stage.parameters()] for stages in copies]

    def _behind(self) -> list[nn.Module]:
        """What several tasks train past the place where the gradients of all meet."""
        several = min(2, len(self.levels))
        later = [self._stage(node) for node in self.nodes if not node.meeting and len(node.tasks) >= several]
        return [*later, *(neck for neck, group in zip(self.necks, self.readers, strict=True) if len(group) >= several)]

    def _stage(self, node: Node) -> nn.Module:
        return stages_of(self.backbone[node.column])[node.place]

    def _top(self, names: Sequence[str]) -> int:
        """How many stages a head needs that reads no level of the neck."""
        return 1 + max(self.stages.index(level) for level in names)


@dataclass(frozen=True)
class Node:
    """One copy of a stage.

    Attributes:
        place: of the stage, counted from the image.
        column: the copy of the backbone that holds it.
        tasks: that train it.
        meeting: whether the gradients of all tasks of its part of the tree still meet here.
    """

    place: int
    column: int
    tasks: tuple[str, ...]
    meeting: bool


def nodes(partitions: Mapping[str, Groups], needed: Mapping[str, int]) -> list[Node]:
    """The copies of the stages, from the image on, without those that no task needs.

    Args:
        partitions: stage -> its groups of tasks.
        needed: task -> how many stages it needs.
    """
    roots, *_ = partitions.values()
    *_, leaves = partitions.values()
    several = min(2, len(needed))
    found = []
    for place, groups in enumerate(partitions.values()):
        for group in groups:
            users = tuple(task for task in group if needed[task] > place)
            if users:
                column = next(i for i, leaf in enumerate(leaves) if set(leaf) <= set(group))
                found.append(Node(place, column, users, meeting=groups == roots and len(users) >= several))
    return found


def _with_stages(backbone: nn.Module, kept: set[int]) -> nn.Module:
    """A copy of `backbone` that has only some of its stages."""
    left_out = {id(stage): nn.Identity() for place, stage in enumerate(stages_of(backbone)) if place not in kept}
    return copy.deepcopy(backbone, left_out)
