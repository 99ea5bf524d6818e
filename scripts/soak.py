"""Kills short runs at random moments, resumes them, and compares what they leave, bit by bit, with runs left alone.

    python scripts/soak.py --rounds 100 --json soak.json

A round takes one of the scenarios, starts `vjo-train ... trainer.resume=auto`, ends it by a blow at a random moment,
starts it again, up to three times, and lets the last start finish. Sometimes the newest checkpoint is cut short too.
Every start is the real command in a process of its own, forked from this one, where the imports are done already.
Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from vjo_train import build as _build  # noqa: F401  what a run imports is imported before the first fork
from vjo_train import cli, runs

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
TIMES = {"images_per_second", "data_wait", "seconds", "wall_seconds", "test_seconds", "inference_images_per_second"}
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
        cli.train()
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
    last, previous = runs.last_checkpoints(folder)
    damaged = blow.damage and status != 0 and last.is_file() and previous.is_file()
    if damaged:
        os.truncate(last, rng.randrange(last.stat().st_size))
    return status, damaged


def differences(one: Path, two: Path) -> list[str]:
    """In what the folders of two finished runs differ, times left out."""
    found = []
    for name in ("last", "best"):
        states = [folder / "checkpoints" / f"{name}.ckpt" for folder in (one, two)]
        if states[0].is_file() or states[1].is_file():
            found += _unequal(*(torch.load(path, weights_only=True) for path in states), path=name)
    if _rows(one) != _rows(two):
        found.append("metrics.csv")
    results = [json.loads((folder / "results.json").read_text()) for folder in (one, two)]
    found += [f"results.json: {key}" for key in results[0] if key not in TIMES and results[0][key] != results[1][key]]
    found += [f"left behind: {path.name}" for path in two.rglob(".*.tmp")]
    return found


def _unequal(a: Any, b: Any, path: str) -> list[str]:
    """The first places where the weights and states of optimizers of two checkpoints differ."""
    parts = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "batches", "global_step")
    return [f"{path}: {part}" for part in parts if not _same(a.get(part), b.get(part))]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and bool((a.eq(b) | (a.ne(a) & b.ne(b))).all())
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def play_round(name: str, words: Sequence[str], left: Alone, folder: Path, rng: random.Random) -> dict[str, Any]:
    """One round: what was done, and what was found wrong."""
    blows, wrong = [], []
    for _ in range(rng.randint(1, 3)):
        blow = choose_blow(rng, left)
        status, damaged = strike(words, folder, blow, rng)
        name_of = signal.Signals(blow.number).name
        blows.append({"kind": blow.kind, "signal": name_of, "status": status, "damaged": damaged})
        # 0: it had finished before; 130: it stopped as asked; else the signal ended it.
        if status not in (0, 130, -blow.number):
            wrong.append(f"a start ended with {status} after {blow}")
    status = wait(start(words, folder), PATIENCE)
    if status != 0:
        wrong.append(f"the last start ended with {status}")
    else:
        wrong += differences(left.folder, folder)
    return {"scenario": name, "blows": blows, "wrong": wrong}


def table(rounds: Sequence[dict[str, Any]]) -> Table:
    """A row per scenario."""
    shown = Table(title="Runs killed and resumed", title_justify="left", title_style="bold")
    shown.add_column("scenario", style="cyan")
    kinds = ["SIGKILL", "SIGTERM", "SIGINT", "SIGUSR1", "while writing", "at a file event", "after the end"]
    for header in ("rounds", *kinds, "damaged", "mismatches"):
        shown.add_column(header, justify="right")
    for name in [*dict.fromkeys(entry["scenario"] for entry in rounds), "all"]:
        chosen = [entry for entry in rounds if name in (entry["scenario"], "all")]
        counts = Counter(_label(blow) for entry in chosen for blow in entry["blows"])
        damaged = sum(blow["damaged"] for entry in chosen for blow in entry["blows"])
        wrong = sum(bool(entry["wrong"]) for entry in chosen)
        shown.add_row(name, *map(str, (len(chosen), *(counts[kind] for kind in kinds), damaged, wrong)))
    return shown


def _label(blow: dict[str, Any]) -> str:
    if blow["status"] == 0:
        return "after the end"
    return {"writing": "while writing", "file event": "at a file event"}.get(blow["kind"], blow["signal"])


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="decides scenarios and blows; the moments are the clock's")
    parser.add_argument("--scenarios", nargs="*", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--json", type=Path, help="where to write what was done and found")
    parser.add_argument("--keep", type=Path, help="a folder for the runs; those in which something is wrong stay there")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Plays the rounds, prints, writes; the words are those of the command line by default."""
    args, console, begin = arguments(words), Console(width=120), time.monotonic()
    rng = random.Random(args.seed)
    rounds: list[dict[str, Any]] = []
    with TemporaryDirectory() as temporary:
        base = (args.keep or Path(temporary)).absolute()
        base.mkdir(parents=True, exist_ok=True)
        if any(base.iterdir()):
            raise SystemExit(f"--keep: '{base}' is not empty; what lies there would be resumed.")
        common = [*SMALL, f"dataset.cache_dir={base / 'cache'}"]
        chosen = {name: [*common, *SCENARIOS[name]] for name in args.scenarios}
        left = {name: alone(run, base / f"alone-{number}") for number, (name, run) in enumerate(chosen.items())}
        for number in range(args.rounds):
            name = args.scenarios[number % len(args.scenarios)]
            folder = base / f"round-{number}"
            try:
                entry = play_round(name, chosen[name], left[name], folder, rng)
            except RuntimeError as error:
                entry = {"scenario": name, "blows": [], "wrong": [str(error)]}
            rounds.append(entry)
            if entry["wrong"]:
                console.print(f"round {number} ({name}): {entry['wrong']}, after {entry['blows']}; {folder}.log")
            else:
                shutil.rmtree(folder)
        report = {
            "rounds": len(rounds),
            "kills": sum(blow["status"] != 0 for entry in rounds for blow in entry["blows"]),
            "damaged": sum(blow["damaged"] for entry in rounds for blow in entry["blows"]),
            "mismatches": sum(bool(entry["wrong"]) for entry in rounds),
            "seconds": round(time.monotonic() - begin, 1),
            "seconds_alone": {name: round(one.seconds, 2) for name, one in left.items()},
            "played": rounds,
        }
        if args.json:
            args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(table(rounds))
    console.print({key: report[key] for key in ("rounds", "kills", "damaged", "mismatches", "seconds")})
    if report["mismatches"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
