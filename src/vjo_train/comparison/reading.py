"""The runs to compare, read from their folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vjo_train.runs import run_folder
from vjo_train.runs.records import FILE, TaskRecords, read_records
from vjo_train.runs.results import Results, read_results


@dataclass(frozen=True)
class Run:
    """One run's folder.

    Attributes:
        folder: where it lies.
        seed: of the run.
        tasks: the tasks that it trained, in the order of its heads; self-supervised ones are no goals, and not in it.
        single: the task of a run that trained one head, else None.
        overrides: what the command line changed, key by key.
        results: None if it has not finished.
    """

    folder: Path
    seed: int
    tasks: tuple[str, ...]
    single: str | None
    overrides: dict[str, str] = field(repr=False)
    config: dict[str, Any] = field(repr=False)
    results: Results | None = field(repr=False)

    @cached_property
    def records(self) -> dict[str, TaskRecords]:
        """What the test kept of each image, by task; empty where it kept nothing."""
        return read_records(self.folder / FILE)

    def metric(self, name: str) -> float:
        """A test figure such as `detection/map_area`; NaN where there is none."""
        return float("nan") if self.results is None else self.results.metrics.get(f"test/{name}", float("nan"))


def read_run(folder: Path) -> Run:
    """Reads a run's results, or, where it has not finished, its config alone.

    Raises:
        CheckpointError: a damaged results file.
    """
    results = read_results(folder / run_folder.RESULTS) if (folder / run_folder.RESULTS).is_file() else None
    config = results.config if results is not None else _plain(run_folder.load_config(folder))
    words = results.overrides if results is not None else list(_overrides(folder))
    trained = run_folder.trained_tasks(config)
    return Run(
        folder=folder,
        seed=int(config["seed"]),
        tasks=run_folder.goals(config),
        single=trained[0] if len(trained) == 1 else None,
        overrides=run_folder.split_overrides(words),
        config=config,
        results=results,
    )


def _overrides(folder: Path) -> Iterator[str]:
    file = folder / ".hydra" / "overrides.yaml"
    if file.is_file():
        yield from (str(word) for word in OmegaConf.load(file))


def _plain(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
