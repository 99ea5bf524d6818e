"""The runs of a comparison, `compare=methods`: which there are, which are finished, how long the rest will take.

Each run is one seed and one case: a head alone, or a method. Hydra's sweeper multiplies them, so the cases are stored
as the choices of a config group of their own, which exists for the time of the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from vjo_train.config.compose import Composer
from vjo_train.errors import ConfigError
from vjo_train.report.text import duration
from vjo_train.runs import run_folder
from vjo_train.runs.results import read_results

GROUP = "case"
"""The config group whose choices are the cases."""


@dataclass(frozen=True)
class Case:
    """One column of the comparison: its name, part of its runs' folders, and the overrides that make it."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Planned:
    """One run of the comparison and where it is written."""

    case: str
    folder: Path

    @property
    def finished(self) -> bool:
        return (self.folder / run_folder.RESULTS).is_file()

    @property
    def begun(self) -> bool:
        return run_folder.stopped(self.folder)


def cases(cfg: DictConfig) -> list[Case]:
    """The cases of a config: every head alone, then every method; all of them at each of `compare.labels`.

    Self-supervised heads are no goals and have no case of their own. Where every label is there, a method that learns
    without labels (`semi=`) is left out.

    Raises:
        ConfigError: fewer than two heads, or two methods of one name.
    """
    tasks = run_folder.goals(cfg)
    if len(tasks) < 2:
        raise ConfigError(f"heads: found {', '.join(tasks)}; a comparison needs at least two.")
    alone = [Case(f"single-{task}", (f"single={task}", "weighting=equal")) for task in tasks]
    found = [*alone, *map(_method, cfg.compare.methods)]
    if cfg.compare.get("labels"):
        found = [_with_labels(case, float(share), tasks) for share in cfg.compare.labels for case in found
                 if share < 1 or not any(word.startswith("semi=") for word in case.words)]  # fmt: skip
    names = [case.name for case in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"compare.methods: found {', '.join(twice)} twice; each method needs a name of its own.")
    return found


def _with_labels(case: Case, share: float, tasks: Sequence[str]) -> Case:
    kept = ",".join(f"{task}:{share!r}" for task in tasks)
    words = (f"dataset.labels={{{kept}}}",) if share < 1 else ()
    return Case(run_folder.case_with_labels(case.name, share), (*case.words, *words))


def _method(text: str) -> Case:
    words = tuple(word if "=" in word else f"weighting={word}" for word in text.split())
    name = run_folder.case_name(text)
    if not name:
        raise ConfigError(f"compare.methods: found '{text}', which says nothing.")
    return Case(name, words)


def groups(found: Sequence[Case]) -> list[tuple[list[str], list[str]]]:
    """The names of the tasks alone and of the methods, for each share of the labels."""
    made: list[tuple[list[str], list[str]]] = []
    for case in found:
        alone = any(word.startswith("single=") for word in case.words)
        if alone and (not made or made[-1][1]):
            made.append(([], []))
        made[-1][not alone].append(case.name)
    return made


def seed_left_out(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """The user's overrides without the seeds."""
    parsed = composer.parse(list(overrides))
    return [text for text, override in zip(overrides, parsed, strict=True) if override.key_or_group != "seed"]


def check_settings(cfg: DictConfig) -> None:
    """Refuses what would make a comparison unfair.

    Raises:
        ConfigError: no validation split, testing on a split that is trained or chosen on, or early stopping.
    """
    data = cfg.dataset
    if data.val_split is None and data.val_fraction == 0:
        raise ConfigError(
            "dataset.val_split: a comparison picks its checkpoints on val; set it, or dataset.val_fraction above 0."
        )
    if data.test_split in (data.split, data.val_split):
        raise ConfigError(f"dataset.test_split: '{data.test_split}' is trained on or picks checkpoints.")
    if cfg.trainer.early_stopping is not None:
        raise ConfigError("trainer.early_stopping: must be null in a comparison, or the runs' budgets differ.")


def sweep_word(
    composer: Composer, found: Sequence[Case], overrides: Sequence[str], chosen: Mapping[str, Sequence[str]]
) -> str:
    """Stores the cases of a comparison for Hydra; returns the override that sweeps over them.

    Args:
        composer: of the comparison's config.
        found: its cases.
        overrides: the user's.
        chosen: case -> the overrides that its trials have chosen.

    Raises:
        ConfigError: an override that the cases would undo.
    """
    known = composer.groups
    set_by_cases: dict[str, str] = {}
    for case in found:
        node = OmegaConf.create({})
        choices: list[Any] = []
        for override in composer.parse([*case.words, *chosen.get(case.name, ())]):
            key, value = override.key_or_group, override.value()
            set_by_cases[key] = case.name
            if key in known:
                composer.check_choices([str(override.input_line)])
                choices.append({f"override /{key}": value})
            else:
                OmegaConf.update(node, key, value, force_add=True)
        stored = {"defaults": [*choices, "_self_"], **node}
        ConfigStore.instance().store(group=GROUP, name=case.name, node=stored, package="_global_")
    for override in composer.parse(list(overrides)):
        if owner := set_by_cases.get(override.key_or_group):
            raise ConfigError(
                f"{override.input_line}: is set by the case '{owner}' of the comparison; see compare.methods."
            )
    return f"+{GROUP}={','.join(case.name for case in found)}"


def planned(cfg: DictConfig) -> Planned:
    """The run of a composed job, whose `hydra` is set.

    Raises:
        ConfigError: the folder holds a run of another config.
    """
    folder = Path(cfg.hydra.sweep.dir) / str(cfg.hydra.sweep.subdir)
    run = Planned(str(cfg.hydra.runtime.choices[GROUP]), folder)
    if (run.finished or run.begun) and (difference := run_folder.difference(folder, cfg)):
        raise ConfigError(
            f"'{folder}' holds a run of another config ({difference}). Give this comparison a folder of its own, "
            "such as name=compare2, or move that one away."
        )
    return run


def check_sweep(composer: Composer, overrides: Sequence[str]) -> None:
    """Refuses what would put two runs into one folder.

    Raises:
        ConfigError: a key beside `seed` has several values.
    """
    for override in composer.parse(list(overrides)):
        if override.is_sweep_override() and override.key_or_group != "seed":
            raise ConfigError(
                f"{override.input_line}: in a comparison only seed may have several values; put others into "
                "compare.methods."
            )


def check_folders(jobs: Sequence[Planned]) -> None:
    """Refuses two runs in one folder.

    Raises:
        ConfigError: a seed is there twice.
    """
    folders = [job.folder for job in jobs]
    if len(set(folders)) < len(folders):
        raise ConfigError("seed: found a value twice; in a comparison each seed may be there once.")


def announcement(jobs: Sequence[Planned]) -> str:
    """How many runs there are, and how long they will take."""
    done, begun = sum(job.finished for job in jobs), sum(job.begun for job in jobs)
    names = list(dict.fromkeys(job.case for job in jobs))
    alone = sum(name.startswith("single-") for name in names)
    return (
        f"Comparison: {len(jobs)} runs, {len(jobs) // len(names)} seeds of {alone} single tasks and "
        f"{len(names) - alone} methods; {done} finished, {begun} to go on with, {len(jobs) - done - begun} to start.\n"
        + time_left(jobs)
    )


def time_left(jobs: Sequence[Planned]) -> str:
    """How long the unfinished runs will take, by the finished ones.

    A run is taken to be as long as the finished runs of its case, or as the mean of all where there is none; one that
    has begun counts whole.
    """
    rest = [job for job in jobs if not job.finished]
    times: dict[str, list[float]] = {}
    for job in jobs:
        if job.finished:
            results = read_results(job.folder / run_folder.RESULTS)
            times.setdefault(job.case, []).append(results.wall_seconds + results.test_seconds)
    if not rest:
        return "All runs are finished."
    if not times:
        return "Time: not known before the first run has finished; it is said then."
    unknown = {job.case for job in rest} - set(times)
    estimate = estimated_seconds([job.case for job in rest], times)
    basis = "the finished runs" + (f"; {', '.join(sorted(unknown))} taken as their mean" if unknown else "")
    return f"Runs that remain: {len(rest)}, about {duration(estimate)} (by {basis})."


def estimated_seconds(rest: Sequence[str], times: Mapping[str, Sequence[float]]) -> float:
    """Seconds for runs of the cases `rest`, given the times of finished runs by case."""
    mean = {case: fmean(values) for case, values in times.items()}
    return sum(mean.get(case, fmean(mean.values())) for case in rest)
