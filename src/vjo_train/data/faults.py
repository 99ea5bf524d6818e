"""What is wrong with a data set, or looks as if it were."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from vjo_train.data.datamodule import DataModule
from vjo_train.data.decode import OtherSizeError, check_image, read_image
from vjo_train.data.index import Index
from vjo_train.data.letterbox import fit
from vjo_train.data.objects import Objects
from vjo_train.data.stacks import place_in
from vjo_train.errors import DataError
from vjo_train.types import Canvas

Rows: TypeAlias = npt.NDArray[np.int64]

TINY = 3.0
"""Pixels of the canvas: a box with a shorter side is hardly seen by the network."""
SAME_BOX = 0.95
"""Least IoU of two boxes of one class that are taken for one object annotated twice."""
ALIKE = 0.995
"""Least correlation of two thumbnails that are taken for one picture; copies of other size or quality reach it."""
THUMBNAIL = 32
"""Side of the thumbnails in pixels."""


@dataclass(frozen=True)
class Fault:
    """One finding.

    Attributes:
        kind: such as `tiny box`.
        where: the file or image.
        what: the rest of the sentence.
        fatal: training or testing would stop with it.
    """

    kind: str
    where: str
    what: str
    fatal: bool = False


@dataclass(frozen=True)
class Look:
    """What one image file looks like: a digest of its bytes, and a thumbnail of zero mean and unit length."""

    digest: str
    thumbnail: npt.NDArray[np.float32]


def broken_annotations(index: Index) -> list[Fault]:
    """Every image whose annotation cannot be read."""
    faults = []
    for row, what in zip(index.faulty.tolist(), index.faults.tolist(), strict=True):
        path, _, rest = what.partition(": ")
        where = Path(path).name if rest else str(index.ids[row])
        faults.append(Fault("broken annotation", where, rest or what, fatal=True))
    return faults


def mended_annotations(index: Index) -> list[Fault]:
    """What was read otherwise than it is written, in single images."""
    pairs = zip(index.noted.tolist(), index.notes.tolist(), strict=True)
    return [Fault(kind, str(index.ids[row]), what) for row, (kind, what) in pairs if row >= 0]


def splits(data: DataModule) -> tuple[dict[str, Rows], list[Fault]]:
    """The images with a sound annotation by what they are for (`train`, `val`, `test`), whatever their other files are
    like, and the lists that cannot be read.
    """
    data.take_as_sound()
    wanted: dict[str, Callable[[], Rows]] = {
        "train": lambda: data.train_rows,
        "val": lambda: data.val_rows,
        "test": lambda: data.rows(data.test_split),
    }
    found: dict[str, Rows] = {}
    faults = []
    for name, rows in wanted.items():
        try:
            found[name] = rows()
        except DataError as error:
            faults.append(Fault("broken split", name, str(error), fatal=True))
    return {name: rows for name, rows in found.items() if len(rows)}, faults


def look_at_files(data: DataModule, rows: Rows) -> Iterator[tuple[int, Look | None, list[Fault]]]:
    """Decodes the images and masks of `rows`, in as many threads as `data.workers`.

    Yields:
        The row, what the image looks like (None if it cannot be read), and what is wrong with its files: they cannot
        be read or contradict the annotation.
    """
    with ThreadPoolExecutor(max(1, data.workers)) as pool:
        yield from pool.map(lambda row: (int(row), *_look(data, int(row))), rows)


def _look(data: DataModule, row: int) -> tuple[Look | None, list[Fault]]:
    source, root, index = data.source, data.root, data.index
    faults = []
    look = None
    path = index.image(root, row)
    height, width = index.size(row)
    try:
        image = read_image(path, span=data.span)
        look = Look(hashlib.sha256(_content(path, image)).hexdigest(), thumbnail(image))
        try:
            check_image(path, (height, width), data.span)
        except OtherSizeError:
            found = f"{image.shape[2]} x {image.shape[1]} pixels; the annotation says {width} x {height}"
            faults.append(Fault("wrong image size", path.name, found, fatal=True))
    except DataError as error:
        faults.append(Fault("unreadable image", path.name, _without(str(error), path), fatal=True))
    for kind in source.kinds:
        if not index.labelled[kind.name][row]:
            continue
        try:
            raw = source.read(root, index, row, kind.name)
        except DataError as error:
            files = index.files.get(kind.name, index.images)
            file, where = root / str(files[row]), str(files[row])
            faults.append(Fault("broken label", where, _without(str(error), file), fatal=True))
            continue
        name = str(index.ids[row])
        faults += [Fault(what, name, found) for what, found in kind.doubts(raw, index.objects(row))]
    return look, faults


def _content(path: Path, image: Tensor) -> bytes:
    """What makes two files the same; of a picture in an array of many, its pixels."""
    return path.read_bytes() if place_in(path) is None else image.numpy().tobytes()


def thumbnail(image: Tensor) -> npt.NDArray[np.float32]:
    """uint8 [3, H, W] -> [THUMBNAIL**2] grey values of zero mean and unit length; zeros for a plain colour."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
    values = np.asarray(picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float32).ravel()
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length > THUMBNAIL else np.zeros_like(values)  # below 1 grey level: nothing to compare


def suspicious_boxes(index: Index, rows: Rows, canvas: Canvas) -> list[Fault]:
    """Boxes that are tiny on the canvas, fill their image, or are there twice."""
    faults = []
    for row in rows:
        name, known = str(index.ids[row]), index.objects(int(row))
        sides = known.boxes[:, 2:] - known.boxes[:, :2]
        size = index.size(int(row))
        scale = fit(size, canvas)
        for number in np.nonzero((sides * scale).min(axis=1, initial=np.inf) < TINY)[0]:
            width, height = sides[number]
            what = f"object {number + 1} ({index.classes[known.labels[number]]}) has {width:g} x {height:g} pixels"
            faults.append(Fault("tiny box", name, f"{what}, {scale:.2g} times that on the canvas"))
        for number in np.nonzero((sides >= np.asarray(size[::-1])).all(axis=1))[0]:
            what = f"object {number + 1} ({index.classes[known.labels[number]]}) is as large as the image"
            faults.append(Fault("huge box", name, what))
        for first, second in _twins(known):
            what = f"objects {first + 1} and {second + 1} ({index.classes[known.labels[first]]}) have the same box"
            faults.append(Fault("duplicate box", name, what))
    return faults


def _twins(known: Objects) -> list[tuple[int, int]]:
    """Pairs of objects of one class whose boxes overlap by `SAME_BOX` or more."""
    low = np.maximum(known.boxes[:, None, :2], known.boxes[None, :, :2])
    high = np.minimum(known.boxes[:, None, 2:], known.boxes[None, :, 2:])
    common = (high - low).clip(0).prod(axis=2)
    areas = (known.boxes[:, 2:] - known.boxes[:, :2]).prod(axis=1)
    iou = common / np.maximum(areas[:, None] + areas[None] - common, 1e-6)
    same = (iou >= SAME_BOX) & (known.labels[:, None] == known.labels[None])
    return [(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(same, 1)), strict=True)]


def duplicates(index: Index, parts: Mapping[str, Rows], looks: Mapping[int, Look]) -> list[Fault]:
    """Images that are there twice, by their bytes or by their look; across splits first, since those flatter a test."""
    owner = {int(row): name for name, rows in parts.items() for row in rows if int(row) in looks}
    rows = list(owner)
    faults = []
    for a, b, alike in _pairs([looks[row] for row in rows]):
        one, other = rows[a], rows[b]
        across = owner[one] != owner[other]
        kind = f"duplicate image {'between splits' if across else 'in a split'}"
        what = f"is the same {'file' if alike == 1 else f'picture (correlation {alike:.4f})'} as {index.ids[other]}"
        faults.append(Fault(kind, str(index.ids[one]), f"({owner[one]}) {what} ({owner[other]})"))
    return sorted(faults, key=lambda fault: fault.kind)


def _pairs(looks: Sequence[Look], block: int = 1024) -> Iterator[tuple[int, int, float]]:
    """Pairs of equal files, 1.0, and of others that look alike, their correlation."""
    table = np.stack([look.thumbnail for look in looks]) if looks else np.empty((0, 1), np.float32)
    file = np.unique([look.digest for look in looks], return_inverse=True)[1]
    for start in range(0, len(looks), block):
        part = slice(start, start + block)
        alike = np.minimum(table[part] @ table.T, 0.9999)
        alike[file[part, None] == file[None]] = 1
        for a, b in zip(*np.nonzero(alike >= ALIKE), strict=True):
            if start + a < b:
                yield start + int(a), int(b), float(alike[a, b])


def missing_classes(index: Index, parts: Mapping[str, Rows], of_objects: Sequence[str]) -> list[Fault]:
    """Classes that a split has no object of; none where the data set knows of no objects.

    Args:
        index: of the data set.
        parts: the splits.
        of_objects: the classes that objects may be of; others, such as categories of whole pictures, have none.
    """
    faults: list[Fault] = []
    if "boxes" not in index.labelled:
        return faults
    for name, rows in parts.items():
        there = {int(label) for row in rows for label in index.objects(int(row)).labels}
        faults += [
            Fault("class without objects", name, f"has no object of {index.classes[label]}")
            for label in range(len(index.classes))
            if label not in there and index.classes[label] in of_objects
        ]
    return faults


def _without(message: str, path: Path) -> str:
    """The message without the path, which is named beside it."""
    return message.removeprefix(f"{path}: ")
