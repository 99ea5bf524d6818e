"""Ultralytics' YOLO layout as a source."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.keypoints import BOX_SHARE, Keypoints, ObjectPoints
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.objects import Objects
from vjo_train.data.orientation import orientation
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.coco.outlines import Outlines, masks
from vjo_train.data.sources.coco.painting import painted
from vjo_train.data.sources.named_classes import unknown_class
from vjo_train.data.sources.pictures import stamp_of
from vjo_train.data.sources.sizes import measured
from vjo_train.data.sources.yolo.layout import Layout, find_file, identity, label_file, pictures, read_layout
from vjo_train.data.sources.yolo.rows import Row, as_stored, read_rows
from vjo_train.errors import DataError


class YOLO(Source):
    """`data.yaml`, pictures, and a text file of rows for each; see `layout` and `rows`.

    A picture is labelled for `classes` and `boxes`, for `semantic` and `masks` where every object of it has a polygon,
    and for `keypoints` where the YAML file has `kpt_shape`. The root is the YAML file.

    Args:
        missing: what a picture without a text file says: `empty`, that nothing is there, as Ultralytics has it;
            `unlabelled`, nothing. None: `unlabelled` where the YAML file has LightlyTrain's
            `skip_if_label_file_missing: true`, else `empty`.
        images: the folder that stands for `images` in the paths of the YAML file, relative to where these begin, such
            as `../images`; None: the one of that name.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks(), Keypoints())
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8}

    def __init__(self, *, missing: Literal["empty", "unlabelled"] | None = None, images: str | None = None) -> None:
        self.missing_file, self.images = missing, images

    def root(self, folder: Path) -> Path:
        return find_file(folder)

    def class_names(self, root: Path) -> list[str]:
        return list(dict.fromkeys(read_layout(root, self.images).names.values()))

    def splits(self, root: Path) -> list[str]:
        return list(read_layout(root, self.images).splits)

    def split(self, root: Path, split: str) -> list[str]:
        layout = read_layout(root, self.images)
        return [identity(layout, picture) for picture in pictures(layout, split)]

    def unlisted(self, root: Path) -> dict[str, list[str]]:
        layout = read_layout(root, self.images)
        return {split: self.split(root, split) for split in layout.splits} if layout.shared_out else {}

    def split_name(self, root: Path, split: str) -> str:
        return f"{root}: {split}"

    def missing(self, name: str) -> str:
        return "picture"

    def stamp(self, root: Path) -> str:
        layout = read_layout(root, self.images)
        files = [path.absolute() for one in _all(layout) for path in (one, label_file(layout, one))]
        content = hashlib.sha256(root.read_bytes()).hexdigest()
        return f"{content} {stamp_of(root, map(str, files))}"

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        layout = read_layout(root, self.images)
        by_id = _by_id(layout, _all(layout))
        ids = sorted(by_id)
        if not ids:
            raise DataError(f"{root}: found no pictures where it says; train, val or test must name folders or lists.")
        images = [by_id[name][0] for name in ids]
        faults = {
            row: f"{layout.file}: found {' and '.join(map(str, by_id[name]))} for one file of labels; must be one."
            for row, name in enumerate(ids)
            if len(by_id[name]) > 1
        }
        rows, notes = _read(layout, images, faults)
        _check_classes(layout, images, rows, classes, faults)
        sizes = [measured(path, row, faults) for row, path in enumerate(images)]
        there = [label_file(layout, path).exists() for path in images]
        notes += self._without_file(layout, images, there) + _without_swap(layout)
        known = [self._meant(layout) == "empty" or found for found in there]
        outlined = any(row.polygon is not None for own in rows for row in own)
        whole = [
            outlined and labelled and all(row.polygon is not None for row in own)
            for labelled, own in zip(known, rows, strict=True)
        ]
        numbers = {name: number for number, name in enumerate(classes)}
        labels = {number: numbers.get(name, 0) for number, name in layout.names.items()}
        return table(
            classes=classes,
            ids=ids,
            images=[path.absolute().as_posix() for path in images],
            image_bytes=[_state(path)[0] for path in images],
            sizes=sizes,
            objects=[_objects(own, labels, size) for own, size in zip(rows, sizes, strict=True)],
            labelled={
                "semantic": whole,
                "masks": whole,
                "classes": known,
                "boxes": known,
                "keypoints": [labelled and layout.points is not None for labelled in known],
            },
            faults=dict(sorted(faults.items())),
            notes=[note for note in notes if note[0] not in faults],
            by_image={"outlines": np.asarray([_digest(own, layout) for own in rows], np.int64)}
            if outlined or layout.points
            else {},
        )

    def _meant(self, layout: Layout) -> str:
        """What a picture without a text file says."""
        return self.missing_file or ("unlabelled" if layout.skips else "empty")

    def _without_file(
        self, layout: Layout, images: Sequence[Path], there: Sequence[bool]
    ) -> list[tuple[int, str, str]]:
        """What to say of pictures without a text file; where none has one, they lie somewhere else."""
        if not any(there):
            place = label_file(layout, images[0])
            raise DataError(
                f"{layout.file}: found no text file for any of its {len(images)} pictures; must be such as {place}."
            )
        missing = len(there) - sum(there)
        said = {"empty": "nothing is there", "unlabelled": "they are not annotated"}[self._meant(layout)]
        return (
            [(-1, "no text file", f"{missing} of {len(there)} pictures have no text file: {said}")] if missing else []
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects, size = index.objects(row), index.size(row)
        if kind == "boxes":
            return objects
        if kind == "classes":
            return ShownByObjects(objects, len(index.classes))
        layout = read_layout(root, self.images)
        rows, _ = _of_picture(layout, index.image(root, row))
        if kind == "keypoints":
            return _points(layout, rows, objects, size)
        outlines = Outlines()
        for one in rows:
            outlines.add(None if one.polygon is None else [(one.polygon * size[::-1]).ravel().tolist()], size)
        drawn = masks(outlines.arrays(), slice(len(rows)), size)
        return torch.from_numpy(drawn if kind == "masks" else painted(drawn, objects))


def _all(layout: Layout) -> list[Path]:
    """The pictures of all splits, each once; a split that cannot be read says so when it is asked for."""
    found: dict[Path, None] = {}
    for split in layout.splits:
        with suppress(DataError):
            found |= dict.fromkeys(pictures(layout, split))
    return list(found)


def _by_id(layout: Layout, paths: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(identity(layout, path), []).append(path)
    return found


def _read(
    layout: Layout, images: Sequence[Path], faults: dict[int, str]
) -> tuple[list[list[Row]], list[tuple[int, str, str]]]:
    """The rows of all pictures, and what was changed; broken files go into `faults`."""
    rows: list[list[Row]] = []
    notes: list[tuple[int, str, str]] = []
    for number, path in enumerate(images):
        try:
            own, changes = _of_picture(layout, path)
        except DataError as error:
            faults.setdefault(number, str(error))
            own, changes = [], []
        rows.append(own)
        notes += [(number, kind, what) for kind, what in changes]
    return rows, notes


def _of_picture(layout: Layout, picture: Path) -> tuple[list[Row], list[tuple[str, str]]]:
    """The rows of one picture, for its stored pixels, and what was changed."""
    rows, changes = read_rows(label_file(layout, picture), layout.names, layout.points)
    turned = orientation(picture) if rows else 1
    return [as_stored(row, turned, layout.swap) for row in rows], changes


def _points(layout: Layout, rows: Sequence[Row], objects: Objects, size: tuple[int, int]) -> ObjectPoints:
    assert layout.points is not None, "what is labelled has points"
    points = np.zeros((len(rows), layout.points[0], 3), np.float32)
    for own, row in zip(points, rows, strict=True):
        if row.points is not None:
            own[:] = row.points * (size[1], size[0], 1)
    areas = BOX_SHARE * (objects.boxes[:, 2:] - objects.boxes[:, :2]).prod(axis=1)
    return ObjectPoints(points, areas, None if layout.swap is None else np.array(layout.swap))


def _without_swap(layout: Layout) -> list[tuple[int, str, str]]:
    """What to say of key points of which nothing says what a mirror image swaps."""
    if layout.points is None or layout.swap is not None:
        return []
    said = "mirror images have no key points, as nothing says which are left and right: [0, 1, 2, ...] if none are"
    return [(-1, "no flip_idx", f"{layout.file}: {said}")]


def _check_classes(
    layout: Layout, images: Sequence[Path], rows: Sequence[list[Row]], classes: Sequence[str], faults: dict[int, str]
) -> None:
    """Finds fault with pictures that have objects of a class which is none of `classes`."""
    counts = Counter(layout.names[row.number] for own in rows for row in own)
    for number, own in enumerate(rows):
        unknown = [layout.names[row.number] for row in own if layout.names[row.number] not in classes]
        if unknown:
            faults.setdefault(
                number, f"{label_file(layout, images[number])}: {unknown_class(unknown[0], counts, classes)}"
            )


def _objects(rows: Sequence[Row], labels: Mapping[int, int], size: tuple[int, int]) -> Objects:
    boxes = np.asarray([row.box for row in rows], np.float64).reshape(-1, 4) * ([size[1], size[0]] * 2)
    classes = np.asarray([labels[row.number] for row in rows], np.int64)
    return Objects(boxes.astype(np.float32), classes, np.zeros(len(rows), np.bool_))


def _digest(rows: Sequence[Row], layout: Layout) -> int:
    """Changes with the outlines and key points of a picture's objects, and with what its mirror image swaps."""
    digest = hashlib.sha256(b"" if layout.swap is None else str(layout.swap).encode())
    for row in rows:
        for points in (row.polygon, row.points):
            digest.update(b"" if points is None else np.ascontiguousarray(points).tobytes())
    return int.from_bytes(digest.digest()[:8], "little", signed=True)


def _state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns; (-1, 0) where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return -1, 0
    return stat.st_size, stat.st_mtime_ns
