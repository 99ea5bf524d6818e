"""A run's folder with all files that its page reads, under names that try to break out of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.comparison.planted import plant
from vjo_train.report import affinity
from vjo_train.report.examples import FOLDER, Example, write_index
from vjo_train.runs.epochs import FILE, to_csv
from vjo_train.runs.records import Matches, Scores, TaskRecords

HOSTILE = '"><script>document.title="broken"</script>'
CLASSES = ("dog", HOSTILE, "&amp;cat")
WARNING = f"2026-01-31 12:00:00,123 WARNING py.warnings: a.py:1: UserWarning: {HOSTILE}"
LOG = f"""2026-01-31 11:59:59,000 INFO vjo_train: Training in 32-true on EPYC.
{WARNING}
  warn()
2026-01-31 12:00:01,000 INFO vjo_train: Results: results.json
{WARNING}
  warn()
"""


def furnish(
    folder: Path, case: str, seed: int, figures: dict[str, float], *, finished: bool = True, **config: Any
) -> Path:
    """As `plant`, with figures by class, a history, records, pictures, a log, and what insights leave."""
    shift = figures.get("detection", 0.0) / 10
    per_class = {
        "test/classification/ap": {name: 0.3 + 0.2 * k + shift for k, name in enumerate(CLASSES)},
        "test/detection/ap_area": {name: 0.1 + 0.2 * k - shift for k, name in enumerate(CLASSES[:2])}
        | {CLASSES[2]: float("nan")},
    }
    own = {name: values for name, values in per_class.items() if name.split("/")[1] in figures}
    run = plant(
        folder, case, seed, figures, finished=finished, records=_records(figures, seed), per_class=own,
        config={"name": f"run {HOSTILE}", "dataset": {"classes": list(CLASSES)},
                "insight": {"regions": {"method": "hires_cam"}}, **config},
        counts={"train": {"images": 16, "classification": 16, "detection": 9}, "test": {"images": 4, "detection": 4}},
    )  # fmt: skip
    (run / FILE).write_text(to_csv(_history(figures, seed)))
    (run / "train.log").write_text(LOG)
    _pictures(run, list(figures))
    if len(figures) > 1:
        (run / affinity.FILE).write_text(",".join(affinity.COLUMNS) + "\n" + affinity.lines(_affinity(figures)))
    return run


def _affinity(figures: dict[str, float]) -> list[affinity.Measured]:
    """Detection helps classification by 2 %, classification harms detection by 1 %, both help themselves by 30 %."""
    means = {("detection", "classification"): 0.02, ("classification", "detection"): -0.01}
    return [
        affinity.Measured(step, source, target, means.get((source, target), 0.3) + shift)
        for step, shift in ((0, 0.001), (20, -0.001))
        for source in figures
        for target in figures
    ]


def _history(figures: dict[str, float], seed: int) -> list[dict[str, str]]:
    rows = []
    for epoch in range(6):
        row = {"epoch": str(epoch), "step": str(5 * epoch + 5), "train/lr": "0.1", "images_per_second": "40"}
        for task, value in figures.items():
            row[f"train/{task}/loss"] = str(2 / (epoch + seed))
            row[f"train/{task}/weight"] = str(1 + value * epoch / 10)
            if epoch % 2:
                row[f"val/{task}/loss"] = str(2.5 / (epoch + 1))
                row[f"val/{task}/{'map' if task == 'classification' else 'map_area'}"] = str(value * epoch / 5)
        if len(figures) > 1:
            row["train/weighting/cosine/classification/detection"] = str(0.4 - epoch / 6)
            row["train/weighting/conflict_share"] = str(epoch / 6)
            row["train/weighting/gradient_norm/classification"] = str(9 / (1 + figures["classification"] * epoch / 10))
            row["train/weighting/gradient_norm/detection"] = str(1 / (1 + figures["detection"] * epoch / 10))
            row["train/affinity/detection/classification"] = str(0.02 + epoch / 100)
        rows.append(row)
    return rows


def _records(figures: dict[str, float], seed: int) -> dict[str, TaskRecords]:
    generator = np.random.default_rng(seed)
    labels = np.where(generator.random((4, 3)) < 0.5, 1, -1)
    found: dict[str, TaskRecords] = {}
    ids = tuple(f"{HOSTILE}{k}" for k in range(4))
    if "classification" in figures:
        found["classification"] = TaskRecords(ids, Scores(generator.random((4, 3)), labels))
    if "detection" in figures:
        hits = generator.random((1, 12)) < 0.6
        matches = Matches(
            image=np.arange(12) % 4,
            label=np.repeat([0, 1], 6),
            score=np.tile(np.linspace(0.9, 0.2, 6), 2),
            hits=hits,
            counted=np.ones((1, 12), bool),
            objects=np.array([[3, 2, 0]] * 4),
            metrics=["map_area"],
            interpolations=["area"],
        )
        found["detection"] = TaskRecords(ids, matches)
    return found


def _pictures(run: Path, tasks: list[str]) -> None:
    (run / FOLDER).mkdir()
    Image.new("RGB", (224, 160), (90, 120, 160)).save(run / FOLDER / "00.jpg")
    examples = [Example(f"{HOSTILE}{k}", "first", prediction="00.jpg", truth="00.jpg") for k in range(2)]
    for task in tasks:
        examples.append(Example(f"{HOSTILE}0", "best", task, 1.0, f"AP {HOSTILE}", "00.jpg", "00.jpg"))
        examples.append(Example(f"{HOSTILE}1", "worst", task, 0.1, f"AP {HOSTILE}", "00.jpg", "gone.jpg"))
    write_index(run, examples)
    Image.new("RGB", (732, 488), (90, 120, 160)).save(run / "regions.png")
