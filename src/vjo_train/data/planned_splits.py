"""Which images of the training and meta splits form the batch of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from vjo_train.data import kept_labels
from vjo_train.data.plan import BatchPlan, Constant, CountedSchedule, Plan
from vjo_train.data.repeat_factors import repeat_factors
from vjo_train.data.splits import Splits
from vjo_train.data.unlabelled import PicturesPlan, UnlabelledPlan
from vjo_train.errors import DataError


class PlannedSplits(Splits):
    """The splits of a data set with the plans of their batches; nothing is loaded here.

    The attributes are those of `DataModule`, which sets them.
    """

    batch_size: int
    labelled_per_batch: int
    labels: Mapping[str, float]
    """Task -> how many of its labels are kept (see `kept_labels`)."""
    unlabelled_per_step: int
    """Images that go with a step because they lack a label; 0: none."""
    pictures_per_step: int
    """Images that go with a step without labels; 0: none."""
    planned: dict[str, frozenset[str]]
    """Task -> the kinds that make an image labelled, for all tasks that the batches are made for."""
    keep_unlabelled: bool
    repeat_threshold: float | None
    schedule: CountedSchedule | None
    meta_tasks: tuple[str, ...]
    meta_every: int
    start_step: int
    """The number of the batch at which the next training epoch begins (or goes on); set it to resume."""
    _plan: Plan | None
    _meta_plan: Plan | None
    _unlabelled_plan: UnlabelledPlan | None
    _pictures_plan: PicturesPlan | None

    @property
    def _place(self) -> tuple[int, int]:
        """This process's rank, and the number of ranks."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    @property
    def training_labels(self) -> dict[str, npt.NDArray[np.int64]]:
        """Planned task -> the training images whose label for it is kept.

        Raises:
            DataError: `dataset.labels` asks for more than there are.
        """
        labelled = {task: self.labelled_rows(self.train_rows, needs) for task, needs in self.planned.items()}
        return kept_labels.kept(self.labels, labelled, self.seed)

    def labels_shown(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Task of `labels` -> [I] bool: the images of the index whose label it may see."""
        kept = self.training_labels if self.labels else {}
        shown = {task: np.ones(len(self.index), np.bool_) for task in self.labels}
        for task, flags in shown.items():
            flags[np.setdiff1d(self.train_rows, kept[task])] = False
        return shown

    @property
    def plan(self) -> Plan:
        """Which images form the batch of a step.

        Raises:
            DataError: a task has no labelled image in the training split.
            ConfigError: the batch is too small for the tasks.
        """
        if self._plan is None:
            if self.schedule is None:
                raise RuntimeError("DataModule.set_tasks must be called before training data is asked for.")
            labelled = self.training_labels
            self.schedule.set_counts({task: len(rows) for task, rows in labelled.items()})
            self._plan = Plan(
                labelled=labelled,
                schedule=self.schedule,
                batch_size=self.batch_size,
                labelled_per_batch=self.labelled_per_batch,
                seed=self.seed,
                num_images=len(self.train_rows),
                trained=tuple(self.needs),
                keep_unlabelled=self.keep_unlabelled,
                weights=self.image_weights(labelled),
            )
        return self._plan

    def image_weights(self, labelled: Mapping[str, npt.NDArray[np.int64]]) -> npt.NDArray[np.float64] | None:
        """[I] above 0: how often each image comes in training, relative to the others; None: equally often.

        Args:
            labelled: planned task -> its labelled training images, whose classes `repeat_threshold` goes by.
        """
        weights = self.source.weights(self.index)
        if self.repeat_threshold is None:
            return weights
        rows = np.unique(np.concatenate(list(labelled.values())))
        factors = repeat_factors(self.shown(rows), len(self.index), len(rows), self.repeat_threshold)
        return factors if weights is None else weights * factors

    def batch_plan(self, step: int, rank: int = 0, world: int = 1) -> BatchPlan:
        """The share of `rank` in the training batch of `step`, and in the batches that go with it.

        The n-th batch of the meta split goes with step n * `meta_every`; it is as large as a training batch.
        """
        planned = self.plan.share(step, rank, world)
        if self.unlabelled_per_step:
            planned = replace(planned, unlabelled=self.unlabelled_plan.share(step, planned.tasks, rank, world))
        if self.pictures_per_step:
            planned = replace(planned, pictures=self.pictures_plan.share(step, rank, world))
        if not self.meta_tasks or step % self.meta_every:
            return planned
        return replace(planned, meta=replace(self.meta_plan.share(step // self.meta_every, rank, world), step=step))

    @property
    def unlabelled_plan(self) -> UnlabelledPlan:
        """Which images that lack a label go with a step.

        Raises:
            ConfigError: none lacks one.
        """
        if self._unlabelled_plan is None:
            kept = self.training_labels
            self._unlabelled_plan = UnlabelledPlan(
                labelled={task: kept[task] for task in self.needs},
                images=self.train_rows,
                per_step=self.unlabelled_per_step,
                seed=self.seed,
            )
        return self._unlabelled_plan

    @property
    def pictures_plan(self) -> PicturesPlan:
        """Which images go with a step without labels: rounds over all of the training split, labelled or not."""
        if self._pictures_plan is None:
            self._pictures_plan = PicturesPlan(self.train_rows, self.pictures_per_step, self.seed)
        return self._pictures_plan

    @property
    def meta_plan(self) -> Plan:
        """Which images of the meta split go with a step.

        Raises:
            DataError: none of them is labelled for one of the tasks.
        """
        if self._meta_plan is None:
            labelled = {task: self.labelled_rows(self.meta_rows, self.needs[task]) for task in self.meta_tasks}
            for task, rows in labelled.items():
                if not len(rows):
                    raise DataError(
                        f"dataset.meta_fraction: none of the {len(self.meta_rows)} images that {self.meta_fraction} of"
                        f" '{self.split}' gives is labelled for {task}; must be more."
                    )
            self._meta_plan = Plan(
                labelled=labelled,
                schedule=Constant(self.meta_tasks),
                batch_size=self.batch_size,
                labelled_per_batch=self.labelled_per_batch,
                seed=self.seed,
                num_images=len(self.meta_rows),
            )
        return self._meta_plan


class EpochSampler(Sampler[BatchPlan]):
    """This rank's turns from `start_step` to the end of its epoch; the next iteration goes on after it."""

    def __init__(self, data: PlannedSplits, rank: int, world: int) -> None:
        self._data, self._rank, self._world = data, rank, world

    def __iter__(self) -> Iterator[BatchPlan]:
        # A generator, so that nothing moves before the first turn is taken: torch's loader calls iter() twice.
        plan, first = self._data.plan, self._data.start_step
        end = (first // plan.steps_per_epoch + 1) * plan.steps_per_epoch
        self._data.start_step = end
        for step in range(first, end):
            yield self._data.batch_plan(step, self._rank, self._world)

    def __len__(self) -> int:
        return self._data.plan.steps_per_epoch
