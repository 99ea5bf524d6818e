"""`vjo-report`: from a config to files."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from vjo_train.comparison import curve_page, diagnosis, tables
from vjo_train.comparison.label_curve import LabelCurve, by_share
from vjo_train.comparison.page import as_html
from vjo_train.comparison.reading import read_run
from vjo_train.comparison.summary import Comparison, compare
from vjo_train.errors import ConfigError
from vjo_train.files import write_atomically
from vjo_train.pages.run import FILE
from vjo_train.runs import run_folder
from vjo_train.runs.finding import find_folders


def write_report(cfg: DictConfig) -> Comparison | LabelCurve:
    """Compares the runs of a checked config, prints the tables and writes the files.

    Runs of a label curve are compared at each share of the labels.

    Raises:
        ConfigError: no runs, runs that cannot be told apart, or an output folder that is a run's own.
        DataError: runs that were tested on different images.
        CheckpointError: a damaged file.
    """
    patterns = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    folders = find_folders(patterns)
    metrics = {str(task): str(metric) for task, metric in (cfg.metrics or {}).items()}
    runs = [read_run(folder) for folder in folders]
    shares = by_share(runs)
    found = {
        share: compare(own, metrics, cfg.interval, cfg.level, cfg.resamples, cfg.delta)
        for share, own in (shares or {1.0: runs}).items()
        if not shares or any(run.results is not None for run in own)
    }
    output = Path(cfg.output) if cfg.output is not None else common_folder(folders)
    if (output / run_folder.CONFIG).is_file():
        raise ConfigError(
            f"output: '{output}' is a run's folder, which has a report.html of its own (vjo-report run='{output}' "
            "writes it); give the comparison another output=, or more runs."
        )
    console = Console()
    answer = _curve(found, cfg, output, console) if shares else _comparison(found[1.0], output, console)
    console.print(f"Report: {output / 'report.md'}, report.csv, {FILE}", highlight=False, soft_wrap=True)
    return answer


def _comparison(comparison: Comparison, output: Path, console: Console) -> Comparison:
    console.print(tables.terminal(comparison))
    for line in diagnosis.losses(comparison):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    write_files(comparison, output)
    return comparison


def _curve(found: dict[float, Comparison], cfg: DictConfig, output: Path, console: Console) -> LabelCurve:
    if not found:
        raise ConfigError("runs: no run of the label curve has finished.")
    curve = LabelCurve(found, cfg.level)
    for sheet in curve_page.sheets(curve):
        if sheet.rows:
            console.print(tables.as_table(sheet))
    write_atomically(output / "report.md", curve_page.as_markdown(curve))
    write_atomically(output / "report.csv", curve_page.as_csv(curve))
    write_atomically(output / FILE, curve_page.as_html(curve, output))
    return curve


def write_files(comparison: Comparison, output: Path) -> None:
    """`report.md`, `report.csv` and `report.html`."""
    write_atomically(output / "report.md", tables.as_markdown(comparison))
    write_atomically(output / "report.csv", tables.as_csv(comparison))
    write_atomically(output / FILE, as_html(comparison, output))


def common_folder(folders: list[Path]) -> Path:
    """The deepest folder that holds all of `folders`; a single run's folder is its own."""
    return Path(os.path.commonpath(folders))
