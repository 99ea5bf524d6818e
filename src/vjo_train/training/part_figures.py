"""Test figures of each data set of a mixture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from vjo_train.runs.records import TaskRecords


def part_figures(
    tasks: Mapping[str, TaskRecords], part_of: Callable[[str], str], names: Collection[str]
) -> dict[str, dict[str, float]]:
    """Part -> `test/<task>/<metric>`, and `test/<task>/images`, over its images alone; empty where there is but one.

    Args:
        tasks: what the test kept.
        part_of: the part of an image, by its id.
        names: the figures of the whole test; others are left out.
    """
    figures: dict[str, dict[str, float]] = {}
    for task, known in tasks.items():
        owners = np.array([part_of(name) for name in known.ids])
        for part in np.unique(owners).tolist():
            own = (owners == part).astype(np.int64)
            found = {f"test/{task}/{metric}": value for metric, value in known.records.resampled(own[None]).items()}
            kept = {name: float(value[0]) for name, value in found.items() if name in names}
            figures.setdefault(part, {}).update(kept | {f"test/{task}/images": float(own.sum())})
    return figures if len(figures) > 1 else {}
