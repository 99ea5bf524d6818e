"""The devkit's folders and lists: where a data set lies, and its splits.

Layout: `JPEGImages/<id>.jpg` (or another extension of pictures), `Annotations/<id>.xml`, `ImageSets/Main/<split>.txt`,
and for the images that have masks `SegmentationClass/<id>.png` and `SegmentationObject/<id>.png`. An id may have
folders, and lists may lie in the root, as of the India Driving Dataset: `Annotations/frontFar/x/0.xml`, `train.txt`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.pictures import stem
from vjo_train.data.sources.split_names import split_in
from vjo_train.errors import DataError

IMAGES = "JPEGImages"
ANNOTATIONS = "Annotations"
CLASS_MASKS = "SegmentationClass"
OBJECT_MASKS = "SegmentationObject"
SPLITS = "ImageSets/Main"

FOLDERS = (IMAGES, ANNOTATIONS, CLASS_MASKS, OBJECT_MASKS)
MASKS = {"semantic": CLASS_MASKS, "masks": OBJECT_MASKS}
"""Kind of label -> the folder of the masks that give it."""
INDICES = {"semantic": "background and dataset.classes", "masks": "background and objects of the XML"}
"""Kind of label -> what the indices of its masks mean."""


def find_root(folder: Path) -> Path:
    """The folder that holds `JPEGImages/`: `folder` itself, or the one devkit year in it or in its `VOCdevkit`.

    Raises:
        DataError: there is no such folder, or several.
    """
    if not folder.is_dir():
        raise DataError(f"dataset.root: found no folder {folder}; it must hold {IMAGES}/ or VOC*/{IMAGES}/.")
    for parent in (folder, folder / "VOCdevkit"):
        if (parent / IMAGES).is_dir():
            return parent
        years = sorted(path.parent for path in parent.glob(f"VOC*/{IMAGES}"))
        if len(years) == 1:
            return years[0]
        if years:
            found = ", ".join(path.name for path in years)
            raise DataError(f"dataset.root: {parent} holds several data sets ({found}); name one, such as {years[0]}.")
    neither = f"dataset.root: {folder} holds neither {IMAGES}/ nor VOC*/{IMAGES}/; it must hold one of them."
    raise DataError(neither + looks_like(folder))


def lists(root: Path) -> list[Path]:
    """The lists: those in `ImageSets/Main`, or else files of the root such as `train.txt`; sorted."""
    own = [path for path in root.glob("*.txt") if path.stem.isalpha() and split_in(path.stem)]
    return sorted((root / SPLITS).glob("*.txt")) or sorted(own)


def split_names(root: Path) -> list[str]:
    """The splits of the data set: the lists that are not about a single class."""
    names = {path.stem for path in lists(root)}
    return sorted(name for name in names if not any(name.endswith(f"_{other}") for other in names))


def list_path(root: Path, split: str) -> Path:
    """The file that lists the images of a split, or would."""
    folder = next((path.parent for path in lists(root)), root / SPLITS)
    return folder / f"{split}.txt"


def read_split(root: Path, split: str, others: Sequence[str] = ()) -> list[str]:
    """The image ids of `split`, in the order of its list; a line may name the picture's file, with its folder.

    Of a line's folders those count that are there in `Annotations` or `JPEGImages`.

    Args:
        root: of the data set.
        split: its name.
        others: splits without lists, for the message.

    Raises:
        DataError: the list is missing, empty, not text, or names an image twice, or no file.
    """
    path = list_path(root, split)
    names = sorted({*split_names(root), *others})
    if split not in split_names(root) and not os.path.isfile(path):
        found = ", ".join(names) or "none"
        raise DataError(f"{path}: there is no split '{split}'{nearest(split, names)}; found {found}.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); must hold one image id per line.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); must be a text file.") from error
    folders: dict[str, str] = {}
    ids = [_listed(root, line.split()[0].replace("\\", "/"), folders) for line in lines if line.strip()]
    for name in ids:
        if os.path.basename(name) in ("", ".", "..") or "\0" in name:
            raise DataError(f"{path}: found the image id {shown(name)}; must be the name of a file.")
    if not ids:
        raise DataError(f"{path}: the split '{split}' is empty; it must list at least one image id.")
    if len(set(ids)) < len(ids):
        twice = next(name for number, name in enumerate(ids) if name in ids[:number])
        raise DataError(f"{path}: image '{twice}' is listed twice; each image may be listed once.")
    return ids


def _listed(root: Path, path: str, folders: dict[str, str]) -> str:
    """The id that a line of a list means; `folders` keeps what was found of each folder."""
    folder, _, name = path.rpartition("/")
    if folder not in folders:
        parts = [part for part in folder.split("/") if part not in ("", ".")]
        parts = [] if ".." in parts or "\0" in folder else parts
        ends = ("/".join(parts[place:]) for place in range(len(parts)))
        known = (end for end in ends if any((root / place / end).is_dir() for place in (ANNOTATIONS, IMAGES)))
        folders[folder] = next(known, "")
    return f"{folders[folder]}/{stem(name)}" if folders[folder] else stem(name)


def nearest(name: str, names: Sequence[str] | Mapping[str, int]) -> str:
    """` (did you mean 'x'?)` for the most similar of `names`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def listing(names: Sequence[str] | Mapping[str, int], most: int = 25) -> str:
    """`a, b, c`, cut after `most` names."""
    shown = list(names)[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def shown(text: str) -> str:
    """A file's own text in quotes, cut and without what would confuse a terminal."""
    return repr(text.strip()[:60])
