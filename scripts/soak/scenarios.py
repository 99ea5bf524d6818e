"""Short runs of `vjo-train` in processes of their own, left alone or ended by a blow at a random moment."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vjo_train.cli import commands
from vjo_train.config import build as _build  # noqa: F401  what a run imports is imported before the first fork
from vjo_train.runs import run_folder

SMALL = (
    "backbone=resnet10",
    "backbone.norm=group",
    "neck.channels=16",
    "heads.detection.depth=1",
    "dataset.size=32",
    "dataset.batch_size=4",
    "dataset.generate.image_size=32",
    "dataset.generate.train=22",
    "dataset.generate.val=4",
    "dataset.generate.test=4",
    "trainer.max_epochs=3",
    "trainer.progress=false",
    "trainer.drawn_images=1",
    "trainer.accelerator=cpu",
    "trainer.resume=auto",
)
SCENARIOS = {
    "dwa, 2 workers": ("weighting=dwa", "dataset.workers=2"),
    "pcgrad over dwa, accumulating": (
        *("weighting=pcgrad", "weighting.losses=dwa", "dataset.workers=0", "trainer.accumulate_grad_batches=2"),
    ),
    "famo, averaged weights": ("weighting=famo", "dataset.workers=0", "trainer.ema=0.9", "backbone.norm=batch"),
    "in turns by step": ("weighting=uncertainty", "schedule=alternating", "dataset.workers=2", "optimizer=adamw"),
    "in turns by epoch": ("weighting=gradnorm", "schedule=alternating", "schedule.by=epoch", "dataset.workers=0"),
    "early stopping": ("weighting=equal", "dataset.workers=0", "trainer.early_stopping=1", "trainer.max_epochs=5"),
    "a number of steps": ("weighting=mgda", "dataset.workers=0", "trainer.max_steps=10", "dataset.val_split=null"),
    "meta, adversarial": (
        *("weighting=meta", "weighting.every=2", "dataset.meta_fraction=0.2", "sharing=adversarial"),
        *("schedule=proportional", "dataset.workers=4"),
    ),
}
PATIENCE = 1800.0
"""Seconds after which a start counts as hanging."""


@dataclass(frozen=True)
class Alone:
    """What a run that nobody stops takes, and leaves."""

    folder: Path
    seconds: float
    file_events: int


@dataclass(frozen=True)
class Blow:
    """How a start is ended: by a signal after some seconds, inside the writing of a checkpoint, or at a file event."""

    kind: str
    number: int
    seconds: float = 0.0
    file_event: int = 0
    twice: bool = False
    """Whether the signal comes a second time soon after, to stop at once."""
    damage: bool = False
    """Whether the newest checkpoint is cut short afterwards, where there is one before it."""


def start(words: Sequence[str], folder: Path, on_file_event: Callable[[], None] | None = None) -> int:
    """Forks a process that runs `vjo-train` with `words` in `folder`; returns its id.

    Args:
        words: overrides.
        folder: the run's folder.
        on_file_event: is called there before each opening, renaming or removing of a file in `folder`.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        torch.set_num_threads(1)
        if on_file_event is not None:
            watch(folder, on_file_event)
        sys.argv = ["vjo-train", *words, f"hydra.run.dir={folder}"]
        commands.train()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def watch(folder: Path, call: Callable[[], None]) -> None:
    """Calls `call` before each opening, renaming or removing of a file in `folder`."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in ("open", "os.rename", "os.remove") and str(args[0]).startswith(f"{folder}/"):
            call()

    sys.addaudithook(hook)


def wait(pid: int, seconds: float) -> int | None:
    """The exit status of a child (negative: the signal that ended it), or None if it runs on after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            return None
        time.sleep(0.002)


def alone(words: Sequence[str], folder: Path) -> Alone:
    """Runs without a blow, to compare with.

    Raises:
        RuntimeError: the run failed.
    """
    counter = folder.with_suffix(".events")

    def count() -> None:
        with counter.open("ab") as file:
            file.write(b".")

    begin = time.monotonic()
    status = wait(start(words, folder, count), PATIENCE)
    if status != 0:
        raise RuntimeError(f"a run that nobody stopped ended with {status}; see {folder.with_suffix('.log')}")
    return Alone(folder, time.monotonic() - begin, counter.stat().st_size)


def choose_blow(rng: random.Random, left: Alone) -> Blow:
    """A blow somewhere in the time of a whole run, or a little after it."""
    kind = rng.choice(["time", "time", "file event", "writing"])
    damage = rng.random() < 0.2
    if kind == "file event":
        return Blow(kind, signal.SIGKILL, file_event=rng.randint(1, left.file_events), damage=damage)
    if kind == "writing":
        return Blow(kind, signal.SIGKILL, seconds=rng.uniform(0, left.seconds), damage=damage)
    number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
    return Blow(kind, number, seconds=rng.uniform(0, 1.05 * left.seconds), twice=rng.random() < 0.3, damage=damage)


def strike(words: Sequence[str], folder: Path, blow: Blow, rng: random.Random) -> tuple[int, bool]:
    """Starts, ends by the blow; returns the exit status, and whether the newest checkpoint was damaged.

    Raises:
        RuntimeError: the process did not end.
    """
    if blow.kind == "file event":
        events = iter(range(blow.file_event - 1, -1, -1))

        def count() -> None:
            if next(events, 1) == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        pid, status = start(words, folder, count), None
    else:
        pid = start(words, folder)
        status = wait(pid, blow.seconds)
        if blow.kind == "writing":
            while status is None and not any((folder / "checkpoints").glob(".*.tmp")):
                status = wait(pid, 0.001)
            status = wait(pid, rng.uniform(0, 0.03)) if status is None else status
        if status is None:
            os.kill(pid, blow.number)
            if blow.twice and (status := wait(pid, rng.uniform(0, 0.3))) is None:
                os.kill(pid, blow.number)
    status = wait(pid, PATIENCE) if status is None else status
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise RuntimeError(f"hung after {blow}")
    last, previous = run_folder.last_checkpoints(folder)
    damaged = blow.damage and status != 0 and last.is_file() and previous.is_file()
    if damaged:
        os.truncate(last, rng.randrange(last.stat().st_size))
    return status, damaged
