"""`report.html` of one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vjo_train.files import write_atomically
from vjo_train.pages import answers, audit, calibration, confusion, diagnosis, failures, gallery, insight, training
from vjo_train.pages.blocks import Note, Section, Tile
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.page import render
from vjo_train.report.text import count_text, duration, figure
from vjo_train.runs import run_folder

FILE = "report.html"

SECTIONS: tuple[Callable[[RunFolder], Section | None], ...] = (
    answers.figures,
    failures.failures,
    diagnosis.shares,
    training.learning_curves,
    training.task_weights,
    training.conflict,
    training.teacher,
    insight.affinity,
    training.other_figures,
    answers.classes,
    answers.precision_recall_curves,
    confusion.confusion,
    calibration.calibration,
    gallery.pictures,
    insight.regions,
    audit.config,
    audit.audit,
)
"""In the order of the page. Each is a function of what lies in the folder; None where there is nothing to show."""


def write_run_page(run: Path, output: Path | None = None) -> Path:
    """Writes the page of a run, finished or not; returns its path.

    Args:
        run: the run's folder.
        output: the folder for the page; None: the run's own.

    Raises:
        CheckpointError: a damaged file in the folder.
        OSError: a file that cannot be read or written.
    """
    path = (run if output is None else output) / FILE
    write_atomically(path, run_page(RunFolder(run)))
    return path


def run_page(run: RunFolder) -> str:
    """The page as text."""
    sections = [section for make in SECTIONS if (section := make(run)) is not None]
    return render(run.name, subtitle=_subtitle(run), tiles=_tiles(run), notes=_notes(run), sections=sections)


def _subtitle(run: RunFolder) -> str:
    seed = run.results.seed if run.results else run.config.get("seed")
    parts = [", ".join(run.tasks), *([f"seed {seed}"] if seed is not None else []), run.path.resolve().name]
    return " · ".join(part for part in parts if part)


def _tiles(run: RunFolder) -> list[Tile]:
    results = run.results
    if results is None:
        return []
    tasks = [
        Tile(name.split("/")[1], figure(results.metrics.get(name, float("nan")), 4), name.rpartition("/")[2])
        for name in results.monitors
    ]
    trained = [Tile("training", duration(results.wall_seconds), f"{results.epochs} epochs")] if results.epochs else []
    speed = Tile("inference", figure(results.inference_images_per_second, 0), "images/s")
    return [*tasks, *trained, Tile("network", count_text(results.parameters), "parameters"), speed]


def _notes(run: RunFolder) -> list[Note]:
    """What is missing, and how many warnings there are."""
    notes = []
    if run.results is None:
        lacking = [] if run.history else ["no metrics.csv, so no epoch has ended"]
        said = "; ".join([audit.state(run), f"no {run_folder.RESULTS}, so there are no test figures", *lacking])
        notes.append(Note(f"This run is {said}.", "error"))
    count = len(run.messages)
    if count:
        notes.append(Note(f"The run gave {count} warning{'s' if count > 1 else ''}; see Audit.", "warning"))
    return notes
