"""Pages: of one run with many test images and classes, and of a comparison of many runs.

The run's folder is made up: a test of 5,000 images and 80 classes by default, as COCO's, with the records of 100
detections an image, a history of 100 epochs, and pictures. The comparison is of `METHODS` and of each task alone, over
`SEEDS`, each with such records. The result beside the seconds is the size of the page in MB, images included.
"""

from __future__ import annotations

from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

from omegaconf import OmegaConf

from bench.made_runs import CLASSES, DETECTIONS, EPOCHS, TASKS, made_records, made_run
from bench.sides import Aim, Section, now
from vjo_train.comparison.command import write_report
from vjo_train.pages.run import write_run_page
from vjo_train.runs.records import to_bytes

METHODS, SEEDS = 9, 5
"""With each task alone: (9 + 3) x 5 = 60 runs."""


def section(folder: Path, images: int) -> Section:
    """Compares seconds per page, of tests with `images` images."""
    records = to_bytes(made_records(images))
    one = made_run(folder / "one", "joint", list(TASKS), 1, records, images)
    cases = {f"method{number}": list(TASKS) for number in range(METHODS)} | {f"{task} alone": [task] for task in TASKS}
    for name, tasks in cases.items():
        for seed in range(1, SEEDS + 1):
            made_run(folder / "many", name, tasks, seed, records, images)
    page, comparison = "page of a run", f"comparison of {len(cases) * SEEDS} runs"
    return Section(
        unit="page",
        result="MB",
        sides={page: partial(run_page, one), comparison: partial(comparison_page, folder / "many")},
        aims=[
            Aim(page, None, 5.0, "seconds"),
            Aim(comparison, None, 20.0, "seconds"),
            Aim(comparison, "MB", 5.0, "result"),
        ],
        settings={"images": images, "classes": CLASSES, "detections_per_image": DETECTIONS, "epochs": EPOCHS},
    )


def run_page(run: Path) -> tuple[float, float]:
    """`vjo-report run=DIR`."""
    start = now()
    page = write_run_page(run)
    return now() - start, page.stat().st_size / 1e6


def comparison_page(runs: Path) -> tuple[float, float]:
    """`vjo-report runs=GLOB`; the size is that of `report.html`."""
    keys = {"runs": str(runs), "output": str(runs), "metrics": None, "interval": "auto", "level": 0.95}
    cfg = OmegaConf.create({**keys, "resamples": 2000, "delta": None})
    start = now()
    with redirect_stdout(StringIO()):
        write_report(cfg)
    return now() - start, (runs / "report.html").stat().st_size / 1e6
