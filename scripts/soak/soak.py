"""Kills short runs at random moments, resumes them, and compares what they leave, bit by bit, with runs left alone.

    python scripts/soak/soak.py --rounds 100 --json soak.json

A round takes one of the scenarios, starts `vjo-train ... trainer.resume=auto`, ends it by a blow at a random moment,
starts it again, up to three times, and lets the last start finish. Sometimes the newest checkpoint is cut short too.
Every start is the real command in a process of its own, forked from this one, where the imports are done already.
Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from scenarios import PATIENCE, SCENARIOS, SMALL, Alone, alone, choose_blow, start, strike, wait

TIMES = {"images_per_second", "data_wait", "seconds", "wall_seconds", "test_seconds", "inference_images_per_second"}


def differences(one: Path, two: Path) -> list[str]:
    """In what the folders of two finished runs differ, times left out."""
    found = []
    for name in ("last", "best"):
        states = [folder / "checkpoints" / f"{name}.ckpt" for folder in (one, two)]
        if states[0].is_file() or states[1].is_file():
            found += _unequal(*(torch.load(path, weights_only=True) for path in states), path=name)
    if _rows(one) != _rows(two):
        found.append("metrics.csv")
    images = [folder / "image_weights.csv" for folder in (one, two)]
    if len({path.read_text() if path.is_file() else None for path in images}) > 1:
        found.append("image_weights.csv")
    results = [json.loads((folder / "results.json").read_text()) for folder in (one, two)]
    keys = dict.fromkeys(key for part in results for key in part if key not in TIMES)
    found += [f"results.json: {key}" for key in keys if results[0].get(key) != results[1].get(key)]
    drawn, again = map(_pictures, (one, two))
    found += [f"{path}" for path in {**drawn, **again} if drawn.get(path) != again.get(path)]
    found += [f"left behind: {path.name}" for path in two.rglob(".*.tmp")]
    return found


def _unequal(a: Any, b: Any, path: str) -> list[str]:
    """The first places where the weights and states of optimizers of two checkpoints differ."""
    parts = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "batches", "global_step")
    return [f"{path}: {part}" for part in parts if not _same(a.get(part), b.get(part))]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and (a.dtype, a.shape) == (b.dtype, b.shape) and _bytes(a) == _bytes(b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def _pictures(folder: Path) -> dict[Path, bytes]:
    """What was drawn, of the validations and of the test.

    Without `regions.png`: its gradients have been seen to be one grey level off in a process that only tested.
    """
    files = [path for kind in ("png", "jpg") for path in folder.rglob(f"*.{kind}") if path.name != "regions.png"]
    return {path.relative_to(folder): path.read_bytes() for path in files}


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
