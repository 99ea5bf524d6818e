"""YOLO's files without a YAML file: a list of class names beside them, as labelImg, Label Studio and CVAT write it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from vjo_train.data.sources.pictures import below
from vjo_train.data.sources.split_names import split_in
from vjo_train.data.sources.unlisted import made

NAMES = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt")
"""What a text file with a class name a line is called; it may lie in `labels/`, or in the folder of a split."""


def names_file(folder: Path) -> Path | None:
    """The list of class names of a data set; None where there is none."""
    places = (f"{place}{name}" for place in ("", "labels/", "*/", "labels/*/") for name in NAMES)
    return next((path for place in places for path in sorted(folder.glob(place)) if path.is_file()), None)


def base_of(file: Path) -> Path:
    """The folder of the data set whose class names are in `file`."""
    inner = file.parent.name == "labels" or split_in(file.parent.name) != ""
    above = file.parent.parent if inner else file.parent
    return above.parent if above.name == "labels" else above


@lru_cache(8)
def splits_of(base: Path, changed: int) -> tuple[dict[str, list[str]], bool]:
    """Split -> its pictures, below the folder: by the folders that they lie in, else (True) train and val, 8 : 1.

    Args:
        base: the folder of the data set.
        changed: the time of the last change of its list of names.
    """
    found: dict[str, list[str]] = {}
    for path in below(base):
        said = next(filter(None, map(split_in, path.split("/")[:-1])), "")
        found.setdefault(said, []).append(path)
    if len(found) > 1 and "" not in found:
        return found, False
    parts = made({"test": ()}, [path for own in found.values() for path in own])
    return {name: parts[name] for name in ("train", "val") if name in parts}, True
