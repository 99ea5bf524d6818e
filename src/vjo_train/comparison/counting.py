"""Which metrics stand for the tasks of a comparison, and which of them delta_m counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from vjo_train.comparison.delta import delta_weights
from vjo_train.comparison.reading import Run
from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError

Delta: TypeAlias = Literal["monitor", "metrics", "pooled"]
"""What delta_m counts of a task: the metric that stands for it, or all that the field reports: `metrics` takes their
mean, `pooled` the mean over those of all tasks."""


def standing(finished: Sequence[Run], tasks: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Task -> the metric that stands for it.

    Args:
        finished: runs with results.
        tasks: of them all.
        given: task -> the metric that the user wants.

    Raises:
        ConfigError: `given` names a task or a metric that no run has.
    """
    for task in given:
        if task not in tasks:
            raise ConfigError(f"metrics.{task}: no run has this task; must be one of {', '.join(tasks)}.")
    chosen = {}
    for task in tasks:
        results = [run.results for run in finished if run.results is not None and task in run.tasks]
        own = [name.rpartition("/")[2] for r in results for name in r.monitors if name.split("/")[1] == task]
        have = sorted({n.rpartition("/")[2] for r in results for n in r.metrics if n.startswith(f"test/{task}/")})
        metric = given.get(task) or own[0]
        if metric not in have:
            hint = nearest(metric, have) or "."
            raise ConfigError(f"metrics.{task}: found '{metric}'; must be one of {', '.join(have)}{hint}")
        chosen[task] = metric
    return chosen


def counted(
    finished: Sequence[Run],
    chosen: Mapping[str, str],
    given: Collection[str],
    reported: Iterable[str],
    delta: Delta | None,
) -> dict[str, float]:
    """Figure such as `depth/abs_err` -> what its gain weighs in delta_m.

    Args:
        finished: runs with results.
        chosen: task -> the metric that stands for it.
        given: the tasks whose metric the user has named, which counts alone.
        reported: the figures that the field reports.
        delta: what counts of the other tasks; None: as the comparison that made the runs said.
    """
    said = [(run.config.get("compare") or {}).get("delta") for run in finished]
    wanted = delta or next(filter(None, said), "monitor")
    own: dict[str, list[str]] = {}
    for name in reported if wanted != "monitor" else ():
        own.setdefault(name.partition("/")[0], []).append(name.partition("/")[2])
    metrics = {task: [metric] if task in given else own.get(task, [metric]) for task, metric in chosen.items()}
    return delta_weights(metrics, pooled=wanted == "pooled")
