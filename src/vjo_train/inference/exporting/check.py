"""A written file against PyTorch: how far its figures are away, and how fast it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from rich.table import Table

from vjo_train.inference.compare_outputs import Arrays, difference, map_difference, object_difference
from vjo_train.inference.exporting.traced import Traced
from vjo_train.inference.runtimes.base import Runtime

BATCHES = (1, 2, 3)
"""Images per batch with which the file is compared; none is what it was traced with."""
REPEATS = 7
"""Passes whose median is the speed, after one to warm up."""


def compare(network: Traced, runtime: Runtime) -> dict[str, float]:
    """Output -> the greatest difference of the file's figures from the network's over several batches.

    The objects that a head finds count together, under the name of their boxes.
    """
    worst: dict[str, float] = {}
    for count in BATCHES:
        given = network.example(count)
        with torch.no_grad():
            wanted = dict(zip(network.names, (tensor.numpy() for tensor in network(**given)), strict=True))
        found = runtime({name: tensor.numpy() for name, tensor in given.items()})
        for name, value in _differences(wanted, found).items():
            worst[name] = max(worst.get(name, 0.0), value)
    return worst


def _differences(wanted: Arrays, found: Arrays) -> dict[str, float]:
    tasks = [name.removesuffix(".labels") for name in wanted if name.endswith(".labels")]
    objects = {f"{task}.{name}": name for task in tasks for name in ("boxes", "scores", "labels", "masks", "keypoints")}
    worst = {}
    for name in wanted:
        if objects.get(name) == "boxes":
            task = name.removesuffix(".boxes")
            own = [key for key in wanted if key in objects and key.startswith(f"{task}.")]
            mine, other = ({objects[key]: each[key] for key in own} for each in (wanted, found))
            worst[name] = object_difference(mine, other)
        elif name not in objects:
            kind = map_difference if wanted[name].dtype == np.uint8 else difference
            worst[name] = kind(wanted[name], found[name])
    return worst


def speeds(network: Traced, runtime: Runtime) -> dict[str, float]:
    """Images per second, one at a time, of the network in PyTorch and of the file."""
    given = network.example(1)
    arrays = {name: tensor.numpy() for name, tensor in given.items()}
    with torch.inference_mode():
        return {"pytorch": 1 / _seconds(lambda: network(**given)), "file": 1 / _seconds(lambda: runtime(arrays))}


def _seconds(run: Callable[[], Any]) -> float:
    run()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def table(worst: Mapping[str, float], what: str) -> Table:
    """The differences, to be shown."""
    made = Table(title=f"{what} against PyTorch", title_justify="left", title_style="bold")
    made.add_column("output", style="cyan")
    made.add_column("greatest difference", justify="right")
    for name, value in worst.items():
        made.add_row(name, f"{value:.1e}")
    return made
