"""AdaShare (Sun, Panda, Feris, Saenko 2020, "Learning What To Share For Efficient Deep Multi-Task Learning")."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures, summary
from vjo_train.sharing.policy import (
    Policy,
    Way,
    annealed,
    checked,
    disagreement,
    key_of,
    logistic_noise,
    relaxed,
    run_figures,
    sparsity,
)
from vjo_train.sharing.pyramid import channels, reads_neck, trainable, views
from vjo_train.sharing.residual import blended, is_block, rows_of, run
from vjo_train.types import Features

log = logging.getLogger("vjo_train")

START = 2.0
"""Log-odds of a block at the start: it is run with a chance of 0.88."""


class AdaShare(Sharing):
    """One ResNet, of which each task chooses the residual blocks that it runs.

    Task k sees x_l = relu(s_l(x_{l-1}) + u_kl F_l(x_{l-1})): F_l is a block's change, s_l its shortcut (with the
    projection, where it has one), u_kl in {0, 1} the task's policy. While it is sought, u is a sample of Gumbel-softmax
    from the log-odds a_kl at a falling temperature, drawn for each step of the optimizer, and two losses of the sharing
    are added to the task losses: `sparsity` times the mean of log P(run) over tasks and blocks (negative: fewer blocks,
    lower), and `sharing` times the mean over pairs of tasks of (L - l) / L |P_i(l) - P_j(l)|, so that tasks run the
    same blocks, early ones above all. Only tasks that are on count.

    A run has three parts: up to the share `warmup` of the training all blocks are run; up to `fixed` the policy is
    sought, at `temperature` to `final_temperature`; then each task runs the blocks with a_kl > 0, the policy moves no
    more, and the weights are trained as they will be used. `policy` fixes it from the start, to train the structure
    that a run has found from new weights, as the paper does. Evaluation and export always run the decided blocks only.

    Unlike the paper, weights and policy learn from the same images; all blocks are sought at once; and the losses are
    means.

    Backbone, neck and log-odds count as shared parameters, though a task trains its own log-odds alone, since they act
    before the place where its features end; they learn at `lr_factor` times the rate and without decay.
    `weighting.at=features` is refused: while the policy is sought, tasks end at tensors of their own.

    Cost: while it is sought, one pass of the backbone for each task; afterwards each distinct path is computed once,
    tasks that have run the same blocks so far sharing it, and one pass of the neck for each distinct end. With a fixed
    policy, the blocks that no task runs cost nothing.

    Figures: `run/<task>`, the share of the blocks that the task would run as the policy stands.

    Args:
        backbone: images -> `c2`..`c5`, in stages of residual blocks.
        neck: `c2`..`c5` -> `p2`..`p7`.
        levels: task -> the features that its head reads. Blocks past them are not run.
        policy: task -> for each block 1 (run) or 0 (skip), such as `{classification: [1, 1, 0, 1], ..}`; None: sought.
        warmup: see above.
        fixed: see above.
        sparsity: see above.
        sharing: see above.
        temperature: see above.
        final_temperature: see above.
        lr_factor: the log-odds' learning rate relative to `optimizer.lr`.
        seed: of the samples.
        absent: heads of the config that are not built, in a single-task run; `policy` may name them.

    Raises:
        ConfigError: the backbone is no ResNet, `fixed` is not after `warmup`, or `policy` does not name every task and
            block.
    """

    tasks_meet = False

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        policy: Mapping[str, Sequence[int]] | None = None,
        warmup: Annotated[float, Interval(ge=0, le=1)] = 0.2,
        fixed: Annotated[float, Interval(gt=0, le=1)] = 0.7,
        sparsity: Annotated[float, Ge(0)] = 0.05,
        sharing: Annotated[float, Ge(0)] = 0.05,
        temperature: Annotated[float, Gt(0)] = 5.0,
        final_temperature: Annotated[float, Gt(0)] = 0.5,
        lr_factor: Annotated[float, Gt(0)] = 10.0,
        seed: Annotated[int, Ge(0)] = 0,
        absent: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if fixed <= warmup:
            raise ConfigError(f"sharing.fixed: found {fixed}; must be after sharing.warmup, {warmup}.")
        self.rows = rows_of(backbone)
        self.backbone, self.neck = backbone, neck
        self.levels = {task: tuple(names) for task, names in levels.items()}
        count = sum(is_block(layer) for row in self.rows for layer in row)
        self.ways = {task: (True,) * count for task in levels}
        self.given = policy is not None
        if policy is not None:
            self.ways = checked(policy, tuple(levels), absent, count)
        self.policies = nn.ModuleDict({task: Policy(count, START, lr_factor) for task in levels})
        for task in levels if self.given else ():
            signs = torch.tensor([1.0 if run else -1.0 for run in self.ways[task]])
            self._policy(task).logits = nn.Parameter(START * signs, requires_grad=False)
        self.weights = {"sparsity": sparsity, "sharing": sharing}
        self.span, self.temperatures, self.seed = (warmup, fixed), (temperature, final_temperature), seed
        self.progress, self.temperature = 0.0, temperature
        self.noise: dict[str, Tensor] = {}
        self.start_step(0.0)
        self.register_load_state_dict_post_hook(lambda module, _: module.decide())  # type: ignore[no-untyped-call]

    def start_step(self, progress: float) -> None:
        """Sets the temperature and draws the noise of the step."""
        warmup, fixed = self.span
        ends = not self.given and self.progress < fixed <= progress
        self.progress = progress
        self.temperature = annealed((progress - warmup) / (fixed - warmup), *self.temperatures)
        for place, task in enumerate(self.levels):
            self.noise[task] = logistic_noise((self.seed, key_of(progress), place), len(self.ways[task]))
        if not self._sought:
            self.decide()
        if ends:
            found = ", ".join(f"{task}: {[int(run) for run in way]}" for task, way in self.ways.items())
            log.info("The policy is fixed; from new weights: 'sharing.policy={%s}'", found)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.decide()
        return self

    def decide(self) -> None:
        """Reads from the log-odds which blocks each task runs."""
        if not self.given and not next(self.parameters()).is_meta:
            self.ways = {task: self._policy(task).decided() for task in self.levels}

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        sought = self.training and self._sought
        own = self._relaxed(images, tasks) if sought else self._decided(images, tasks)
        ends = {id(feature): feature for features in own.values() for feature in features.values()}
        found = self._with_neck(own, tasks)
        tops = {id(features["c5"]): summary(features["c5"]) for features in own.values() if "c5" in features}
        policies = {task: self._policy(task).logits for task in tasks}
        return SharedFeatures(
            tasks=found,
            representation=list(ends.values()),
            behind=trainable(self.neck) if any(reads_neck(self.backbone, self.levels[t]) for t in tasks) else [],
            auxiliary=self._losses(policies) if sought else {},
            figures=run_figures(policies) if self.training and not self.given else {},
            summary=torch.stack(list(tops.values())).mean(0) if tops else None,
        )

    def shared_parameters(self) -> list[nn.Parameter]:
        return trainable(self.backbone, self.neck, self.policies)

    @property
    def _sought(self) -> bool:
        """Whether the policy is being sought."""
        return not self.given and self.span[0] <= self.progress < self.span[1]

    def _policy(self, task: str) -> Policy:
        policy = self.policies[task]
        assert isinstance(policy, Policy)
        return policy

    def _losses(self, policies: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            "sparsity": self.weights["sparsity"] * sparsity(policies),
            "sharing": self.weights["sharing"] * disagreement(policies),
        }

    def _stages(self, task: str) -> int:
        """How many stages a task needs."""
        names, own = self.levels[task], list(channels(self.backbone))
        return len(own) if reads_neck(self.backbone, names) else 1 + max(own.index(level) for level in names)

    def _relaxed(self, images: Tensor, tasks: Sequence[str]) -> dict[str, Features]:
        """Every task's own pass, with samples of its policy."""
        found: dict[str, Features] = {}
        for task in tasks:
            logits = self._policy(task).logits
            samples = iter(relaxed(logits, self.noise[task].to(logits.device), self.temperature))
            features: Features = {}
            x = images
            for level, row in zip(channels(self.backbone), self.rows[: self._stages(task)], strict=False):
                for layer in row:
                    x = blended(layer, x, next(samples)) if is_block(layer) else layer(x)
                features[level] = x
            found[task] = views(features)
        return found

    def _decided(self, images: Tensor, tasks: Sequence[str]) -> dict[str, Features]:
        """Each distinct path once; tasks of one path get the same tensors."""
        searching = self.training and not self.given and self.progress < self.span[0]
        ways = {task: (True,) * len(way) if searching else way for task, way in self.ways.items()}
        maps: dict[Way, Tensor] = {(): images}
        found: dict[str, Features] = {task: {} for task in tasks}
        done = 0
        for place, (level, row) in enumerate(zip(channels(self.backbone), self.rows, strict=True)):
            on = [task for task in tasks if self._stages(task) > place]
            for layer in row:
                done += is_block(layer)
                taken = {ways[task][:done] for task in on}
                maps = {way: advanced(layer, maps, way) for way in sorted(taken)}
            ends = {way: x.view_as(x) for way, x in maps.items()}
            for task in on:
                found[task][level] = ends[ways[task][:done]]
        return found

    def _with_neck(self, own: Mapping[str, Features], tasks: Sequence[str]) -> dict[str, Features]:
        """The levels of the neck beside those of the backbone, made once for tasks of one path."""
        found = {task: dict(features) for task, features in own.items()}
        readers = [task for task in tasks if reads_neck(self.backbone, self.levels[task])]
        groups: dict[Any, list[str]] = {}
        for task in readers:
            groups.setdefault(tuple(id(feature) for feature in own[task].values()), []).append(task)
        for group in groups.values():
            read = {level for task in group for level in self.levels[task]}
            made = self.neck(own[group[0]], read)
            found |= {task: found[task] | made for task in group}
        return found


def advanced(layer: nn.Module, maps: Mapping[Way, Tensor], way: Way) -> Tensor:
    """What a layer gives on the path `way`, which is as long as there are blocks up to it."""
    return run(layer, maps[way[:-1]], way[-1]) if is_block(layer) else run(layer, maps[way], True)
