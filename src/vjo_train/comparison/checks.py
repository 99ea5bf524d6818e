"""What must hold for a comparison to be fair, and what is said where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vjo_train.comparison.reading import Run
from vjo_train.errors import DataError

OWN = {"seed", "single", "weighting", "sharing", "compare", "name", "logger", "schedule", "semi", "helpers"}
"""Parts of the config in which methods may differ."""
INDIFFERENT = {
    *("trainer.resume", "trainer.progress", "trainer.log_every_n_steps"),
    *("dataset.workers", "dataset.cache_dir", "dataset.eval_batch_size"),
}
"""Keys without effect on the figures."""
TUNED = {"optimizer.lr"}
"""Keys that `compare.tune` chooses for each case."""


def same_test_data(runs: Sequence[Run]) -> None:
    """Refuses runs that were not tested on the same images.

    Raises:
        DataError: naming two runs that differ.
    """
    first = runs[0]
    for run in runs[1:]:
        if tested(run) != tested(first):
            raise DataError(
                f"runs: '{first.folder}' was tested on {tested(first)}, '{run.folder}' on {tested(run)}; "
                "figures on different images cannot be compared."
            )


def tested(run: Run) -> str:
    """The split that a run was tested on, with its fingerprint, such as `test=0123456789abcdef`."""
    assert run.results is not None
    return run.results.data.split(" ")[-1]


def budget_of(run: Run) -> str:
    """What `compare.budget` held equal for a run."""
    return str((run.config.get("compare") or {}).get("budget") or "steps")


def budget_differences(method: Mapping[int, Run], singles: Mapping[str, Mapping[int, Run]]) -> list[str]:
    """In what the budgets of a method's runs differ from those of the single-task runs of the same seed.

    Under `compare.budget=compute` the plan has made them equal, and epochs, images and steps differ.
    """
    found = []
    for seed, run in sorted(method.items()):
        budget = budget_of(run)
        if budget == "compute":
            continue
        for task in run.tasks:
            alone = singles.get(task, {}).get(seed)
            if alone is None:
                continue
            joint, single = run.results, alone.results
            assert joint is not None
            assert single is not None
            images = (joint.images_seen.get(task), single.images_seen.get(task))
            if None in images:
                found.append(f"seed {seed}: how many images {task} has seen is not recorded")
            elif images[0] != images[1]:
                found.append(f"seed {seed}: {task} has seen {images[0]} images, alone {images[1]}")
            if budget == "steps" and joint.steps != single.steps:
                found.append(f"seed {seed}: {joint.steps} steps, {task} alone {single.steps}")
    return list(dict.fromkeys(found))


def missing(
    methods: Mapping[str, Mapping[int, Run]], singles: Mapping[str, Mapping[int, Run]], tasks: Sequence[str]
) -> list[str]:
    """Runs that others suggest and that are not there: a method or a task alone of some seed."""
    groups = {f"{task} alone": singles.get(task, {}) for task in tasks} | dict(methods)
    seeds = sorted({seed for group in groups.values() for seed in group})
    found = []
    for label, group in groups.items():
        if not group:
            found.append(f"{label}: no run")
        elif absent := [str(seed) for seed in seeds if seed not in group]:
            found.append(f"{label}: no run of seed {', '.join(absent)}")
    return found


def setting_differences(runs: Sequence[Run]) -> list[str]:
    """Settings beside the method that are not the same in all runs that have them, with up to three values."""
    flat = [_flat(run.config) for run in runs]
    keys = list(dict.fromkeys(key for config in flat for key in config))
    found = []
    tuned = {key for run in runs if (run.config.get("compare") or {}).get("tune") for key in TUNED}
    tuned |= {"trainer.max_epochs" for run in runs if budget_of(run) == "compute"}
    for key in keys:
        if key.partition(".")[0] in OWN or key in INDIFFERENT | tuned:
            continue
        values = list(dict.fromkeys(repr(config[key]) for config in flat if key in config))
        if len(values) > 1:
            found.append(f"{key}: {', '.join(values[:3])}{', ...' if len(values) > 3 else ''}")
    return found


def environment_differences(runs: Sequence[Run]) -> list[str]:
    """Training data, code, precision and devices that are not the same in all runs."""
    results = [run.results for run in runs if run.results is not None]
    facts = {
        "training data": [r.data.split(" ")[0] for r in results],
        "revision": [str(r.git) for r in results],
        "torch": [str(r.versions.get("torch")) for r in results],
        "precision": [r.precision for r in results],
        "device": [str(r.device.get("name")) for r in results],
    }
    different = {name: list(dict.fromkeys(values)) for name, values in facts.items()}
    return [f"{name}: {', '.join(values)}" for name, values in different.items() if len(values) > 1]


def _flat(node: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{path}{key}.")
        else:
            out[f"{path}{key}"] = value
    return out
