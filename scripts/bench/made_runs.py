"""Made-up runs, as large as those of COCO: what the section on reports reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from vjo_train.report.examples import EXTREMES, FOLDER, SHOWN, Example, write_index
from vjo_train.runs import run_folder
from vjo_train.runs.epochs import FILE as HISTORY
from vjo_train.runs.epochs import to_csv
from vjo_train.runs.records import FILE, Matches, Pixels, Scores, TaskRecords
from vjo_train.runs.results import Results, write_results

TASKS = {"classification": "map", "detection": "map_area", "semantic": "miou"}
CLASSES, DETECTIONS, EPOCHS = 80, 100, 100


def made_run(folder: Path, case: str, tasks: Sequence[str], seed: int, records: bytes, images: int) -> Path:
    """A finished run's folder; `records` are those of all tasks."""
    place = folder / case / f"seed{seed}"
    rng = np.random.default_rng([seed, len(case)])
    config = {
        "name": case,
        "seed": seed,
        "single": tasks[0] if len(tasks) == 1 else None,
        "heads": {task: {} for task in TASKS},
        "weighting": {"_target_": case if len(tasks) > 1 else "equal"},
        "optimizer": {"lr": 0.1},
        "dataset": {"classes": [f"class {c}" for c in range(CLASSES)]},
    }
    metrics = {f"test/{task}/{metric}": 0.5 + 0.1 * float(rng.random()) for task, metric in TASKS.items()}
    own = {name: value for name, value in metrics.items() if name.split("/")[1] in tasks}
    per_class = {
        f"test/{name.split('/')[1]}/{name.split('/')[2].removeprefix('m')}": {
            f"class {c}": float(value) for c, value in enumerate(rng.random(CLASSES))
        }
        for name in own
    }
    counts = {"train": {"images": images, **dict.fromkeys(TASKS, images)}, "test": {"images": images}}
    results = Results(
        metrics=own,
        per_class=per_class,
        monitors=list(own),
        config=config,
        overrides=[f"seed={seed}", f"+case={case}"],
        seed=seed,
        versions={},
        git=None,
        device={"type": "cpu", "name": "CPU", "devices": 1},
        precision="32-true",
        data="train=1 test=2",
        checkpoint="checkpoints/best.ckpt",
        epochs=EPOCHS,
        steps=1000,
        wall_seconds=100.0,
        images_per_second=40.0,
        counts=counts,
        training={f"train/{task}/images": float(images) for task in tasks},
    )
    (place / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(config), place / run_folder.CONFIG)
    write_results(place / run_folder.RESULTS, results)
    (place / FILE).write_bytes(records)
    (place / HISTORY).write_text(to_csv(made_history(tasks, rng)), encoding="utf-8")
    _pictures(place, tasks)
    return place


def made_history(tasks: Sequence[str], rng: np.random.Generator) -> list[dict[str, str]]:
    """Losses, weights and metrics of `EPOCHS` epochs."""
    rows = []
    for epoch in range(EPOCHS):
        row = {"epoch": str(epoch), "step": str(10 * epoch + 10), "train/lr": "0.1", "images_per_second": "40"}
        for task in tasks:
            row[f"train/{task}/loss"] = str(2 / (epoch + 1) + 0.1 * rng.random())
            row[f"train/{task}/weight"] = str(1 + rng.random() / 10)
            row[f"val/{task}/loss"] = str(2.5 / (epoch + 1) + 0.1 * rng.random())
            row[f"val/{task}/{TASKS[task]}"] = str(0.5 - 0.5 / (epoch + 1))
        rows.append(row)
    return rows


def made_records(images: int) -> dict[str, TaskRecords]:
    """What a test keeps of each image, for every task."""
    rng = np.random.default_rng(0)
    ids = tuple(f"{number:06d}" for number in range(images))
    labels = np.where(rng.random((images, CLASSES)) < 3 / CLASSES, 1, -1).astype(np.int8)
    found = images * DETECTIONS
    label = np.sort(rng.integers(0, CLASSES, found)).astype(np.int16)
    score = rng.random(found).astype(np.float32)
    matches = Matches(
        image=rng.integers(0, images, found).astype(np.int32),
        label=label,
        score=score[np.lexsort((-score, label))],
        hits=rng.random((3, found)) < 0.1,
        counted=np.ones((3, found), bool),
        objects=rng.poisson(7 / CLASSES, (images, CLASSES)).astype(np.int32),
        metrics=["map_area", "map_voc07", "map_75"],
        interpolations=["area", "11point", "area"],
    )
    cells = 6 * images
    pixels = Pixels(
        image=np.repeat(np.arange(images, dtype=np.int32), 6),
        truth=rng.integers(0, CLASSES + 1, cells).astype(np.int16),
        found=rng.integers(0, CLASSES + 1, cells).astype(np.int16),
        count=rng.integers(1, 10_000, cells).astype(np.int32),
        shape=np.array([images, CLASSES + 1]),
    )
    scores = Scores(rng.random((images, CLASSES)).astype(np.float32), labels)
    kinds = {"classification": scores, "detection": matches, "semantic": pixels}
    return {task: TaskRecords(ids, known) for task, known in kinds.items()}


def _pictures(run: Path, tasks: Sequence[str]) -> None:
    """Small pictures of noise, of the size of JPEG files of photographs."""
    (run / FOLDER).mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((320, 240)).save(run / FOLDER / "00.jpg", quality=85)
    examples = [Example(f"{k:06d}", "first", prediction="00.jpg", truth="00.jpg") for k in range(SHOWN)]
    for task in tasks:
        examples += [
            Example(f"{k:06d}", why, task, 0.5, "AP", "00.jpg", "00.jpg")
            for why in ("best", "worst")
            for k in range(EXTREMES)
        ]
    write_index(run, examples)
