"""Which columns of a table hold what, by their names in public sets and exports."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

PICTURE = (
    *("filename", "file", "filepath", "path", "imagepath", "image", "imageid", "imagename", "imageindex", "imgid"),
    *("img", "imgname", "imagefile", "imagefilename", "patientid", "externalid", "frame", "idcode", "id", "name"),
)
CLASS = (
    *("class", "classname", "label", "labelname", "category", "categoryname", "findinglabel", "findinglabels"),
    *("annotationtag", "objectclass", "objectlabel", "type", "classid", "labelid", "categoryid", "species"),
)
CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("roix1", "roiy1", "roix2", "roiy2"),
    ("upperleftcornerx", "upperleftcornery", "lowerrightcornerx", "lowerrightcornery"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("bboxx1", "bboxy1", "bboxx2", "bboxy2"),
    ("xmins", "ymins", "xmaxs", "ymaxs"),
)
SIDES = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("bboxx", "y", "w", "h"),
    ("bboxx", "bboxy", "bboxwidth", "bboxheight"),
    ("bboxx", "bboxy", "bboxw", "bboxh"),
    ("bbxx", "bbxy", "bbxw", "bbxh"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("xmin", "ymin", "w", "h"),
)
"""The upper left corner, width and height."""
LISTED = ("bbox", "boundingbox", "box")
"""A column of `[x, y, width, height]`."""
OBJECTS = ("objects", "boxes", "bboxes", "annotations", "labels", "instances")
"""What the list of a picture's objects is called."""
PRESENT = ("target",)
"""A column of 1 for a row with a box and 0 for a picture without any."""
IGNORED = ("isgroupof", "difficult", "iscrowd", "ignore")
SPLIT = ("split", "subset", "set", "partition", "fold")


class Columns(NamedTuple):
    """The columns of a table, as they are called there."""

    picture: str
    name: str | None
    """Of the class."""
    box: tuple[str, ...]
    """Four of numbers, or one of lists."""
    corners: bool
    """The numbers are xmin, ymin, xmax, ymax; else x, y, width, height."""
    present: str | None
    ignored: tuple[str, ...]
    """Those that say so; one is enough."""
    split: str | None
    size: tuple[str, str] | None
    """Width and height of the picture."""


def is_yes(value: object) -> bool:
    """Whether a cell, or a value in JSON, says yes: `1`, `1.0`, `true` or `yes`, in any case; others say no."""
    return str(value).strip().lower() in ("1", "1.0", "true", "yes")


def plain(name: str) -> str:
    """A column's name without what is written one way or another: `Roi.X1` and `roi_x1` are `roix1`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def numbers_in(names: Collection[str]) -> tuple[tuple[str, ...], bool]:
    """The four of some names, as of `plain`, that are a box, or nothing; and whether they are its corners."""
    corners = next((four for four in CORNERS if {*four} <= {*names}), ())
    return corners or next((four for four in SIDES if {*four} <= {*names}), ()), bool(corners)


def columns_of(header: Sequence[str], asked: Mapping[str, str | None]) -> Columns | None:
    """The columns of a table of boxes; None where it is none.

    Args:
        header: the names of all columns.
        asked: `path` and `label`: columns that are named by keys.
    """
    known: dict[str, str] = {}
    for name in header:
        known.setdefault(plain(name), name)

    def first(words: Sequence[str]) -> str | None:
        return next((known[word] for word in words if word in known), None)

    four, corners = numbers_in(known)
    box = tuple(known[word] for word in four) or tuple(filter(None, [first(LISTED)]))
    picture = asked.get("path") or first([word for word in PICTURE if known.get(word) not in box])
    if not box or picture is None:
        return None
    sized = {"width", "height"} <= known.keys() and not {known["width"], known["height"]} & {*box}
    return Columns(
        picture=picture,
        name=asked.get("label") or first([word for word in CLASS if known.get(word) != picture]),
        box=box,
        corners=corners,
        present=first(PRESENT),
        ignored=tuple(known[word] for word in IGNORED if word in known),
        split=first(SPLIT),
        size=(known["width"], known["height"]) if sized else None,
    )
