"""Why did a task gain or lose? The signs in the logs of each method's runs, beside those of the tasks alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vjo_train.comparison.reading import Run
from vjo_train.comparison.summary import Comparison
from vjo_train.diagnosis.levers import choices
from vjo_train.diagnosis.rules import LOST, explain
from vjo_train.diagnosis.signs import Signs, ratio, read_signs
from vjo_train.pages.blocks import Note, Section, Table
from vjo_train.pages.folder import RunFolder
from vjo_train.report.text import figure
from vjo_train.runs import run_folder

TITLE = "Why did a task gain or lose?"


@dataclass(frozen=True)
class Finding:
    """What is known of one task under one method.

    Attributes:
        gain: over the task alone in percent, the mean over the paired seeds.
        clear: whether the interval of the gain is known and leaves out 0.
        signs: of the method's runs.
        alone: those of the task alone; None without such a run.
        used: the choices of the method that its sentence does not advise.
    """

    method: str
    task: str
    gain: float
    clear: bool
    signs: Signs
    alone: Signs | None
    used: frozenset[str]

    @property
    def sentence(self) -> str:
        return explain(self.task, self.signs, self.gain, self.alone, clear=self.clear, used=self.used)


def findings(comparison: Comparison) -> list[Finding]:
    """Method by method, task by task; those whose gain is not known are left out."""
    alone = {task: _signs(group, (task,))[task] for task, group in comparison.singles.items()}
    found = []
    for label, group in comparison.methods.items():
        helpers = [task for run in group.values() for task in run_folder.trained_tasks(run.config)]
        signs = _signs(group, tuple(dict.fromkeys([*comparison.tasks, *helpers])))
        used = frozenset.intersection(*(choices(run.config) for run in group.values()))
        for task, metric in comparison.metrics.items():
            gain = comparison.gain(label, f"{task}/{metric}")
            clear = gain.verdict != "no clear difference"
            if math.isfinite(gain.mean):
                found.append(Finding(label, task, gain.mean, clear, signs[task], alone.get(task), used))
    return found


def losses(comparison: Comparison) -> list[str]:
    """A sentence for each task that a method has made worse."""
    return [f"{f.method}: {f.sentence}" for f in findings(comparison) if f.gain < LOST]


def section(comparison: Comparison) -> Section | None:
    """The signs as a table, and a sentence for each task that has lost."""
    found = findings(comparison)
    if not found:
        return None
    header = ["method", "task", "gain in %", "share of gradient", "clipped", "least cosine"]
    header += ["training loss / alone", "validation loss / alone"]
    table = Table("", header, [_row(finding) for finding in found], left=2)
    notes = [Note(text) for text in losses(comparison)] or [Note("No task has lost.")]
    intro = "Means over training and seeds. Share: of the lengths of all tasks' gradients in the shared layers."
    return Section(TITLE, [*notes, table], intro)


def _row(finding: Finding) -> list[str]:
    signs, alone = finding.signs, finding.alone or Signs()
    return [
        finding.method,
        finding.task,
        f"{finding.gain:+.1f}",
        _percent(signs.shares.get(finding.task, math.nan)),
        _percent(signs.clipped),
        figure(min(signs.cosines.values(), default=math.nan), 2),
        figure(ratio(signs.train_loss, alone.train_loss), 2),
        figure(ratio(signs.val_loss, alone.val_loss), 2),
    ]


def _percent(share: float) -> str:
    return f"{share:.0%}" if math.isfinite(share) else "-"


def _signs(group: Mapping[int, Run], tasks: tuple[str, ...]) -> dict[str, Signs]:
    return read_signs([RunFolder(run.folder).history for run in group.values()], tasks)
