"""What gives text files away that list the pictures of splits."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from vjo_train.data.sources.guess.sign import files_of, quoted
from vjo_train.data.sources.objects.signs import head
from vjo_train.data.sources.pictures import is_picture, stem

LISTED = ("masks", "instances", "table", "folders", "box_table")
"""The layouts that have no lists of their own."""


def split_lists(place: Path) -> tuple[str, ...]:
    """The keys for a list of pictures to train on and one to test on; nothing where one is missing."""
    found: dict[str, Path] = {}
    for path in files_of(place, ("*.txt", "*/*.txt"), most=100):
        word = next((word for word in ("train", "test") if word in path.stem.lower()), None)
        if word and word not in found and _lists_pictures(place, path):
            found[word] = path.relative_to(place)
    if len(found) < 2:
        return ()
    return f"dataset.split={quoted(found['train'])}", f"dataset.test_split={quoted(found['test'])}"


def _lists_pictures(place: Path, path: Path) -> bool:
    """Whether the first word of a file is the name of a picture below a place."""
    words = head(path).decode("utf-8", "ignore").split()
    name = stem(re.split(r"[,/\\\\]", words[0].replace("\\", "/"))[-1]) if words else ""
    if not 0 < len(name) < 256 or "\0" in name:
        return False
    patterns = [f"{folders}{glob.escape(name)}.*" for folders in ("", "*/", "*/*/", "*/*/*/")]
    return any(is_picture(found.name) for found in files_of(place, tuple(patterns), most=5))
