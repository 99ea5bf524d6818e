"""Training on some of the labels that a data set has: pure functions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError, DataError

Rows = npt.NDArray[np.int64]


def check_tasks(labels: Mapping[str, float], tasks: Mapping[str, object]) -> None:
    """Checks the tasks that `dataset.labels` names.

    Raises:
        ConfigError: there is no such head.
    """
    for task in labels:
        if task not in tasks:
            hint = nearest(task, list(tasks)) or "."
            raise ConfigError(f"dataset.labels: found '{task}'; must be one of the heads {', '.join(tasks)}{hint}")


def kept(labels: Mapping[str, float], labelled: Mapping[str, Rows], seed: int) -> dict[str, Rows]:
    """Task -> the images that keep their label for it; those of a task that `labels` does not name keep all.

    All tasks take the first of their images in one order, drawn by the seed. So the images of a smaller share lie in
    those of a larger one, and tasks have their labels on the same images as far as they can.

    Args:
        labels: task -> a share (a number with a point, above 0 to 1) or a number of images (a whole number).
        labelled: task -> the images that are labelled for it, in ascending order.
        seed: of the order.

    Raises:
        DataError: more images than there are.
    """
    chosen = dict(labelled)
    for task, amount in labels.items():
        rows = labelled[task]
        number = amount if isinstance(amount, int) else max(1, round(amount * len(rows)))
        if number > len(rows):
            raise DataError(
                f"dataset.labels.{task}: found {number}; {len(rows)} training images are labelled for it"
                " (1.0 keeps them all)."
            )
        places = np.random.default_rng([seed, *b"labels"]).random(int(rows[-1]) + 1 if len(rows) else 0)
        chosen[task] = np.sort(rows[np.argsort(places[rows], kind="stable")[:number]])
    return chosen
