"""Which images go with a training step without their labels: a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vjo_train.data.plan import BatchPlan
from vjo_train.data.rounds import Stream
from vjo_train.errors import ConfigError


class UnlabelledPlan:
    """Shuffled rounds over the images that lack the label of some task that is on; each set of tasks has its own.

    Args:
        labelled: task -> the images that are labelled for it.
        images: all training images.
        per_step: images that go with a step, over all ranks.
        seed: of the shuffling.

    Raises:
        ConfigError: every image is labelled for every task.
    """

    def __init__(
        self,
        *,
        labelled: Mapping[str, npt.NDArray[np.int64]],
        images: npt.NDArray[np.int64],
        per_step: int,
        seed: int,
    ) -> None:
        self._missing = {task: np.setdiff1d(images, rows) for task, rows in labelled.items()}
        self._per_step, self._seed = per_step, seed
        self._streams: dict[tuple[str, ...], Stream] = {}
        if not any(len(rows) for rows in self._missing.values()):
            raise ConfigError(
                f"semi: each of the {len(images)} training images is labelled for {', '.join(labelled)}, so there is"
                " nothing to learn without labels; set semi=null, or withhold some by dataset.labels."
            )

    def share(self, step: int, tasks: Sequence[str], rank: int = 0, world: int = 1) -> BatchPlan | None:
        """The images of `rank` that go with `step`; None where no image lacks a label of `tasks`."""
        lacking = tuple(task for task in tasks if len(self._missing[task]))
        if not lacking:
            return None
        if lacking not in self._streams:
            images = np.unique(np.concatenate([self._missing[task] for task in lacking]))
            self._streams[lacking] = Stream("unlabelled/" + "+".join(lacking), images, self._seed)
        samples = self._streams[lacking].batch(step, self._per_step)
        return BatchPlan(step, tuple(tasks), tuple(samples[rank::world]))


class PicturesPlan:
    """Shuffled rounds over all images, whatever they are labelled for.

    Args:
        images: all training images.
        per_step: images that go with a step, over all ranks.
        seed: of the shuffling.
    """

    def __init__(self, images: npt.NDArray[np.int64], per_step: int, seed: int) -> None:
        self._stream, self._per_step = Stream("pictures", images, seed), per_step

    def share(self, step: int, rank: int = 0, world: int = 1) -> BatchPlan:
        """The images of `rank` that go with `step`."""
        return BatchPlan(step, (), tuple(self._stream.batch(step, self._per_step)[rank::world]))
