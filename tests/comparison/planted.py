"""Run folders with planted results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vjo_train.runs import run_folder
from vjo_train.runs.records import FILE, TaskRecords, to_bytes
from vjo_train.runs.results import Results, write_results

TASKS = ("classification", "detection")
METRICS = {"classification": "map", "detection": "map_area"}
BASE = Results(
    metrics={},
    per_class={},
    monitors=[],
    config={},
    overrides=[],
    seed=1,
    versions={"torch": "2.14.1"},
    git="abc",
    device={"type": "cpu", "name": "EPYC", "devices": 1},
    precision="32-true",
    data="train=1111 test=2222",
    checkpoint="checkpoints/best.ckpt",
    epochs=2,
    steps=10,
    wall_seconds=100.0,
    images_per_second=40.0,
    parameters=1_000_000,
    test_seconds=5.0,
    inference_images_per_second=200.0,
    inference_flops=2e9,
)


def plant(
    folder: Path,
    case: str,
    seed: int,
    figures: dict[str, float],
    *,
    records: dict[str, TaskRecords] | None = None,
    finished: bool = True,
    config: dict[str, Any] | None = None,
    seen: dict[str, int] | None = None,
    **changes: Any,
) -> Path:
    """A run's folder below `folder`; `figures`: task -> its metric's figure, of one task for a run of it alone."""
    place = folder / case / f"seed{seed}"
    single = next(iter(figures)) if len(figures) == 1 else None
    cfg = {"seed": seed, "single": single, "heads": {task: {} for task in TASKS}, "weighting": {"_target_": case}}
    cfg |= {"optimizer": {"lr": 0.1}} | (config or {})
    overrides = [f"seed={seed}", f"+case={case}"]
    (place / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(cfg), place / run_folder.CONFIG)
    OmegaConf.save(OmegaConf.create(overrides), place / ".hydra" / "overrides.yaml")
    if finished:
        named = {f"test/{task}/{METRICS.get(task, task)}": value for task, value in figures.items()}
        images = {"classification": 160, "detection": 160} if seen is None else seen
        training = {f"train/{task}/images": float(images[task]) for task in figures if task in images}
        own = {"metrics": named, "monitors": list(named), "training": training, "seed": seed}
        write_results(
            place / run_folder.RESULTS, replace(BASE, **{**own, "config": cfg, "overrides": overrides, **changes})
        )
    if records is not None:
        (place / FILE).write_bytes(to_bytes(records))
    return place


def plant_comparison(folder: Path, methods: dict[str, dict[int, tuple[float, float]]]) -> None:
    """`alone` and methods: case -> seed -> the figures of both tasks."""
    for case, seeds in methods.items():
        for seed, values in seeds.items():
            figures = dict(zip(TASKS, values, strict=True))
            if case != "alone":
                plant(folder, case, seed, figures)
                continue
            for task, value in figures.items():
                plant(folder, f"single-{task}", seed, {task: value})
