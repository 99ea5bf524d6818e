"""What is in a data set, and what is wrong with it, on the terminal and as files."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from vjo_train.data import faults
from vjo_train.data.datamodule import DataModule
from vjo_train.data.letterbox import fit
from vjo_train.data.loading import BatchDataset
from vjo_train.data.plan import BatchPlan
from vjo_train.data.rounds import Sample
from vjo_train.data.worker_watch import Watch
from vjo_train.errors import DataError
from vjo_train.files import write_atomically
from vjo_train.report.class_pixels import class_pixels, names_of
from vjo_train.report.dataset import fault_table, picture_grid, summary_tables
from vjo_train.types import Batch

log = logging.getLogger("vjo_train")

Rows: TypeAlias = npt.NDArray[np.int64]

PICTURES = 16
"""Images in a grid."""


def summarise(data: DataModule, output: Path) -> None:
    """Prints what is in the splits; writes `summary.json`, and `<split>.png` with some of its images, drawn by seed.

    Raises:
        DataError: a broken annotation, or a broken image among those shown.
    """
    parts = {"train": data.train_rows, "val": data.val_rows, "test": data.rows(data.test_split)}
    parts = {name: rows for name, rows in parts.items() if len(rows)}
    splits = {
        name: {
            **data.describe(rows),
            **_sizes(data, rows),
            "pixels": class_pixels(data, rows),
            "numbers": _numbers(data, rows),
        }
        for name, rows in parts.items()
    }
    content = {"root": str(data.root), "classes": list(data.classes), "splits": splits}
    _write(output / "summary.json", content)
    for name, rows in parts.items():
        picture_grid(some(data, rows, PICTURES), data.source.kinds, data.classes).save(output / f"{name}.png")
    Console().print(summary_tables(splits))
    log.info("Summary and pictures: %s", output)


def _numbers(data: DataModule, rows: Rows) -> dict[str, dict[str, float]]:
    """Class by whose name labels say numbers -> their mean and standard deviation."""
    return {
        name: {"mean": mean, "deviation": spread} for name, (mean, spread) in data.scales(rows).items() if mean == mean
    }


def check(data: DataModule, output: Path) -> int:
    """Prints what is wrong with the data set, and writes it as `check.json`.

    Returns:
        How many faults training or testing would stop with.
    """
    found, checked = _faults(data)
    fatal = sum(fault.fatal for fault in found)
    content = {
        "root": str(data.root),
        "images": checked,
        "counts": dict(Counter(fault.kind for fault in found)),
        "faults": [asdict(fault) for fault in found],
    }
    _write(output / "check.json", content)
    if found:
        Console().print(fault_table(found))
    counts = (checked, fatal, len(found) - fatal, output)
    log.info("Images checked: %d. Faults that would stop a run: %d, that look wrong: %d: %s", *counts)
    return fatal


def _faults(data: DataModule) -> tuple[list[faults.Fault], int]:
    """All faults, and how many images were looked at: those in readable lists whose annotation is sound."""
    parts, broken = faults.splits(data)
    found = faults.broken_annotations(data.index) + broken + faults.mended_annotations(data.index)
    if not parts:
        return found, 0
    rows = np.unique(np.concatenate(list(parts.values())))
    console = Console()
    looks = {}
    looked = faults.look_at_files(data, rows)
    for row, look, broken in track(
        looked, "checking", len(rows), console=console, transient=True, disable=not console.is_terminal
    ):
        found += broken
        if look is not None:
            looks[row] = look
    found += faults.duplicates(data.index, parts, looks)
    found += faults.suspicious_boxes(data.index, rows, data.canvas)
    return found + faults.missing_classes(data.index, parts, names_of(data, "boxes")), len(rows)


def _sizes(data: DataModule, rows: Rows) -> dict[str, dict[str, float] | None]:
    """Quantiles of the images' sides, and of the objects' on the canvas; None where there are no objects."""
    sizes = data.index.sizes[rows]
    boxes = [data.index.objects(int(row)).boxes * fit(data.index.sizes[row], data.canvas) for row in rows]
    sides = np.concatenate([np.sqrt((box[:, 2:] - box[:, :2]).prod(axis=1)) for box in boxes])
    return {
        "width": _quantiles(sizes[:, 1], {"least": 0, "median": 0.5, "greatest": 1}),
        "height": _quantiles(sizes[:, 0], {"least": 0, "median": 0.5, "greatest": 1}),
        "object_side": _quantiles(sides, {"5%": 0.05, "median": 0.5, "95%": 0.95}),
    }


def _quantiles(values: npt.NDArray[Any], shares: dict[str, float]) -> dict[str, float] | None:
    return {name: round(float(np.quantile(values, q)), 1) for name, q in shares.items()} if len(values) else None


def some(data: DataModule, rows: Rows, number: int) -> Batch:
    """`number` of the images, drawn by the data set's seed, with all that is annotated on them."""
    chosen = np.sort(np.random.default_rng([data.seed, *b"pictures"]).permutation(rows)[:number])
    dataset = BatchDataset(
        source=data.source,
        root=data.root,
        index=data.index,
        needs={"all": frozenset(kind.name for kind in data.source.kinds)},
        canvas=data.canvas,
        augment=None,
        seed=data.seed,
        watch=Watch(0),
        span=data.span,
    )
    batch = dataset[BatchPlan(-1, ("all",), tuple(Sample(int(row), "evaluation", 0) for row in chosen))]
    if isinstance(batch, DataError):
        raise batch
    return batch


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
