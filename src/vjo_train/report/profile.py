"""`trainer.profile`: where the time of training goes, written into the folder `profile/` of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import SimpleProfiler
from torch.profiler import ProfilerActivity, profile, schedule

FIRST, STEPS = 3, 4
"""Steps before the ones that are traced, and how many these are."""
ROWS = 40
"""Operators in the table."""


class Profile(pl.Callback):
    """Writes `parts.txt` (shares of the whole training), `operators.txt` and `trace.json.gz` (of `STEPS` steps).

    A run of fewer steps than `FIRST + STEPS` leaves no trace.

    Args:
        folder: where to.

    Attributes:
        actions: Lightning's own profiler, to be given to the trainer; writes `fit-lightning.txt` there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.actions = SimpleProfiler(dirpath=folder, filename="lightning", extended=True)
        self._traced: profile | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts to watch the operators."""
        if trainer.is_global_zero:
            os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # no remarks on hardware that is not there
            kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
            steps = schedule(skip_first=FIRST - 1, wait=0, warmup=1, active=STEPS, repeat=1)
            self._traced = profile(activities=kinds, schedule=steps, on_trace_ready=self._write)
            self._traced.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts a step."""
        if self._traced is not None:
            self._traced.step()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the shares."""
        if self._traced is not None:
            self._traced.stop()
            self._traced = None
            text = parts_table(parts(self.actions.recorded_durations))
            (self.folder / "parts.txt").write_text(text, encoding="utf-8")

    def _write(self, traced: profile) -> None:
        key = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        table = traced.key_averages().table(sort_by=key, row_limit=ROWS, max_name_column_width=60)
        (self.folder / "operators.txt").write_text(table, encoding="utf-8")
        traced.export_chrome_trace(str(self.folder / "trace.json.gz"))


def parts(durations: Mapping[str, Sequence[float]]) -> dict[str, tuple[int, float]]:
    """Part of training -> how often it ran, and its seconds in all, from what Lightning's profiler has recorded.

    Lightning runs forward and backward inside the optimizer's step; they are taken out of it here.
    """

    def of(*ends: str) -> tuple[int, float]:
        found = [values for name, values in durations.items() if name.endswith(ends)]
        return sum(map(len, found)), sum(map(sum, found))

    known = {
        "data wait": of("train_dataloader_next"),
        "copy to the device": of(".batch_to_device"),
        "forward and losses": of("Strategy.training_step", "DDPStrategy.training_step"),
        "backward and weighting": of("Strategy.backward"),
        "validation": of(".run_evaluation", "val_next", "Strategy.validation_step"),
    }
    count, seconds = of(".optimizer_step")
    inside = known["forward and losses"][1] + known["backward and weighting"][1]
    known["optimizer"] = count, max(0.0, seconds - inside)
    return known


def parts_table(known: Mapping[str, tuple[int, float]]) -> str:
    """A line per part: its name, how often, seconds, and the share of the parts' sum."""
    total = sum(seconds for _, seconds in known.values()) or 1.0
    lines = [f"{'part':24s}{'times':>8s}{'seconds':>12s}{'share':>8s}"]
    lines += [f"{name:24s}{count:8d}{seconds:12.3f}{seconds / total:8.1%}" for name, (count, seconds) in known.items()]
    return "\n".join(lines) + "\n"
