"""Starts the commands with random wrong overrides and looks at what they answer.

    python scripts/fuzz/config.py --cases 300 --json mistakes.json

Each mistake must be answered before anything starts: exit status 2, at most three lines that begin with the command's
name and name the key (or the choice, or the text that cannot be read), no traceback, no import of torch, and no file or
folder left behind. Exit status 1 if one is not. The commands run in this process, one after another.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mistakes import BASES, OTHERS, Maker, Mistake, of_others
from omegaconf import OmegaConf, open_dict
from rich.console import Console
from rich.table import Table

from vjo_train.cli import commands, data, finished_run, report, train
from vjo_train.config.compose import Composer


class Accepted(BaseException):
    """The command took a wrong command line for right."""


def answer(mistake: Mistake) -> tuple[int | str, str, str]:
    """(exit status, standard output, standard error); the status is text where the command did not end as it should."""
    known = {
        "vjo-train": commands.train,
        "vjo-eval": commands.evaluate,
        "vjo-predict": commands.predict,
        "vjo-export": commands.export,
        "vjo-data": commands.data,
        "vjo-report": commands.report,
    }
    out, err = io.StringIO(), io.StringIO()
    sys.argv = [mistake.command, *mistake.words]
    status: int | str = "returned"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            known[mistake.command]()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else repr(end.code)
        except Accepted:
            status = "accepted"
        except BaseException:
            status = traceback.format_exc()
    return status, out.getvalue(), err.getvalue()


def wrong_with(mistake: Mistake, status: int | str, out: str, err: str, left: Sequence[str]) -> str:
    """What is wrong with an answer, or nothing."""
    if left and status != "accepted":
        return f"leaves {', '.join(left)} behind"
    if status != 2:
        return f"status {status}"
    if not err.startswith(f"{mistake.command}: error: ") or len(err.splitlines()) > 3:
        return "not an answer of up to three lines"
    if not any(name in err for name in mistake.named):
        return f"does not name {mistake.named[0]}"
    if "Traceback" in out + err:
        return "traceback"
    if "torch" in sys.modules:
        del sys.modules["torch"]
        return "imports torch"
    return ""


def play(number: int, seed: int) -> list[dict[str, Any]]:
    """Makes `number` mistakes in the current folder, which must be empty; what was given, answered, and found wrong."""
    cfg = Composer("train").compose([])
    with open_dict(cfg):
        del cfg["hydra"]
    Path("run/.hydra").mkdir(parents=True)
    Path("run/checkpoints").mkdir()
    Path("run/checkpoints/last.ckpt").touch()
    OmegaConf.save(cfg, "run/.hydra/config.yaml")
    Path("picture.png").touch()
    there = set(os.listdir())

    def accept(*_: Any) -> None:
        raise Accepted

    for command in (train, data, finished_run, report):
        command.run_hydra = accept  # what a right command line would start
    rng, makers, played = random.Random(seed), [Maker(base) for base in BASES], []
    for _ in range(number):
        other = rng.random() < 0.2
        mistake = of_others(rng, rng.choice(list(OTHERS))) if other else rng.choice(makers).mistake(rng)
        begin = time.perf_counter()
        status, out, err = answer(mistake)
        left = sorted(set(os.listdir()) - there)
        for name in left:
            shutil.rmtree(name)
        entry = {"kind": mistake.kind, "line": " ".join((mistake.command, *mistake.words)), "said": err.strip()}
        entry["seconds"] = round(time.perf_counter() - begin, 3)
        played.append({**entry, "wrong": wrong_with(mistake, status, out, err, left)})
    return played


def table(played: Sequence[dict[str, Any]]) -> Table:
    """A row per kind."""
    shown = Table(title="Wrong overrides", title_justify="left", title_style="bold")
    shown.add_column("kind", style="cyan")
    for header in ("cases", "answered", "not answered"):
        shown.add_column(header, justify="right")
    kinds = Counter(entry["kind"] for entry in played)
    wrong = Counter(entry["kind"] for entry in played if entry["wrong"])
    for kind, count in [*sorted(kinds.items()), ("all", len(played))]:
        bad = wrong.total() if kind == "all" else wrong[kind]
        shown.add_row(kind, str(count), str(count - bad), str(bad))
    return shown


def main(words: Sequence[str] | None = None) -> None:
    """Makes the mistakes, prints, writes; the words are those of the command line by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write each mistake and its answer")
    args = parser.parse_args(words)
    before = Path.cwd()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            played = play(args.cases, args.seed)
        finally:
            os.chdir(before)
    if args.json:
        args.json.write_text(json.dumps(played, indent=1) + "\n", encoding="utf-8")
    console = Console(soft_wrap=True)
    console.print(table(played))
    console.print(f"longest answer: {max(entry['seconds'] for entry in played):.2f} s")
    failed = [entry for entry in played if entry["wrong"]]
    for entry in failed:
        console.print(
            f"{entry['line']}: {entry['wrong']}\n    {entry['said']}", markup=False, emoji=False, highlight=False
        )
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
