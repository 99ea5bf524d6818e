"""The section on how far scores can be believed."""

from __future__ import annotations

from vjo_train.pages.blocks import Block, Figure, Figures, Key, Note, Section
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.lines import Line, line_chart
from vjo_train.runs.records.reliability import Reliability, answers, reliability

EVEN = ((0.0, 0.0), (1.0, 1.0))
"""Where answers of each confidence are right as often as they say."""


def calibration(run: RunFolder) -> Section | None:
    """Reliability diagrams of the tasks whose answers have a probability each."""
    if run.results is None:
        return None
    charts, notes = [], list[Block]()
    for task, known in run.records.items():
        found = answers(known.records)
        if found is not None and len(found[0]):
            ece = run.results.metrics.get(f"test/{task}/ece", float("nan"))
            charts.append(_diagram(task, reliability(*found), ece))
        half, chosen = (run.results.metrics.get(f"test/{task}/{name}") for name in ("f1", "f1_chosen"))
        if half is not None and chosen is not None:
            notes.append(
                Note(
                    f"{task}: F1 {half:.4f} at a threshold of 0.5, {chosen:.4f} at those chosen on val for each class."
                )
            )
    intro = (
        "Answers of the test by how sure they are, in 15 bins: how many of them are right. On the grey line a score of"
        " 0.8 is right in 80 of 100 cases; below it, the network is too sure of itself. ECE is the mean distance."
    )
    return Section("Calibration", [Figures(charts), *notes], intro) if charts else None


def _diagram(task: str, bins: Reliability, ece: float) -> Figure:
    points = list(zip(bins.confidence.tolist(), bins.right.tolist(), strict=True))
    drawn = line_chart(
        [Line("as sure as right", EVEN, 1, "faint"), Line(task, points, 0)],
        f"{task}: reliability",
        x_label="confidence",
        y_label="share that is right",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
    )
    return Figure(f"{task}, ECE {ece:.4f}", drawn, [Key(task, 0)], f"{int(bins.number.sum())} answers")
