"""What a training run shows while it goes on: a live bar in a terminal, a line per epoch anywhere else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar as Bar
from rich.table import Table
from rich.text import Text

from vjo_train.report.throughput import Span, Throughput, learning_rate
from vjo_train.types import Batch

INTERVAL = 0.2
"""Seconds between two refreshes of the live display."""
SILENCE = 60.0
"""Seconds after which a log file gets a line within an epoch."""


class Progress(ProgressBar):
    """Shows losses, weights, learning rate, images/s and the share of time spent waiting for data.

    Metrics are read only when the display is refreshed, so that steps between refreshes never wait for the
    device. After each epoch one line stays behind; where there is no terminal, that is all, but for a line a minute in
    long epochs and tests.

    Args:
        tasks: the tasks, in the order shown.
        throughput: measures this run; must stand before this callback.
        console: where to show; standard output by default.
        clock: seconds from any origin.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        throughput: Throughput,
        console: Console | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.throughput = throughput
        self.console = console or Console()
        self._clock = clock
        self._enabled = True
        self._live: Live | None = None
        self._shown = -math.inf
        self._started = 0.0
        self._spoke = -math.inf

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Prints above the display."""
        if self._enabled:
            self.console.print(*args, **kwargs)

    # Training

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        title = epoch_title(trainer.current_epoch, trainer.max_epochs)
        self._break_silence(title, batch_idx + 1, self.total_train_batches, self.throughput.recent)
        if not self._due():
            return
        head = _bar(title, batch_idx + 1, self.total_train_batches, self._clock() - self._started)
        speed = speed_text(self.throughput.recent, learning_rate(trainer))
        self._show(Group(head, Text(f"  {speed}"), task_grid(self.tasks, _floats(trainer.callback_metrics))))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._enabled or self.throughput.epoch.images == 0:
            return
        line = epoch_line(
            epoch_title(trainer.current_epoch, trainer.max_epochs),
            self.tasks,
            _floats(trainer.callback_metrics),
            learning_rate(trainer),
            self.throughput.epoch,
            self.throughput.epoch_seconds,
        )
        self.console.print(Text(line), soft_wrap=True)
        self._spoke = self._clock()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    # Validation and test

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        batches = trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches
        self._evaluation("validation", batch_idx, batches)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit":
            self._stop()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin()

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        self._evaluation("test", batch_idx, trainer.num_test_batches)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stop()

    def _evaluation(self, title: str, batch_idx: int, batches: Sequence[int | float]) -> None:
        self._break_silence(title, batch_idx + 1, sum(batches))
        if self._due():
            self._show(_bar(title, batch_idx + 1, sum(batches), self._clock() - self._started))

    # The display

    def _begin(self) -> None:
        self._started = self._clock()
        self._spoke = max(self._spoke, self._started)

    def _break_silence(self, title: str, done: int, batches: float, speed: Span | None = None) -> None:
        """A line where there is no terminal, once a minute has gone by without one."""
        if not self._enabled or self.console.is_terminal or self._clock() - self._spoke < SILENCE:
            return
        left = f" of {batches:.0f}" if math.isfinite(batches) else ""
        said = f", {speed.images_per_second:.1f} images/s" if speed is not None and speed.images else ""
        self.console.print(Text(f"{title}, {done}{left} batches{said}"), soft_wrap=True)
        self._spoke = self._clock()

    def _due(self) -> bool:
        return self._enabled and self.console.is_terminal and self._clock() - self._shown >= INTERVAL

    def _show(self, content: RenderableType) -> None:
        if self._live is None:
            # Without its own thread: a refresh happens between steps, or not at all.
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(content, refresh=True)
        self._shown = self._clock()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def epoch_title(epoch: int, epochs: int | None) -> str:
    """`epoch 3/30`, counted from 1; without the total where steps limit the run."""
    return f"epoch {epoch + 1}/{epochs}" if epochs and epochs > 0 else f"epoch {epoch + 1}"


def epoch_line(
    title: str,
    tasks: Sequence[str],
    metrics: Mapping[str, float],
    lr: float,
    speed: Span,
    seconds: float,
) -> str:
    """One epoch in one line: losses and weights (`x`) by task, the monitor, learning rate, speed and duration."""
    parts = [title]
    for task in tasks:
        loss, weight = metrics.get(f"train/{task}/loss"), metrics.get(f"train/{task}/weight")
        if loss is not None:
            parts.append(f"{task} {loss:.4g}" + ("" if weight is None else f" x{weight:.2f}"))
    if "val/monitor" in metrics:
        parts.append(f"val {metrics['val/monitor']:.4f}")
    return " · ".join([*parts, speed_text(speed, lr), clock_text(seconds)])


def speed_text(speed: Span, lr: float) -> str:
    """Learning rate, images per second and the share of time spent waiting for data."""
    return f"lr {lr:.2e} · {speed.images_per_second:.1f} images/s · data wait {100 * speed.data_wait:.0f}%"


def clock_text(seconds: float) -> str:
    """`12s`, `3:07` or `1:02:03`."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}:{minutes:02}:{secs:02}"
    return f"{minutes}:{secs:02}" if minutes else f"{secs}s"


def task_grid(tasks: Sequence[str], metrics: Mapping[str, float]) -> Table:
    """A line per task with its loss and weight; a task that was not yet on has dashes."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan")
    for task in tasks:
        loss, weight = metrics.get(f"train/{task}/loss"), metrics.get(f"train/{task}/weight")
        grid.add_row(
            f"  {task}",
            "loss -" if loss is None else f"loss {loss:.4g}",
            "weight -" if weight is None else f"weight {weight:.2f}",
        )
    return grid


def _bar(title: str, done: int, total: int | float, seconds: float) -> Table:
    known = math.isfinite(total)
    grid = Table.grid(padding=(0, 1), expand=True)
    for ratio in (None, 1, None, None):
        grid.add_column(ratio=ratio, no_wrap=True)
    left = clock_text(seconds / done * (total - done)) if known else "?"
    grid.add_row(
        Text(title, style="bold"),
        Bar(total=float(total) if known else None, completed=done, pulse=not known),
        f"{done}/{total:.0f}" if known else str(done),
        Text(f"{clock_text(seconds)}, {left} left", style="dim"),
    )
    return grid


def _floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What the display needs of `metrics`, as plain numbers: this is where the host waits for the device."""
    wanted = {n: v for n, v in metrics.items() if n == "val/monitor" or n.endswith(("/loss", "/weight"))}
    return {name: float(value) for name, value in wanted.items() if name.startswith(("train/", "val/monitor"))}
