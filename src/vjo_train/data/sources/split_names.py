"""Names of splits that mean the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_ALIKE = ({"val", "valid", "validation"}, {"train", "training"}, {"test", "testing"})
_WORDS = {word: min(words, key=len) for words in _ALIKE for word in words} | {"trainval": "trainval"}


def meant(split: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that a user may mean by `split`: itself alone, else `valid` or `val2017` for `val`, else the
    ones that have it as a word, such as `lvis_v1_val`.
    """
    known = list(names)
    if split in known:
        return [split]
    alike = next((alike for alike in _ALIKE if split in alike), {split})
    found = [name for name in known if any(re.fullmatch(rf"{re.escape(other)}[-_]?\d*", name) for other in alike)]
    return found or [name for name in known if split in _WORDS and split_in(name) == _WORDS[split]]


@lru_cache(1 << 12)
def split_in(name: str) -> str:
    """`train`, `val`, `test` or `trainval`, where one of them, or what means the same, is a word of a name; or nothing.

    `VisDrone2019-DET-train` is `train`, `valid` is `val`, `MoNuSegTestData` is `test`, `train_val` is nothing, as it
    names two.
    """
    parts = re.split(r"[^a-z]+", name.lower()), re.findall(r"[A-Z][a-z]+", name)
    words = next((known for own in parts if (known := {_WORDS[w.lower()] for w in own if w.lower() in _WORDS})), set())
    return words.pop() if len(words) == 1 else ""


def split_of_folders(file: Path, root: Path) -> str:
    """The split that the folders of a file say, below the root, the nearest first; or nothing."""
    return _of_folder(file.parent, root)


@lru_cache(1 << 12)
def _of_folder(folder: Path, root: Path) -> str:
    return next(filter(None, map(split_in, folder.relative_to(root).parts[::-1])), "")


def split_of_file(file: Path, root: Path) -> str:
    """The split that the name of a file says, else its folders; or nothing."""
    return split_in(file.stem) or split_of_folders(file, root)


def without(split: str, known: Iterable[str]) -> str:
    """What to say where there is no such split."""
    names = list(known)
    said = f"there is no split '{split}'; found {', '.join(names) or 'none'}"
    others = [name for name in names if split_in(name) == "val"]
    if split == "test" and len(others) == 1:
        return f"{said}. dataset.val_split={others[0]} dataset.test_split={others[0]} tests on {others[0]}"
    return said
