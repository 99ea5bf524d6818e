"""Which images form the batch of a step: a pure function of (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vjo_train.data.rounds import Sample, Stream
from vjo_train.errors import ConfigError, DataError


class TaskSchedule(Protocol):
    """What the plan asks of a schedule."""

    def tasks(self, step: int, epoch: int) -> tuple[str, ...]:
        """The tasks that are on at a step; a pure function."""
        ...


class CountedSchedule(TaskSchedule, Protocol):
    """A schedule that may go by how many images there are."""

    def set_counts(self, labelled: Mapping[str, int]) -> None:
        """Tells, before the first step, how many images of the training split are labelled for each task."""
        ...


@dataclass(frozen=True)
class BatchPlan:
    """One batch to load."""

    step: int
    """The number of the batch since the start of training; -1 in evaluation."""
    tasks: tuple[str, ...]
    samples: tuple[Sample, ...]
    meta: BatchPlan | None = None
    """The held-out images that go with it."""
    unlabelled: BatchPlan | None = None
    """The images that go with it because they lack a label."""
    pictures: BatchPlan | None = None
    """The images that go with it without labels, for self-supervised tasks."""


@dataclass(frozen=True)
class Constant:
    """The schedule of a plan whose tasks are always on."""

    always: tuple[str, ...]

    def tasks(self, step: int, epoch: int) -> tuple[str, ...]:
        """The same ones at any step."""
        return self.always


class Plan:
    """The batches of a training run, without end.

    The images of a step come from those that are labelled for any task that is on, in shuffled rounds; every
    different set of tasks has its own rounds, and goes on where it stopped at its own last turn. Where fewer than
    `labelled_per_batch` of them are labelled for a task that is on, the last images of the batch that no task needs
    give way to images from rounds over this task's own images.

    Args:
        labelled: task -> numbers of the images that are labelled for it.
        schedule: which tasks are on at a step.
        batch_size: images per step, over all ranks.
        labelled_per_batch: at least so many images of a batch are labelled for each task that is on.
        seed: of all shuffling.
        num_images: images of the training split, which gives the length of an epoch.
        trained: the tasks that are trained; None: all of `labelled`. The batches are still those of all tasks: a task
            alone gets the images that it gets among the others.
        weights: by the number of an image, above 0: how often it comes, relative to the others; None: equally often.
        keep_unlabelled: whether images that no trained task is labelled for stay in their batch. They change nothing
            but the statistics of batch norm, and the time it takes.

    Raises:
        DataError: a task has no labelled image.
        ConfigError: the tasks that are on ask for more images than a batch holds.
    """

    def __init__(
        self,
        *,
        labelled: Mapping[str, npt.NDArray[np.int64]],
        schedule: TaskSchedule,
        batch_size: int,
        labelled_per_batch: int,
        seed: int,
        num_images: int,
        trained: Sequence[str] | None = None,
        keep_unlabelled: bool = True,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        for task, images in labelled.items():
            if not len(images):
                raise DataError(
                    f"heads.{task}: none of the {num_images} training images is labelled for it; "
                    "choose another dataset.split, or leave this head out."
                )
        self.schedule, self.batch_size, self.labelled_per_batch = schedule, batch_size, labelled_per_batch
        self.steps_per_epoch = max(1, math.ceil(num_images / batch_size))
        self.trained, self.keep_unlabelled = tuple(labelled if trained is None else trained), keep_unlabelled
        self._seed, self._weights = seed, weights
        self._images = {task: np.unique(images) for task, images in labelled.items()}
        highest = max(int(images[-1]) for images in self._images.values())
        self._is_labelled = {task: np.isin(np.arange(highest + 1), images) for task, images in self._images.items()}
        self._own = {task: Stream(f"own/{task}", images, seed, weights) for task, images in self._images.items()}
        self._pools: dict[tuple[str, ...], Stream] = {}
        self._scarcest: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._turns: dict[tuple[str, ...], int] = {}
        self._used = dict.fromkeys(self._images, 0)
        self._before: list[tuple[int, dict[str, int]]] = []
        self._seen = (0, dict.fromkeys(self.trained, 0))
        self.tasks_checked(0)

    def tasks(self, step: int) -> tuple[str, ...]:
        """The tasks that are on."""
        return self.schedule.tasks(step, step // self.steps_per_epoch)

    def batch(self, step: int) -> list[Sample]:
        """The GLOBAL batch of `step` (from 0); rank r takes `[r::world]`."""
        while len(self._before) <= step:
            self._advance()
        tasks = self.tasks(step)
        turn, used = self._before[step]
        return self._compose(tasks, turn, used)[0]

    @property
    def labelled(self) -> dict[str, int]:
        """Task -> how many images are labelled for it."""
        return {task: len(images) for task, images in self._images.items()}

    def seen(self, steps: int) -> dict[str, int]:
        """Served task -> labelled images in the first `steps` batches, where it was on, each as often as it comes."""
        done, counts = self._seen if self._seen[0] <= steps else (0, dict.fromkeys(self.trained, 0))
        for step in range(done, steps):
            images = [draw.image for draw in self.batch(step)]
            on = [task for task in self.tasks(step) if task in self.trained]
            counts = counts | {task: counts[task] + int(self._is_labelled[task][images].sum()) for task in on}
        self._seen = (steps, counts)
        return dict(counts)

    def share(self, step: int, rank: int = 0, world: int = 1) -> BatchPlan:
        """The share of `rank` in what the trained tasks get of the batch of `step`.

        Raises:
            ConfigError: no trained task is on, or there are fewer images than ranks.
        """
        tasks = tuple(task for task in self.tasks(step) if task in self.trained)
        if not tasks:
            raise ConfigError(f"single: {self.trained[0]} is not on at every step; a single task needs schedule=joint.")
        draws = [draw for draw in self.batch(step) if self.keep_unlabelled or self._serves(draw, tasks)]
        if len(draws) < world:
            raise ConfigError(
                f"dataset.labelled_per_batch: batch {step} holds {len(draws)} images for {world} ranks; must be at "
                f"least {world}."
            )
        return BatchPlan(step, tasks, tuple(draws[rank::world]))

    def _serves(self, draw: Sample, tasks: Sequence[str]) -> bool:
        return any(bool(self._is_labelled[task][draw.image]) for task in tasks)

    def tasks_checked(self, step: int) -> tuple[str, ...]:
        """The tasks that are on, after the check that a batch can hold their images.

        Raises:
            ConfigError: it cannot.
        """
        tasks = self.tasks(step)
        number = len(self._scarce(tasks))
        most = self.batch_size // number
        if most == 0:
            raise ConfigError(
                f"dataset.batch_size: found {self.batch_size} for {number} tasks that differ in their labelled images; "
                f"must be at least {number}."
            )
        if self.labelled_per_batch > most:
            raise ConfigError(
                f"dataset.labelled_per_batch: found {self.labelled_per_batch} for {number} tasks that differ in their "
                f"labelled images, but dataset.batch_size is {self.batch_size}; must be at most {most}."
            )
        return tasks

    def _advance(self) -> None:
        """Remembers where every sequence stands before the next step that has not been planned yet."""
        tasks = self.tasks_checked(len(self._before))
        turn = self._turns.get(tasks, 0)
        self._before.append((turn, self._used))
        self._turns[tasks] = turn + 1
        if any(len(self._images[task]) < len(self._pool(tasks).images) for task in tasks):
            self._used = self._compose(tasks, turn, self._used)[1]

    def _pool(self, tasks: tuple[str, ...]) -> Stream:
        if tasks not in self._pools:
            images = np.unique(np.concatenate([self._images[task] for task in tasks]))
            self._pools[tasks] = Stream("pool/" + "+".join(tasks), images, self._seed, self._weights)
        return self._pools[tasks]

    def _scarce(self, tasks: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the tasks whose images do not hold all those of another one and more; of equal ones the first.

        Where they have their images in a batch, so have the others.
        """
        if tasks not in self._scarcest:
            chosen: list[str] = []
            for task in tasks:
                own = self._is_labelled[task]
                inside = [other for other in tasks if not (self._is_labelled[other] & ~own).any()]
                smaller = any(len(self._images[other]) < len(self._images[task]) for other in inside)
                if not smaller and not any(other in chosen for other in inside):
                    chosen.append(task)
            self._scarcest[tasks] = tuple(chosen)
        return self._scarcest[tasks]

    def _compose(self, tasks: tuple[str, ...], turn: int, used: dict[str, int]) -> tuple[list[Sample], dict[str, int]]:
        """The batch of the `turn`-th step of these tasks, and how far each task's own sequence is used after it.

        A place can be given up if each scarce task it serves has more images than it needs. Such a place always
        exists: the places that cannot be given up serve scarce tasks with `labelled_per_batch` images or fewer, and
        with one of them still short they number less than `labelled_per_batch * len(scarce) <= batch_size`.
        """
        pool, scarce = self._pool(tasks), self._scarce(tasks)
        draws = pool.batch(turn, self.batch_size)
        need = self.labelled_per_batch
        counts = {task: sum(bool(self._is_labelled[task][draw.image]) for draw in draws) for task in scarce}
        if min(counts.values()) >= need:
            return draws, used
        used = dict(used)
        for task in scarce:
            while counts[task] < need:
                place = next(
                    place
                    for place in reversed(range(len(draws)))
                    if all(counts[t] > need for t in scarce if self._is_labelled[t][draws[place].image])
                )
                new = self._own[task][used[task]]
                used[task] += 1
                for other in scarce:
                    trained = self._is_labelled[other]
                    counts[other] += int(trained[new.image]) - int(trained[draws[place].image])
                draws[place] = new
        return draws, used
