"""A hierarchy of tasks: each is supervised at a stage of its own, easier ones lower."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures, summary
from vjo_train.sharing.layers import coarser
from vjo_train.sharing.pyramid import channels, reads_neck, stages_of, steps, trainable
from vjo_train.types import Features


class Hierarchical(Sharing):
    """One backbone; a task's features come from the stages up to its own, and from the task before it.

    After Søgaard & Goldberg 2016, "Deep multi-task learning with low level tasks supervised at lower layers": the loss
    of a task moves no stage above its own. And after HMTL (Sanh, Wolf, Ruder 2019, "A Hierarchical Multi-task Approach
    for Learning Embeddings from Semantic Tasks"): by a shortcut, each task's encoder takes in what the encoder of the
    task before it gives out: the features that the lower head reads, not its predictions. Through it a higher task
    trains the lower encoders too. The paper joins them to the encoder's input by concatenation; here they are added
    after a 1x1 convolution, which in front of a linear layer is the same.

    A task's encoder (`Encoder`) makes the levels above its stage by convolutions of its own, so that every head finds
    all levels at their usual strides and channels, and runs a neck of its own.

    With one task on, only the stages and encoders up to its own are computed. `weighting.at=features` is refused:
    the features of different tasks are different tensors, where gradients never meet.

    Args:
        backbone: images -> `c2`..`c5`, in stages.
        neck: `c2`..`c5` -> `p2`..`p7`; copied for each task that reads one of its levels.
        levels: task -> the features that its head reads.
        difficulty: task -> how hard it is, as `Head.difficulty` says; None: all alike.
        order: the tasks, lower ones first; None: easier ones first, equally hard ones in the order of the heads.
        stages: task -> the level of the backbone that its features are built from, such as `{classification: c4,
            detection: c5}`; None: `c5` for the last task, and one stage less for each one before it, down to `c3`.

    Raises:
        ConfigError: the backbone is not made of stages; `order` or `stages` do not name each task once; a stage is no
            level of the backbone, lies below that of a task before, or is not the highest for the last task; or no
            feature of a task can go on to the next.
    """

    tasks_meet = False

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        difficulty: Mapping[str, int] | None = None,
        order: Sequence[str] | None = None,
        stages: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        stages_of(backbone)
        own, every = channels(backbone), {**channels(backbone), **channels(neck)}
        self.levels = {task: tuple(names) for task, names in levels.items()}
        self.order = tuple(order or sorted(levels, key=lambda task: (difficulty or {}).get(task, 0)))
        if sorted(self.order) != sorted(levels):
            raise ConfigError(f"sharing.order: found {list(self.order)}; must name each of {list(levels)} once.")
        self.stages = dict(stages) if stages is not None else one_below_the_next(self.order, tuple(own))
        check_stages(self.stages, self.order, tuple(own))
        self.backbone = backbone
        self.encoders = nn.ModuleList()
        below: dict[str, int] = {}
        for task in self.order:
            read = self.levels[task]
            own_neck = copy.deepcopy(neck) if reads_neck(backbone, read) else None
            encoder = Encoder(own, steps(backbone), self.stages[task], below, read, own_neck)
            if below and not encoder.shortcuts:
                raise ConfigError(
                    f"sharing.order: nothing goes on to {task}, which builds on {', '.join(encoder.used)}: the task"
                    f" before it reads {', '.join(below)}."
                )
            self.encoders.append(encoder)
            below = {level: every[level] for level in read}

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        pyramid: Features = {}
        below: Features = {}
        found: dict[str, Features] = {}
        ends: list[Tensor] = []

        def end(features: Features) -> Features:
            """Views at which the shared part ends."""
            views = {level: feature.view_as(feature) for level, feature in features.items()}
            ends.extend(views.values())
            return views

        highest = max(self.order.index(task) for task in tasks)
        for task, encoder in zip(self.order[: highest + 1], self.encoders, strict=False):
            alone = task in self._alone
            if alone:
                pyramid, below = end(pyramid), end(below)
            pyramid = self._climb(images, pyramid, self.stages[task])
            below = encoder(pyramid, below)
            if task in tasks:
                found[task] = below if alone else end(below)
        return SharedFeatures(found, ends, summary=summary(pyramid["c5"]) if "c5" in pyramid else None)

    def hard_name(self, name: str) -> str:
        return re.sub(r"^encoders\.\d+\.neck\.", "neck.", name)

    def shared_parameters(self) -> list[nn.Parameter]:
        """The stages up to that of the last task but one, and all encoders but the last task's; of one task, all."""
        if not self._alone:
            return trainable(self)
        common = 1 + list(channels(self.backbone)).index(self.stages[self.order[-2]])
        return trainable(*stages_of(self.backbone)[:common], *self.encoders[:-1])

    @property
    def _alone(self) -> tuple[str, ...]:
        """The last task: what lies above the one before it, it trains alone. None where it is the only one."""
        return self.order[1:][-1:]

    def _climb(self, images: Tensor, pyramid: Features, top: str) -> Features:
        """The pyramid, continued up to the level `top`."""
        pyramid = dict(pyramid)
        for level, stage in zip(channels(self.backbone), stages_of(self.backbone), strict=True):
            if level <= top:
                images = pyramid[level] = pyramid[level] if level in pyramid else stage(images)
        return pyramid


class Encoder(nn.Module):
    """From the stages up to a task's own, and the features of the task before it, to those that its head reads.

    Levels of the backbone above the stage are made one from the other by small strided convolutions, as far up as neck
    or head want them. What comes from below is added to the level of the same stride; `p6` and `p7` have none.

    Args:
        channels: of the backbone's levels.
        steps: level -> cells of the level before per cell of it, along each axis.
        stage: the highest level that is given.
        below: level -> channels of the features of the task before; empty for the first task.
        read: the levels that the head reads.
        neck: `c2`..`c5` -> `p2`..`p7`, if the head reads one of them.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        steps: Mapping[str, int],
        stage: str,
        below: Mapping[str, int],
        read: Sequence[str],
        neck: nn.Module | None,
    ) -> None:
        super().__init__()
        top = max(channels if neck is not None else read)
        self.used = tuple(level for level in channels if level <= top)
        self.read = tuple(read)
        self.above = nn.ModuleDict(
            {
                high: coarser(channels[low], channels[high], steps[high])
                for low, high in pairwise(self.used)
                if high > stage
            }
        )
        self.shortcuts = nn.ModuleDict(
            {
                level: nn.Conv2d(width, channels[same_stride(level)], 1)
                for level, width in below.items()
                if same_stride(level) in self.used
            }
        )
        self.neck = neck

    def forward(self, pyramid: Features, below: Features) -> Features:
        """Levels of the backbone up to the stage, and what the task before reads -> the levels `read`."""
        features: Features = {}
        feature = pyramid[self.used[0]]
        for level in self.used:
            feature = self.above[level](feature) if level in self.above else pyramid[level]
            height, width = feature.shape[2:]
            for name, shortcut in self.shortcuts.items():
                if same_stride(name) == level:
                    # Some backbones round sizes down where the convolutions of the task below have rounded up.
                    feature = feature + shortcut(below[name])[..., :height, :width]
            features[level] = feature
        if self.neck is not None:
            features = features | self.neck(features)
        return {level: features[level] for level in self.read}


def same_stride(level: str) -> str:
    """`p4` -> `c4`: the backbone's name for a level of that stride."""
    return f"c{level[1:]}"


def one_below_the_next(order: Sequence[str], levels: Sequence[str]) -> dict[str, str]:
    """Task -> level: the highest of `levels` for the last task, one less for each before it, down to the second."""
    highest = len(levels) - 1
    return {task: levels[max(1, highest - after)] for after, task in enumerate(reversed(order))}


def check_stages(stages: Mapping[str, str], order: Sequence[str], levels: Sequence[str]) -> None:
    """Checks `sharing.stages` against the tasks in their order and the backbone's levels.

    Raises:
        ConfigError: see `Hierarchical`.
    """
    if sorted(stages) != sorted(order):
        raise ConfigError(f"sharing.stages: found tasks {list(stages)}; must name each of {list(order)}.")
    for task, level in stages.items():
        if level not in levels:
            raise ConfigError(f"sharing.stages.{task}: found {level!r}; must be one of {', '.join(levels)}.")
    for low, high in pairwise(order):
        if stages[low] > stages[high]:
            raise ConfigError(
                f"sharing.stages.{high}: found {stages[high]}, below the {stages[low]} of {low}, which comes before it"
                " in sharing.order; must be no lower."
            )
    if stages[order[-1]] != levels[-1]:
        raise ConfigError(
            f"sharing.stages.{order[-1]}: found {stages[order[-1]]}; must be {levels[-1]} for the last task, since"
            " nothing else would train the stages above."
        )
