"""Breaks files of small data sets, one at a time, and looks at what the data module says.

    python scripts/fuzz/data.py --cases 500 --json fuzz.json --layouts voc,coco

Each case must end in one of two ways: the data set is served whole, or an error of ours names the broken file, its
folder, a split that has lost all its files, or a key of the config. Anything else is a failure: another exception, a
message without that, boxes that are not finite, more than `PATIENCE` seconds, or a changed file. Exit status 1 if there
is one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from layouts import LAYOUTS, Layout
from mutations import BYTES, KINDS
from rich.console import Console
from rich.table import Table

from vjo_train.data.datamodule import DataModule
from vjo_train.data.transforms import Augment
from vjo_train.errors import VjoError
from vjo_train.schedules.joint import Joint

PATIENCE = 20


def misplace(rng: random.Random, path: Path, others: Sequence[Path]) -> str:
    """Puts something else in the place of a file; returns what."""
    what = rng.choice(("another file", "empty", "missing", "folder", "pipe", "link to itself", "link to nowhere"))
    content = rng.choice(others).read_bytes()
    path.unlink()
    if what == "another file":
        path.write_bytes(content)
    elif what == "empty":
        path.touch()
    elif what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "link to itself":
        path.symlink_to(path.name)
    elif what == "link to nowhere":
        path.symlink_to("nowhere")
    return what


def restore(path: Path, content: bytes, times: tuple[int, int]) -> None:
    """Puts the file back as it was."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=times)


def serve(layout: Layout, folder: Path, cache: Path) -> None:
    """Everything that a run asks of a data set: its classes, setup, an epoch of training batches, the test batches.

    Raises:
        ValueError: boxes that are not finite.
        VjoError: see the data module.
    """
    source, (train, val, test) = layout.source(), layout.splits
    root = folder / layout.place
    classes = layout.classes or source.class_names(source.root(root))
    data = DataModule(
        root=str(root), classes=list(classes), split=train, val_split=val, val_fraction=0.0, test_split=test,
        size=32, batch_size=3, eval_batch_size=4, workers=0, labelled_per_batch=1, cache_dir=str(cache), source=source,
        augment=Augment(zoom_out=0.5, crop=0.5, flip=0.5, jitter=0.5), seed=0,
    )  # fmt: skip
    needs = {kind: frozenset({kind}) for kind in layout.kinds} or {"self-supervised": frozenset[str]()}
    data.set_tasks(needs, Joint(tasks=tuple(needs)))
    data.setup("fit")
    for batch in (*data.train_dataloader(), *data.test_dataloader()):
        known = [target["boxes"].xyxy for target in (*batch.targets, *batch.originals) if "boxes" in target]
        if not all(boxes.isfinite().all() for boxes in known):
            raise ValueError("boxes that are not finite")


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Interrupts the block by a TimeoutError."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def state(path: Path) -> Any:
    """What must not change of a file, whatever is there."""
    stat = path.lstat() if path.is_symlink() or path.exists() else None
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return digest, stat and (stat.st_mode, stat.st_mtime_ns)


def judge(layout: Layout, root: Path, cache: Path, path: Path) -> tuple[str, str]:
    """(`served`, `refused` or `failed`, and what was said) of the data set with the broken file `path`."""
    before = state(path)
    try:
        with limited(PATIENCE):
            serve(layout, root, cache)
        said = ("served", "")
    except VjoError as error:  # a ConfigError where lists now have images in common
        folder = path.parent.relative_to(root).as_posix()  # as a list of folders names it; never that of the set itself
        words = (path.name, path.stem, str(path.parent), "dataset.", "no split '", *([] if folder == "." else [folder]))
        named = any(word in str(error) for word in words)
        said = ("refused" if named else "failed", str(error))
    except Exception:
        said = ("failed", traceback.format_exc())
    return said if state(path) == before else ("failed", "the file was changed")


def case(rng: random.Random, name: str, root: Path, cache: Path) -> dict[str, str]:
    """Breaks one file, looks, and mends it."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.stem not in ("trainval", "parameters")]
    alike: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        alike.setdefault((path.parent.parent, path.suffix), []).append(path)
    path = rng.choice(rng.choice(list(alike.values())))
    content, stat = path.read_bytes(), path.stat()
    try:
        if rng.random() < 0.2:
            kind = misplace(rng, path, files)
        else:
            mutation = rng.choice(KINDS.get(path.suffix, BYTES))
            kind = mutation.__name__.replace("_", " ")
            path.write_bytes(mutation(rng, content))
        outcome, said = judge(LAYOUTS[name], root, cache, path)
    finally:
        restore(path, content, (stat.st_atime_ns, stat.st_mtime_ns))
    return {"layout": name, "file": str(path.relative_to(root)), "kind": kind, "outcome": outcome, "said": said}


def table(cases: Sequence[dict[str, str]]) -> Table:
    """A row per layout and kind."""
    shown = Table(title="Broken files", title_justify="left", title_style="bold")
    for header in ("layout", "kind"):
        shown.add_column(header, style="cyan")
    for header in ("cases", "served", "refused", "failed"):
        shown.add_column(header, justify="right")
    for layout, kind in [*sorted({(entry["layout"], entry["kind"]) for entry in cases}), ("all", "all")]:
        chosen = [e for e in cases if layout == "all" or (e["layout"], e["kind"]) == (layout, kind)]
        counts = Counter(entry["outcome"] for entry in chosen)
        row = (str(counts[outcome]) for outcome in ("served", "refused", "failed"))
        shown.add_row(layout, kind, str(len(chosen)), *row)
    return shown


def main(words: Sequence[str] | None = None) -> None:
    """Plays the cases, prints, writes; the words are those of the command line by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layouts", help=f"of {', '.join(LAYOUTS)}; all by default")
    parser.add_argument("--json", type=Path, help="where to write each case")
    args = parser.parse_args(words)
    chosen = args.layouts.split(",") if args.layouts else list(LAYOUTS)
    cases, console = [], Console()
    for name in chosen:
        rng, layout = random.Random(f"{args.seed} {name}"), LAYOUTS[name]
        with TemporaryDirectory() as temporary:
            root, cache = Path(temporary) / "set", Path(temporary) / "cache"
            root.mkdir()
            layout.write(root)
            serve(layout, root, cache)
            cases += [case(rng, name, root, cache) for _ in range(args.cases)]
            serve(layout, root, cache)
    if args.json:
        args.json.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
    console.print(table(cases))
    failed = [entry for entry in cases if entry["outcome"] == "failed"]
    for entry in failed[:10]:
        console.print(f"{entry['layout']}, {entry['file']}, {entry['kind']}: {entry['said']}", markup=False)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
