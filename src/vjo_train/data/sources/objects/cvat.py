"""CVAT for images 1.1: one XML file for all pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import ellipse, joined, pixels
from vjo_train.data.sources.objects.signs import is_cvat
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.split_names import split_in
from vjo_train.data.sources.xml_files import LINE, read_xml
from vjo_train.errors import DataError

MOST_BYTES = 1 << 31
"""Of the file."""
_OTHER = ("polyline", "points", "tag", "cuboid", "skeleton")
"""Shapes that are no objects here."""


class CVAT(ObjectFiles):
    """`annotations.xml` and the pictures, as CVAT exports a task or a project.

    Every picture that the file lists is annotated, also one without shapes. Polygons, ellipses and masks are objects
    with their pixels, boxes are boxes without; turned ones are what encloses them. Shapes of a group (`group_id`) and
    label are parts of one object. Other shapes and tags are left out, and counted in the log. Classes are in the order
    of the file's labels. A `subset` that is called so is the split.
    """

    what = "XML file of CVAT for images 1.1, with <annotations> and <image>"

    def files(self, root: Path) -> list[Path]:
        return format_files(root, (".xml",), is_cvat)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        pictures: list[Picture] = []
        names: dict[str, None] = {}
        for file in files:
            tree = read_xml(file, MOST_BYTES, lines=True)
            if tree.find("track") is not None:
                raise DataError(f"{file}: is CVAT for video; export the task as 'CVAT for images 1.1' or 'COCO 1.0'.")
            names |= dict.fromkeys(
                name.strip() for label in tree.iter("label") if (name := label.findtext("name")) and name.strip()
            )
            pictures += [_picture(file, image) for image in tree.findall("image")]
        return Read(pictures, _shown(list(names), pictures))


def _shown(names: Sequence[str], pictures: Sequence[Picture]) -> list[str]:
    """The labels but those that are of other shapes alone, such as the parts of skeletons."""
    used = {thing.name for picture in pictures for thing in picture.things}
    left = {said.split("'")[1] for picture in pictures for _, said in picture.notes}
    return [name for name in names if name in used or name not in left]


def _picture(file: Path, image: Element) -> Picture:
    split = split_in(image.get("subset", "")) or split_in(file.parent.name)
    picture = Picture(image.get("name", ""), file, split)
    sides = image.get("height", ""), image.get("width", "")
    if all(map(str.isdecimal, sides)):
        picture.size = int(sides[0]), int(sides[1])
    try:
        found = [_thing(shape, picture) for shape in image]
    except DataError as error:
        picture.fault = str(error)
        return picture
    picture.things = joined(pair for pair in found if pair is not None)
    return picture


def _thing(shape: Element, picture: Picture) -> tuple[Any, Thing] | None:
    """The number of its group and the object; None for what is no object."""
    where = f"line {shape.get(LINE)}"
    thing = Thing(shape.get("label", "").strip(), where=where)
    group = shape.get("group_id") or None
    if shape.tag == "box":
        left, top, right, bottom = _numbers(shape, picture, "xtl", "ytl", "xbr", "ybr")
        return None, thing._replace(box=_turned(left, top, right, bottom, _turn(shape, picture)))
    if shape.tag == "polygon":
        return group, thing._replace(outline=[_corners(shape, picture)])
    if shape.tag == "ellipse":
        x, y, across, down = _numbers(shape, picture, "cx", "cy", "rx", "ry")
        return group, thing._replace(outline=[ellipse(x, y, across, down, _turn(shape, picture))])
    if shape.tag == "mask":
        return None, _masked(shape, picture, thing)
    if shape.tag in _OTHER:
        picture.notes.append((f"{shape.tag} left out", f"{where}: of '{thing.name}'"))
        return None
    raise DataError(f"{picture.file}: {where}: found <{shape.tag[:40]}>; must be a shape of CVAT for images 1.1.")


def _numbers(shape: Element, picture: Picture, *names: str) -> list[float]:
    try:
        found = [float(shape.get(name, "")) for name in names]
    except ValueError:
        found = [math.nan]
    if not all(map(math.isfinite, found)):
        said = ", ".join(f"{name}={shape.get(name)!r:.20}" for name in names)
        raise DataError(f"{picture.file}: line {shape.get(LINE)}: found {said}; must be numbers.")
    return found


def _turn(shape: Element, picture: Picture) -> float:
    return math.radians(_numbers(shape, picture, "rotation")[0]) if shape.get("rotation") else 0.0


def _turned(left: float, top: float, right: float, bottom: float, turn: float) -> tuple[float, float, float, float]:
    """The box around a box that is turned about its centre."""
    if not turn:
        return left, top, right, bottom
    x, y, half, high = (left + right) / 2, (top + bottom) / 2, abs(right - left) / 2, abs(bottom - top) / 2
    across = half * abs(math.cos(turn)) + high * abs(math.sin(turn))
    down = half * abs(math.sin(turn)) + high * abs(math.cos(turn))
    return x - across, y - down, x + across, y + down


def _corners(shape: Element, picture: Picture) -> list[float]:
    text = shape.get("points", "")
    try:
        corners = [float(number) for point in text.split(";") for number in point.split(",")]
    except ValueError:
        corners = []
    if len(corners) < 6 or len(corners) % 2 or not all(map(math.isfinite, corners)):
        raise DataError(
            f"{picture.file}: line {shape.get(LINE)}: found the points '{text[:40]}'; must be x,y;x,y;x,y;.."
        )
    return corners


def _masked(shape: Element, picture: Picture, thing: Thing) -> Thing:
    """The object of a mask: run lengths by rows in a box, the first of pixels outside."""
    left, top, width, height = (int(number) for number in _numbers(shape, picture, "left", "top", "width", "height"))
    where = f"{picture.file}: line {shape.get(LINE)}"
    if picture.size is None:
        raise DataError(f"{where}: found a mask in an image without a width and height; must have them.")
    rows, columns = picture.size
    fits = left >= 0 and top >= 0 and 0 < width <= columns - left and 0 < height <= rows - top
    try:
        runs = [int(run) for run in shape.get("rle", "").split(",")]
    except ValueError:
        runs = []
    if not fits or min(runs, default=-1) < 0 or sum(runs) != width * height:
        raise DataError(f"{where}: found a mask of {sum(runs)} pixels in a box of {width} x {height}; must fit it.")
    own = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    whole = np.zeros((rows, columns), np.bool_)
    whole[top : top + height, left : left + width] = own
    return thing._replace(box=(left, top, left + width, top + height), outline=pixels(whole))
