"""The devkit's folders and files: where a data set lies, its splits, one annotation file.

Layout: `JPEGImages/<id>.jpg`, `Annotations/<id>.xml`, `ImageSets/Main/<split>.txt`, and for the images that have
masks `SegmentationClass/<id>.png` and `SegmentationObject/<id>.png`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from vjo_train.errors import DataError
from vjo_train.geometry import from_devkit

IMAGES = "JPEGImages"
ANNOTATIONS = "Annotations"
CLASS_MASKS = "SegmentationClass"
OBJECT_MASKS = "SegmentationObject"
SPLITS = "ImageSets/Main"

INDICES = {CLASS_MASKS: "background and dataset.classes", OBJECT_MASKS: "background and objects of the XML"}
"""What the indices of the masks in a folder mean."""
MASKS = {"semantic": CLASS_MASKS, "masks": OBJECT_MASKS}
"""Field of a target -> the folder of the masks that give it."""


MOST_BYTES = 1 << 24
"""Of an annotation file: a thousand times what a crowded image needs."""
LONGEST_SIDE = 65_535
"""Of an image, in pixels: what a JPEG can have."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Annotation:
    """What one XML file says.

    Attributes:
        size: (height, width) of the image in pixels.
        boxes: [N, 4] float32, 0-based continuous xyxy; object k of the object mask is row k - 1.
        labels: [N] int64 in 0..C-1.
        difficult: [N] bool.
    """

    size: tuple[int, int]
    boxes: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    difficult: npt.NDArray[np.bool_]


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
    raise DataError(f"dataset.root: {folder} holds neither {IMAGES}/ nor VOC*/{IMAGES}/; it must hold one of them.")


def split_names(root: Path) -> list[str]:
    """The splits of the data set: the lists in `ImageSets/Main` that are not about a single class."""
    names = {path.stem for path in (root / SPLITS).glob("*.txt")}
    return sorted(name for name in names if not any(name.endswith(f"_{other}") for other in names))


def list_path(root: Path, split: str) -> Path:
    """The file that lists the images of a split."""
    return root / SPLITS / f"{split}.txt"


def read_split(root: Path, split: str) -> list[str]:
    """The image ids of `split`, in the order of its list.

    Raises:
        DataError: the list is missing, empty, not text, names an image twice, or a path in the place of an id.
    """
    path = list_path(root, split)
    names = split_names(root)
    if split not in names and not path.is_file():
        found = ", ".join(names) or "none"
        raise DataError(f"{path}: there is no split '{split}'{nearest(split, names)}; found {found}.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); must hold one image id per line.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); must be a text file.") from error
    ids = [line.split()[0] for line in lines if line.strip()]
    for name in ids:
        if name in (".", "..") or not {"/", "\\", "\0"}.isdisjoint(name):
            raise DataError(f"{path}: found the image id {_shown(name)}; must be the name of a file, without a folder.")
    if not ids:
        raise DataError(f"{path}: the split '{split}' is empty; it must list at least one image id.")
    if len(set(ids)) < len(ids):
        twice = next(name for number, name in enumerate(ids) if name in ids[:number])
        raise DataError(f"{path}: image '{twice}' is listed twice; each image may be listed once.")
    return ids


def parse(path: Path, classes: Mapping[str, int]) -> Annotation:
    """Reads one annotation file.

    Only direct children count: the `<part>`s of a person have names and boxes of their own, which are no objects.
    A missing `difficult` means not difficult; coordinates may be fractions.

    Args:
        path: the XML file.
        classes: class name -> index.

    Raises:
        DataError: the file is missing, no XML, has a document type (and so perhaps entities), an unknown class, or
            a box that is inverted or outside the image.
    """
    root = _read_xml(path)
    if root.tag != "annotation":
        raise DataError(f"{path}: found the root element <{root.tag[:60]}>; must be <annotation>.")
    width, height = (_integer(root, f"size/{side}", path) for side in ("width", "height"))
    if not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE):
        raise DataError(f"{path}: found an image size of {width} x {height}; both must be in 1..{LONGEST_SIDE}.")
    objects = root.findall("object")
    boxes = np.empty((len(objects), 4), np.float32)
    labels = np.empty(len(objects), np.int64)
    difficult = np.empty(len(objects), np.bool_)
    for number, element in enumerate(objects):
        where = f"{path}: object {number + 1}"
        name = (element.findtext("name") or "").strip()
        if name not in classes:
            raise DataError(
                f"{where}: unknown class {_shown(name)}{nearest(name[:60], classes)}; allowed are {listing(classes)}."
            )
        labels[number] = classes[name]
        flag = (element.findtext("difficult") or "0").strip()
        if flag not in ("0", "1"):
            raise DataError(f"{where} ({name}): found difficult {_shown(flag)}; must be 0 or 1.")
        difficult[number] = flag == "1"
        boxes[number] = _box(element, f"{where} ({name})", width, height)
    return Annotation((height, width), from_devkit(boxes), labels, difficult)


def nearest(name: str, names: Sequence[str] | Mapping[str, int]) -> str:
    """` (did you mean 'x'?)` for the most similar of `names`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def listing(names: Sequence[str] | Mapping[str, int], most: int = 25) -> str:
    """`a, b, c`, cut after `most` names."""
    shown = list(names)[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _box(element: ElementTree.Element, where: str, width: int, height: int) -> tuple[float, float, float, float]:
    """The devkit's own numbers (1-based, inclusive), checked."""
    values = []
    for corner in _CORNERS:
        text = element.findtext(f"bndbox/{corner}")
        try:
            value = float(text) if text is not None else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            found = "none" if text is None else _shown(text)
            raise DataError(f"{where}: found {found} for bndbox/{corner}; must be a number.")
        values.append(value)
    x1, y1, x2, y2 = values
    shown = "({:g}, {:g}, {:g}, {:g})".format(*values)
    if x2 < x1 or y2 < y1:
        raise DataError(f"{where}: the box {shown} has no area; xmin <= xmax and ymin <= ymax must hold.")
    if x1 < 1 or y1 < 1 or x2 > width or y2 > height:
        raise DataError(
            f"{where}: the box {shown} leaves the image of {width} x {height} pixels; "
            f"x must be in 1..{width} and y in 1..{height} (boxes count pixels from 1, both ends inside)."
        )
    return x1, y1, x2, y2


def _shown(text: str) -> str:
    """A file's own text in quotes, cut and without what would confuse a terminal."""
    return repr(text.strip()[:60])


def _integer(root: ElementTree.Element, tag: str, path: Path) -> int:
    text = root.findtext(tag)
    try:
        return int(text or "")
    except ValueError:
        found = "none" if text is None else _shown(text)
        raise DataError(f"{path}: found {found} for {tag}; must be a whole number.") from None


def _read_xml(path: Path) -> ElementTree.Element:
    """The tree of an XML file without a document type, so that entities can neither grow nor read other files."""
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> None:
        raise DataError(f"{path}: found a document type declaration (<!DOCTYPE ...>); an annotation must have none.")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(_content(path), True)
    except expat.ExpatError as error:
        where = f"{expat.ErrorString(error.code)} in line {error.lineno}, column {error.offset}"
        raise DataError(f"{path}: found {where}; must be well-formed XML.") from error
    except (ValueError, LookupError) as error:
        raise DataError(f"{path}: no readable XML ({error}); must be UTF-8 or of a declared encoding.") from error
    return builder.close()


def _content(path: Path) -> bytes:
    try:
        stat = path.stat()
        if not S_ISREG(stat.st_mode):
            raise DataError(f"{path}: is no regular file; must be an XML file.")
        if stat.st_size > MOST_BYTES:
            raise DataError(f"{path}: found {stat.st_size} bytes; an annotation may have {MOST_BYTES}.")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: the annotation is missing; every image of a split must have one.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
