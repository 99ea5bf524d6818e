"""One annotation file of the devkit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from vjo_train.data.objects import Objects
from vjo_train.data.sources.voc.layout import listing, nearest, shown
from vjo_train.data.sources.xml_files import read_xml
from vjo_train.errors import DataError
from vjo_train.geometry import from_devkit

LONGEST_SIDE = 65_535
"""Of an image, in pixels: what a JPEG can have."""

SIDES = ("size/width", "size/height")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Annotation:
    """What one file says, as it is written; lists by object."""

    path: Path
    sides: tuple[str | None, str | None]
    """Width and height; None where they are missing."""
    names: list[str]
    flags: list[str]
    """Of difficult objects."""
    corners: list[tuple[float, float, float, float]]
    """xmin, ymin, xmax, ymax."""


def read(path: Path) -> Annotation:
    """Reads one annotation file.

    Only direct children count: the `<part>`s of a person have names and boxes of their own, which are no objects.
    A missing `difficult` means not difficult; coordinates may be fractions.

    Raises:
        DataError: the file is missing, no XML, has a document type (and so perhaps entities), or a corner that is no
            number.
    """
    root = read_xml(path)
    if root.tag != "annotation":
        raise DataError(f"{path}: found the root element <{root.tag[:60]}>; must be <annotation>.")
    objects = root.findall("object")
    names = [(element.findtext("name") or "").strip() for element in objects]
    return Annotation(
        path=path,
        sides=(root.findtext("size/width"), root.findtext("size/height")),
        names=names,
        flags=[(element.findtext("difficult") or "0").strip() for element in objects],
        corners=[_corners(element, number, path) for number, element in enumerate(objects, 1)],
    )


def parse(path: Path, classes: Mapping[str, int]) -> tuple[tuple[int, int], Objects]:
    """Reads one annotation file that must be as the devkit's are.

    Args:
        path: the XML file.
        classes: class name -> index.

    Returns:
        (height, width) of the image in pixels, and its objects; object k of the object mask is the k-th, from 1.

    Raises:
        DataError: as `read` and `strict`.
    """
    return strict(read(path), classes)


def strict(known: Annotation, classes: Mapping[str, int]) -> tuple[tuple[int, int], Objects]:
    """(height, width) of the image and its objects, where all is as in the devkit.

    Raises:
        DataError: an unknown class, a flag other than 0 and 1, no size, or a box that is inverted or outside the image.
    """
    width, height = (_integer(text, tag, known.path) for text, tag in zip(known.sides, SIDES, strict=True))
    if not (1 <= width <= LONGEST_SIDE and 1 <= height <= LONGEST_SIDE):
        raise DataError(f"{known.path}: found an image size of {width} x {height}; both must be in 1..{LONGEST_SIDE}.")
    for number, (name, flag, corners) in enumerate(zip(known.names, known.flags, known.corners, strict=True), 1):
        where = f"{known.path}: object {number}"
        if name not in classes:
            raise DataError(
                f"{where}: unknown class {shown(name)}{nearest(name[:60], classes)}; allowed are {listing(classes)}."
            )
        if flag not in ("0", "1"):
            raise DataError(f"{where} ({name}): found difficult {shown(flag)}; must be 0 or 1.")
        _check_box(corners, f"{where} ({name})", width, height)
    boxes = np.asarray(known.corners, np.float32).reshape(-1, 4)
    labels = np.asarray([classes[name] for name in known.names], np.int64)
    return (height, width), Objects(from_devkit(boxes), labels, difficult(known))


def difficult(known: Annotation) -> npt.NDArray[np.bool_]:
    """[N] whether each object is flagged as difficult."""
    return np.asarray([flag == "1" for flag in known.flags], np.bool_)


def named(path: Path) -> set[str]:
    """The class names in an annotation file; raises as `parse` does where it cannot be read."""
    return {name.strip() for element in read_xml(path).findall("object") if (name := element.findtext("name"))}


def _corners(element: ElementTree.Element, number: int, path: Path) -> tuple[float, float, float, float]:
    values = []
    for corner in _CORNERS:
        text = element.findtext(f"bndbox/{corner}")
        try:
            value = float(text) if text is not None else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            found = "none" if text is None else shown(text)
            raise DataError(f"{path}: object {number}: found {found} for bndbox/{corner}; must be a number.")
        values.append(value)
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2


def _check_box(corners: tuple[float, float, float, float], where: str, width: int, height: int) -> None:
    """Looks at the devkit's own numbers: 1-based, both ends inside."""
    x1, y1, x2, y2 = corners
    box = "({:g}, {:g}, {:g}, {:g})".format(*corners)
    if x2 < x1 or y2 < y1:
        raise DataError(f"{where}: the box {box} has no area; xmin <= xmax and ymin <= ymax must hold.")
    if x1 < 1 or y1 < 1 or x2 > width or y2 > height:
        raise DataError(
            f"{where}: the box {box} leaves the image of {width} x {height} pixels; "
            f"x must be in 1..{width} and y in 1..{height} (boxes count pixels from 1, both ends inside)."
        )


def _integer(text: str | None, tag: str, path: Path) -> int:
    try:
        return int(text or "")
    except ValueError:
        found = "none" if text is None else shown(text)
        raise DataError(f"{path}: found {found} for {tag}; must be a whole number.") from None
