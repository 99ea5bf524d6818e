"""Memory and time of a training step of four tasks: ours, a plain loop, and ours with what shall save memory.

A side is a whole run of some steps, as in `loop`. Memory is the most that tensors take at once, weights, gradients and
the optimizer's state included: counted from torch's allocations on a CPU, which no other process changes, and by
the allocator on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bench.loop import WARMUP, ours, plain
from bench.setup import config, draw
from bench.sides import Aim, Section

SIZE = ("heads=[classification,detection,semantic,instance]", "dataset.size=256")
PLAIN, OURS = "plain", "vjo-train"
SAVING = {"vjo-train, activations computed again": ("trainer.activation_checkpointing=true",)}
"""Side -> the overrides that save memory; each is aimed at `LESS` of the memory at `LONGER` the time of `plain`."""
LESS, LONGER = 0.6, 1.35


def peak_section(overrides: Sequence[str], folder: Path) -> Section:
    """Compares MiB at a step's peak; they do not vary, so that they are measured once."""
    sides, settings = _sides(overrides, folder, 1)
    return Section(
        unit="step at its peak",
        result="way of the weights",
        sides={name: cache(partial(peak, work)) for name, work in sides.items()},
        aims=[Aim(OURS, PLAIN, 1.05), *(Aim(name, PLAIN, LESS) for name in SAVING)],
        settings=settings,
        measure="MiB",
        scale=1.0,
    )


def time_section(overrides: Sequence[str], folder: Path, steps: int) -> Section:
    """Compares seconds per step of the same sides over `steps` steps a visit."""
    sides, settings = _sides(overrides, folder, steps)
    return Section(
        unit="step",
        result="way of the weights",
        sides=sides,
        aims=[Aim(name, PLAIN, LONGER) for name in SAVING],
        settings={"steps": steps, **settings},
    )


Work = Callable[[], tuple[float, float]]


def _sides(overrides: Sequence[str], folder: Path, steps: int) -> tuple[dict[str, Work], dict[str, Any]]:
    count = WARMUP + steps + 1
    shared = [*SIZE, *overrides]
    cfg = config(shared, folder, count)
    batches = draw(cfg, folder, count)
    sides: dict[str, Work] = {PLAIN: partial(plain, cfg, batches)}
    for name, words in {OURS: (), **SAVING}.items():
        sides[name] = partial(ours, config([*shared, *words], folder, count), batches, folder)
    return sides, {"overrides": shared, "batch": len(batches[0])}


def peak(work: Work) -> tuple[float, float]:
    """MiB that tensors take at once, at most, and the figure of the work."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        _, result = work()
        return torch.cuda.max_memory_allocated() / 2**20, result
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        _, result = work()
    assert found.profiler is not None
    events = sorted(found.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    held = most = 0
    for event in events:
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 2**20, result
