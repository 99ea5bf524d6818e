"""Breaks files of a data set in the devkit's layout, one at a time, and looks at what the data module says.

    python scripts/fuzz/data.py --cases 2000 --json fuzz.json

Each case must end in one of two ways: the data set is served whole, or an error of ours names the broken file. Anything
else is a failure: another exception, a message without the file's name, boxes that are not finite, more than
`PATIENCE` seconds, or a changed file. Exit status 1 if there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from vjo_train.data.datamodule import DataModule
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shapes import Shapes
from vjo_train.data.transforms import Augment
from vjo_train.errors import VjoError
from vjo_train.schedules.joint import Joint

PATIENCE = 20
NEEDS = {"detection": frozenset({"boxes"}), "semantic": frozenset({"semantic"}), "instance": frozenset({"masks"})}
NUMBERS = ("-1", "0", "1", "nan", "inf", "-inf", "1e309", "1" * 400, "", " ", "0x10", "1_0", "٣", "1e4", "2.5", "x")
TEXTS = ("circle", "Circle", "", "\u202e", "square<!-- -->", "&lt;", "a" * 5000, "1", "person")
IDS = ("../../etc/passwd", "/etc/passwd", "..", "a/b", "\\\\host\\x", "\ufeff", "\u0000", "00000 1", "x" * 5000, "")

Mutation = Callable[[random.Random, bytes], bytes]


def flip(rng: random.Random, content: bytes) -> bytes:
    """One to twenty bytes are others."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 20)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def truncate(rng: random.Random, content: bytes) -> bytes:
    """The end is missing."""
    return content[: rng.randrange(len(content))]


def insert(rng: random.Random, content: bytes) -> bytes:
    """Random bytes come in between."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randint(1, 200)) + content[place:]


def repeat(rng: random.Random, content: bytes) -> bytes:
    """A stretch comes twice."""
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:end] + content[start:]


def drop(rng: random.Random, content: bytes) -> bytes:
    """A stretch is missing."""
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + content[end:]


def swap_fields(rng: random.Random, content: bytes) -> bytes:
    """Two values of an XML file have changed places."""
    fields = list(re.finditer(rb">([^<>\s]+)<", content))
    one, two = sorted(rng.sample(fields, 2), key=lambda field: field.start())
    parts = (content[: one.start(1)], two[1], content[one.end(1) : two.start(1)], one[1], content[two.end(1) :])
    return b"".join(parts)


def odd_value(rng: random.Random, content: bytes) -> bytes:
    """A value of an XML file is an odd one."""
    field = rng.choice(list(re.finditer(rb">([^<>\s]+)<", content)))
    value = rng.choice(NUMBERS if field[1].isdigit() else TEXTS).encode()
    return content[: field.start(1)] + value + content[field.end(1) :]


def lose_element(rng: random.Random, content: bytes) -> bytes:
    """An element of an XML file is missing, or comes twice."""
    element = rng.choice(list(re.finditer(rb"<(\w+)>[^<>]*</\1>", content)))
    return content[: element.start()] + element[0] * rng.choice((0, 2)) + content[element.end() :]


def entities(rng: random.Random, content: bytes) -> bytes:
    """An XML file with entities: of its own that grow, or of another file."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    other = '<!ENTITY l11 SYSTEM "file:///etc/passwd">'
    start = f"<!DOCTYPE annotation [{rng.choice((laughs, other))}]>".encode()
    return start + odd_value(rng, content).replace(b"</name>", b"&l11;</name>")


def recode(rng: random.Random, content: bytes) -> bytes:
    """An XML file or a list in another encoding, which it may or may not declare."""
    coding = rng.choice(("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp037"))
    declared = rng.choice(("", f'<?xml version="1.0" encoding="{rng.choice((coding, "utf-8", "nonsense"))}"?>'))
    return (declared + content.decode() + rng.choice(("", "é"))).encode(coding, errors="replace")


def odd_id(rng: random.Random, content: bytes) -> bytes:
    """A line of a list is an odd id."""
    lines = content.decode().splitlines()
    lines[rng.randrange(len(lines))] = rng.choice((*IDS, lines[0]))
    return "\n".join(lines).encode()


BYTES: tuple[Mutation, ...] = (flip, truncate, insert, repeat, drop)
XML: tuple[Mutation, ...] = (swap_fields, odd_value, lose_element, entities, recode)
FOLDERS: dict[str, tuple[Mutation, ...]] = {
    "JPEGImages": BYTES,
    "SegmentationClass": BYTES,
    "SegmentationObject": BYTES,
    "Annotations": (*BYTES, *XML, *XML),
    "ImageSets/Main": (*BYTES, odd_id, odd_id, recode),
}
"""Folder -> what may happen to the content of its files."""


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


def serve(root: Path, cache: Path) -> None:
    """Everything that a run asks of a data set: setup, an epoch of training batches, the test batches.

    Raises:
        ValueError: boxes that are not finite.
        VjoError: see the data module.
    """
    data = DataModule(
        root=str(root), classes=list(CLASSES), split="train", val_split="val", val_fraction=0.0, test_split="test",
        size=32, batch_size=3, eval_batch_size=4, workers=0, labelled_per_batch=1, cache_dir=str(cache),
        augment=Augment(zoom_out=0.5, crop=0.5, flip=0.5, jitter=0.5), seed=0,
    )  # fmt: skip
    data.set_tasks(NEEDS, Joint(tasks=tuple(NEEDS)))
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


def judge(root: Path, cache: Path, path: Path) -> tuple[str, str]:
    """(`served`, `refused` or `failed`, and what was said) of the data set with the broken file `path`."""
    before = state(path)
    try:
        with limited(PATIENCE):
            serve(root, cache)
        said = ("served", "")
    except VjoError as error:  # a ConfigError where lists now have images in common
        named = path.name in str(error) or path.stem in str(error)
        said = ("refused" if named else "failed", str(error))
    except Exception:
        said = ("failed", traceback.format_exc())
    return said if state(path) == before else ("failed", "the file was changed")


def case(rng: random.Random, root: Path, cache: Path) -> dict[str, str]:
    """Breaks one file, looks, and mends it."""
    folder = rng.choice(list(FOLDERS))
    files = sorted(path for path in (root / folder).iterdir() if path.suffix != ".json")
    path = rng.choice([file for file in files if file.stem != "trainval"])
    content, stat = path.read_bytes(), path.stat()
    try:
        if rng.random() < 0.2:
            kind = misplace(rng, path, [*files, *sorted((root / "JPEGImages").iterdir())])
        else:
            mutation = rng.choice(FOLDERS[folder])
            kind = mutation.__name__.replace("_", " ")
            path.write_bytes(mutation(rng, content))
        outcome, said = judge(root, cache, path)
    finally:
        restore(path, content, (stat.st_atime_ns, stat.st_mtime_ns))
    return {"folder": folder, "kind": kind, "outcome": outcome, "said": said}


def table(cases: Sequence[dict[str, str]]) -> Table:
    """A row per folder and kind."""
    shown = Table(title="Broken files", title_justify="left", title_style="bold")
    for header in ("folder", "kind"):
        shown.add_column(header, style="cyan")
    for header in ("cases", "served", "refused", "failed"):
        shown.add_column(header, justify="right")
    for folder, kind in [*sorted({(entry["folder"], entry["kind"]) for entry in cases}), ("all", "all")]:
        chosen = [e for e in cases if folder == "all" or (e["folder"], e["kind"]) == (folder, kind)]
        counts = Counter(entry["outcome"] for entry in chosen)
        row = (str(counts[outcome]) for outcome in ("served", "refused", "failed"))
        shown.add_row(folder, kind, str(len(chosen)), *row)
    return shown


def main(words: Sequence[str] | None = None) -> None:
    """Plays the cases, prints, writes; the words are those of the command line by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write each case")
    args = parser.parse_args(words)
    rng, console = random.Random(args.seed), Console()
    with TemporaryDirectory() as temporary:
        root, cache = Path(temporary) / "set", Path(temporary) / "cache"
        Shapes(train=4, val=1, test=2, image_size=32, masked=1.0).write(root)
        serve(root, cache)
        cases = [case(rng, root, cache) for _ in range(args.cases)]
        serve(root, cache)
    if args.json:
        args.json.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
    console.print(table(cases))
    failed = [entry for entry in cases if entry["outcome"] == "failed"]
    for entry in failed[:10]:
        console.print(f"{entry['folder']}, {entry['kind']}: {entry['said']}", markup=False)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
