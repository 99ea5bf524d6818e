"""What a folder of data looks like, for those who chose another layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vjo_train.data.sources.pictures import is_picture

HEAD = 1 << 16
"""Bytes of a file that are looked at."""


def looks_like(place: Path) -> str:
    """` It looks like ...: dataset=... dataset.root=... reads it.`, or nothing where nothing is recognised.

    Args:
        place: a folder or file that was given as `dataset.root`.
    """
    if (place / ".hydra" / "config.yaml").is_file():
        return " It is the folder of a run, which run= of the other commands takes, or start_from and trainer.resume."
    guess = _guess(place)
    if guess is None:
        return ""
    seen = "" if guess.seen == place else f" ({guess.seen.relative_to(place)})"
    return f" It looks like {guess.what}{seen}: dataset={guess.choice} dataset.root={place} reads it."


class Guess(NamedTuple):
    """What a folder or file looks like."""

    place: Path
    what: str
    choice: str
    """Of `dataset`."""
    seen: Path
    """What gives it away."""


def guesses(place: Path) -> list[Guess]:
    """What `place` looks like, or, where nothing is recognised, what the folders in it and in these look like.

    Folders of pictures are the weakest sign: what is recognised inside them comes first.
    """
    own = _guess(place)
    if own is not None and own.choice != WEAKEST:
        return [own]
    found: list[Guess] = []
    for folders in ("*", "*/*"):
        inner = [sub for sub in sorted(place.glob(folders)) if sub.is_dir() and not sub.name.startswith(".")]
        outside = [sub for sub in inner if not any(sub.is_relative_to(guess.place) for guess in found)]
        found += [guess for sub in outside if (guess := _guess(sub)) and (own is None or guess.choice != WEAKEST)]
    return found or ([own] if own else [])


def _guess(place: Path) -> Guess | None:
    for name, (what, find) in _LAYOUTS.items():
        if found := next(find(place), None):
            return Guess(place, what, name, found)
    return None


def _pascal_context(place: Path) -> Iterator[Path]:
    yield from (path for name in ("human_parts", "normals_distill") if (path := place / name).is_dir())


def _nyuv2(place: Path) -> Iterator[Path]:
    yield from _files(place, ("*/normal/*.npy",))


def _cityscapes_mtan(place: Path) -> Iterator[Path]:
    yield from _files(place, ("*/label_7/*.npy",))


def _voc(place: Path) -> Iterator[Path]:
    for parent in (place, place / "VOCdevkit"):
        yield from parent.glob("JPEGImages")
        yield from parent.glob("VOC*/JPEGImages")


def _voc_beside(place: Path) -> Iterator[Path]:
    for pattern in ("*.xml", "*/*.xml"):
        for path in _files(place, (pattern,), most=100):
            if b"<annotation" in _head(path) and any(
                path.with_suffix(end).is_file() for end in (".jpg", ".png", ".jpeg")
            ):
                yield path


def _panoptic(place: Path) -> Iterator[Path]:
    if place.is_dir() and not any(_files(place, ("annotations/instances_*.json",))):
        yield from _files(place, ("annotations/panoptic_*.json", "panoptic_*.json"))


def _stuff(place: Path) -> Iterator[Path]:
    if place.is_dir() and not any(_files(place, ("annotations/instances_*.json",))):
        yield from _files(place, ("annotations/stuff_*.json", "stuff_*.json"))


def _coco(place: Path) -> Iterator[Path]:
    files = [place] if place.is_file() else _files(place, ("*.json", "annotations/*.json", "*/_annotations.coco.json"))
    yield from (path for path in files if path.suffix == ".json" and re.search(rb'"(images|annotations)"', _head(path)))


def _yolo(place: Path) -> Iterator[Path]:
    files = [place] if place.is_file() else _files(place, ("*.yaml", "*.yml"))
    for path in files:
        if path.suffix in (".yaml", ".yml") and re.search(rb"^names\s*:", _head(path), re.MULTILINE):
            yield path
    yield from _files(place, ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt"))


def _cityscapes(place: Path) -> Iterator[Path]:
    yield from (path for name in ("leftImg8bit", "gtFine") if (path := place / name).is_dir())


def _masks(place: Path) -> Iterator[Path]:
    if (place / "images").is_dir():
        yield from (
            path for name in ("masks", "labels") for path in _files(place, (f"{name}/*.png", f"{name}/*/*.png"))
        )


def _folders(place: Path) -> Iterator[Path]:
    for pattern in ("*/*/*", "*/*"):
        owners = {path.parent for path in _files(place, (pattern,)) if is_picture(path.name)}
        if len(owners) > 1:
            yield min(owners)


_LAYOUTS: dict[str, tuple[str, Callable[[Path], Iterator[Path]]]] = {
    "pascal_context": ("PASCAL-Context for several tasks", _pascal_context),
    "nyuv2": ("NYUv2 as MTAN publishes it", _nyuv2),
    "cityscapes_mtan": ("Cityscapes as MTAN publishes it", _cityscapes_mtan),
    "voc": ("PASCAL VOC", _voc),
    "voc_beside": ("PASCAL VOC's annotations beside their pictures", _voc_beside),
    "cityscapes": ("Cityscapes", _cityscapes),
    "coco_panoptic": ("COCO's panoptic format", _panoptic),
    "coco_stuff": ("COCO's stuff", _stuff),
    "coco": ("COCO", _coco),
    "yolo": ("YOLO", _yolo),
    "masks": ("pictures with a mask each", _masks),
    "folders": ("a folder of pictures for each class", _folders),
}
"""Choice of `dataset` -> what it reads, and what gives it away; the first that fits counts."""


WEAKEST = "folders"


def _files(place: Path, patterns: tuple[str, ...], most: int = 10_000) -> Iterator[Path]:
    """The first files that fit, pattern by pattern."""
    for pattern in patterns:
        yield from (path for path in islice(place.glob(pattern), most) if path.is_file())


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""
