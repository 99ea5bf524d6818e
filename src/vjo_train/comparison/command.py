"""`vjo-report`: from a config to files."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from vjo_train.comparison import diagnosis, tables
from vjo_train.comparison.page import as_html
from vjo_train.comparison.reading import find_folders, read_run
from vjo_train.comparison.summary import Comparison, compare
from vjo_train.errors import ConfigError
from vjo_train.files import write_atomically
from vjo_train.pages.run import FILE
from vjo_train.runs import run_folder


def write_report(cfg: DictConfig) -> Comparison:
    """Compares the runs of a checked config, prints the tables and writes the files.

    Raises:
        ConfigError: no runs, runs that cannot be told apart, or an output folder that is a run's own.
        DataError: runs that were tested on different images.
        CheckpointError: a damaged file.
    """
    patterns = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    folders = find_folders(patterns)
    metrics = {str(task): str(metric) for task, metric in (cfg.metrics or {}).items()}
    runs = [read_run(folder) for folder in folders]
    comparison = compare(runs, metrics, cfg.interval, cfg.level, cfg.resamples, cfg.delta)
    output = Path(cfg.output) if cfg.output is not None else common_folder(folders)
    if (output / run_folder.CONFIG).is_file():
        raise ConfigError(
            f"output: '{output}' is a run's folder, which has a report.html of its own (vjo-report run='{output}' "
            "writes it); give the comparison another output=, or more runs."
        )
    console = Console()
    console.print(tables.terminal(comparison))
    for line in diagnosis.losses(comparison):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    write_files(comparison, output)
    console.print(f"Report: {output / 'report.md'}, report.csv, {FILE}", highlight=False, soft_wrap=True)
    return comparison


def write_files(comparison: Comparison, output: Path) -> None:
    """`report.md`, `report.csv` and `report.html`."""
    write_atomically(output / "report.md", tables.as_markdown(comparison))
    write_atomically(output / "report.csv", tables.as_csv(comparison))
    write_atomically(output / FILE, as_html(comparison, output))


def common_folder(folders: list[Path]) -> Path:
    """The deepest folder that holds all of `folders`; a single run's folder is its own."""
    return Path(os.path.commonpath(folders))
