"""Where the annotation files of a data set lie, what splits they make, and where their pictures are.

Found without a key: `annotations/instances_<split>.json` (COCO, CVAT) or, without any,
`annotations/person_keypoints_<split>.json`, `<split>/_annotations.coco.json` (Roboflow),
other instance JSON in `annotations/`, JSON beside a folder of pictures, and JSON in a folder of `annotations/`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from vjo_train.data.sources.coco.document import items, start
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.objects.finding import Finder
from vjo_train.data.sources.split_names import meant, split_in
from vjo_train.data.sources.voc.layout import listing, nearest, shown
from vjo_train.errors import DataError

FOLDER = "annotations"
PREFIX = "instances_"
POINTS = "person_keypoints_"
"""How a file with key points begins: those of the same objects beside one with `PREFIX`, or objects of its own."""
IN_SPLITS = ("_annotations.coco.json", "annotations.json", "labels.json")
"""Names of an annotation file in the folder of its split."""
OTHER_TASKS = ("captions_", POINTS, "panoptic_", "stuff_", "image_info_")
"""How COCO's names of files begin that hold no instances."""
LOOKED_UP = 100
"""Pictures of a split that are looked for to tell their folder."""
ALLOWED = f"{FOLDER}/{PREFIX}<split>.json, <split>/_annotations.coco.json, or a JSON file beside a folder of pictures"


@dataclass(frozen=True)
class Part:
    """A split.

    Attributes:
        split: its name.
        file: its annotations.
        folder: of its pictures, below the root; empty for the root.
        names: of its pictures below `folder`, in the order of the file.
        points: the file with the key points of its objects; `file` itself, or one beside it.
    """

    split: str
    file: Path
    folder: str
    names: tuple[str, ...]
    points: Path

    def picture(self, name: str) -> str:
        """Where a picture lies below the root."""
        return str(PurePosixPath(self.folder, name))


def find_root(folder: Path) -> Path:
    """`folder`, or the one folder in it that holds a data set.

    Raises:
        DataError: there is none, or several.
    """
    if not folder.is_dir():
        raise DataError(f"dataset.root: found no folder {folder}; it must hold {ALLOWED}.")
    if annotation_files(folder):
        return folder
    inner = [sub for sub in sorted(folder.iterdir()) if sub.is_dir() and annotation_files(sub)]
    if len(inner) == 1:
        return inner[0]
    if inner:
        names = listing([sub.name for sub in inner])
        raise DataError(f"dataset.root: {folder} holds several data sets ({names}); name one, such as {inner[0]}.")
    raise DataError(f"dataset.root: {folder} holds no COCO annotations; it must hold {ALLOWED}." + looks_like(folder))


def annotation_files(root: Path) -> dict[str, Path]:
    """Split -> its annotation file, by the first kind of layout that is there."""
    for prefix, folder in product((PREFIX, POINTS), (root / FOLDER, root)):
        if found := {file.stem.removeprefix(prefix): file for file in sorted(folder.glob(f"{prefix}*.json"))}:
            return found
    for name in IN_SPLITS:
        if found := {file.parent.name: file for file in sorted(root.glob(f"*/{name}")) if _is_coco(file)}:
            found.pop(FOLDER, None)
        if found:
            return found
    for folder in (root / FOLDER, root, *sorted(root.glob(f"{FOLDER}/*/"))):
        files = [file for file in sorted(folder.glob("*.json")) if not file.name.startswith(OTHER_TASKS)]
        if found := {_plain(file.stem): file for file in files if _is_coco(file)}:
            return found
    return {}


def parts(root: Path, annotations: Mapping[str, str], images: Mapping[str, str]) -> list[Part]:
    """The splits of a data set.

    Args:
        root: of the data set.
        annotations: split -> its file below the root, in the place of those that are found.
        images: split -> the folder of its pictures below the root, in the place of the one that is found.

    Raises:
        DataError: a key names what is not there, or a file is no instance JSON.
    """
    files = {split: root / path for split, path in annotations.items()} or annotation_files(root)
    if not files:
        raise DataError(f"{root}: holds no COCO annotations; it must hold {ALLOWED}.")
    for split, folder in images.items():
        if split not in files:
            raise DataError(
                f"dataset.source.images: found the split '{split}'{nearest(split, list(files))};"
                f" annotated are {listing(list(files))}."
            )
        if not os.path.isdir(root / folder):
            raise DataError(f"dataset.source.images: found {folder} for '{split}'; there is no folder {root / folder}.")
    found = []
    for split, file in files.items():
        names = _names(file, *_stamp(file))
        folder = images[split] if split in images else _folder(root, split, file, names)
        there = (os.path.isfile(root / folder / name) for name in names[:LOOKED_UP])
        if split not in images and names and not any(there):
            folder, names = "", _elsewhere(root, split, file, names, root.stat().st_mtime_ns)
        found.append(Part(split, file, folder, names, _points(file)))
    return found


def named(found: list[Part], split: str) -> Part:
    """The part that `split` means: `train` may stand for `train2017`, `val` for `valid`.

    Raises:
        DataError: there is none, or there are several.
    """
    names = [part.split for part in found]
    likely = meant(split, names)
    if len(likely) != 1:
        what = f"several splits that may be '{split}'" if likely else f"no split '{split}'{nearest(split, names)}"
        raise DataError(f"dataset.split: found {what}; the annotation files are of {listing(names)}.")
    return found[names.index(likely[0])]


def ids(found: list[Part]) -> list[list[str]]:
    """The ids of the images of every part: file names without ending; where any is there twice, below their splits.

    Raises:
        DataError: a file lists a picture twice.
    """
    plain = [[str(PurePosixPath(name).with_suffix("")) for name in part.names] for part in found]
    if _differ(plain):
        return plain
    below = [[f"{part.split}/{name}" for name in names] for part, names in zip(found, plain, strict=True)]
    if _differ(below):
        return below
    for part in found:
        name, count = Counter(part.names).most_common(1)[0]
        if count > 1:
            raise DataError(f"{part.file}: lists the picture {shown(name)} {count} times; each may be listed once.")
    return [[f"{part.split}/{name}" for name in part.names] for part in found]


def files_below(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Every file below a folder: its path from there, its size in bytes, the time of its last change in ns."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                stat = path.stat()
            except OSError:  # a link to nowhere: what reads it says so
                continue
            yield path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns


def _folder(root: Path, split: str, file: Path, names: tuple[str, ...]) -> str:
    """Of the usual folders, the one with most of the first pictures; the first of them where none has any."""
    beside = [] if file.parent in (root, root / FOLDER) else [file.parent]
    inner = [folder / name for folder in (*beside, root) for name in ("images", "data")]
    usual = [*beside, root / split, root / "images" / split, root / split / "images", *inner, root]
    counts = [sum(os.path.isfile(folder / name) for name in names[:LOOKED_UP]) for folder in usual]
    best = usual[counts.index(max(counts))].relative_to(root).as_posix()
    return "" if best == "." else best


@lru_cache(maxsize=16)
def _names(file: Path, size: int, changed: int) -> tuple[str, ...]:
    """The names of the pictures of a file, which are asked for several times in a run."""
    names = []
    for number, image in enumerate(items(file, "images")):
        name = image.get("file_name") or _of_address(image.get("coco_url"))
        if not isinstance(name, str) or not name.strip("/. "):
            raise DataError(f"{file}: images[{number}] has no file_name; must name its picture.")
        names.append(name.replace("\\", "/"))
    return tuple(names)


def _of_address(url: Any) -> str:
    """The folder and file of LVIS's `http://images.cocodataset.org/train2017/000000000009.jpg`."""
    return "/".join(url.split("/")[-2:]) if isinstance(url, str) else ""


@lru_cache(maxsize=16)
def _elsewhere(root: Path, split: str, file: Path, names: tuple[str, ...], changed: int) -> tuple[str, ...]:
    """Where pictures lie that are in none of the usual folders, by their names alone; others stay as they are."""
    finder = Finder(root)
    beside = file.parent.relative_to(root).as_posix() if file.is_relative_to(root) else "."
    found = [finder.find(name, beside, split_in(split)) for name in names]
    return tuple(likely[0] if len(likely) == 1 else name for name, likely in zip(names, found, strict=True))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); must be COCO's instance JSON.") from error
    return stat.st_size, stat.st_mtime_ns


def _is_coco(file: Path) -> bool:
    return start(file, "images") is not None and start(file, "categories") is not None


def _points(file: Path) -> Path:
    beside = file.with_name(POINTS + file.name.removeprefix(PREFIX))
    return beside if file.name.startswith(PREFIX) and beside.is_file() else file


def _plain(stem: str) -> str:
    return stem.split(".")[0].strip("_").removeprefix(PREFIX)


def _differ(lists: list[list[str]]) -> bool:
    return len({name for names in lists for name in names}) == sum(map(len, lists))


def files_named(root: Path, prefix: str) -> dict[str, str]:
    """Split -> the file `<prefix><split>.json` below the root, in `annotations/` or else at the root itself."""
    places = (f"{FOLDER}/{prefix}*.json", f"{prefix}*.json")
    found = next((files for place in places if (files := sorted(root.glob(place)))), [])
    return {file.stem.removeprefix(prefix): file.relative_to(root).as_posix() for file in found}


def checked(folder: Path, prefix: str, annotations: Mapping[str, str] | None) -> Path:
    """The folder, if it holds files of that name, or others are named by `annotations`.

    Raises:
        DataError: it does not.
    """
    if not folder.is_dir() or not (annotations or files_named(folder, prefix)):
        raise DataError(
            f"dataset.root: {folder} holds no annotations/{prefix}<split>.json; dataset.source.annotations names"
            " other files."
        )
    return folder
