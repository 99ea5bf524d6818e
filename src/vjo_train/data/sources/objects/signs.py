"""What gives the files of annotation tools away, by their first bytes."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vjo_train.data.sources.objects.columns import CORNERS, Columns, columns_of, plain

_RETINANET = ("path", "x1", "y1", "x2", "y2", "class")
_UDACITY = ("path", "x1", "y1", "x2", "y2", "occluded", "class", "state")
_PATHS = {"path", "filename", "image", "imagepath", "imagename", "imagefile"}
_LISTS = {"objects", "boxes", "bboxes", "annotations", "instances"}
_NAMED = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"[^"]+"\s*:\s*(\{[^{}]*:\s*)?\[\s*[{\]]')
"""JSON that begins with a name, and a list of mappings under it, or in what is under it."""
_ENDS = 1 << 14
_HEAD = 1 << 16


def head(file: Path, most: int = _HEAD) -> bytes:
    """The first bytes of a file; none of one that cannot be read."""
    try:
        if not file.is_file():
            return b""
        with file.open("rb") as content:
            return content.read(most)
    except OSError:
        return b""


def tail(file: Path, most: int = _ENDS) -> bytes:
    """The last bytes of a file; none of one that cannot be read."""
    try:
        if not file.is_file():
            return b""
        with file.open("rb") as content:
            content.seek(max(0, file.stat().st_size - most))
            return content.read()
    except OSError:
        return b""


def is_labelme(file: Path) -> bool:
    """LabelMe's JSON, by its first and last bytes: in between there may be the picture."""
    first = head(file, _ENDS)
    if len(first) == _ENDS:
        first += tail(file)
    return b'"shapes"' in first and (b'"imagePath"' in first or b'"imageHeight"' in first)


def is_cvat(file: Path) -> bool:
    """The XML of CVAT, for images or for video."""
    return b"<annotations" in head(file, 1 << 12)


def is_aperio(file: Path) -> bool:
    """The XML of Aperio ImageScope."""
    return b"<Annotations" in head(file, 1 << 12)


def is_via(file: Path) -> bool:
    """VIA's JSON or CSV."""
    first = head(file)
    if file.suffix.lower() == ".csv":
        return b"region_shape_attributes" in first
    return b'"_via_' in first or b'"shape_attributes"' in first or (b'"regions"' in first and b'"filename"' in first)


def is_bbgt(file: Path) -> bool:
    """The text of Piotr Dollar's toolbox."""
    return head(file, 16).startswith(b"% bbGt version=")


def is_pascal_text(file: Path) -> bool:
    """The text of PASCAL's annotations, version 1.00."""
    return b"PASCAL Annotation Version" in head(file, 100)


def is_bdd100k(file: Path) -> bool:
    """BDD100K's JSON, or that of Scalabel: frames with labels, or, in the first release, with objects."""
    first = head(file)
    shapes = (b'"box2d"', b'"poly2d"', b'"rle"')
    frames = b'"labels"' in first or (b'"frames"' in first and b'"objects"' in first)
    return frames and b'"category"' in first and any(shape in first for shape in shapes)


def is_createml(file: Path) -> bool:
    """CreateML's JSON."""
    first = head(file)
    return b'"annotation' in first and b'"coordinates"' in first and b'"image' in first


def is_box_list(file: Path) -> bool:
    """JSON or YAML in which a picture has a list of boxes with their corners by name, and a path; or its name is a key.

    The second is looked for in JSON alone.
    """
    first = head(file)
    known = {plain(key.decode()) for key in re.findall(rb"""(?:^|[{\s,"'-])([A-Za-z]\w{0,39})["']?\s*:""", first)}
    if known & _PATHS and known & _LISTS and known & {"xmin", "x0"}:
        return True
    return _NAMED.match(first) is not None and any(known >= {*four} for four in CORNERS)


def is_label_studio(file: Path) -> bool:
    """Label Studio's JSON: tasks with results, or the short form with the size of each region's picture."""
    first = head(file)
    tasks = b'"annotations"' in first and b'"result"' in first
    short = b'"original_width"' in first and re.search(rb'"\w*labels"\s*:\s*\[', first) is not None
    return tasks or (short and b'"value"' not in first)


def is_coco(file: Path) -> bool:
    """COCO's JSON: lists of images and of annotations of these."""
    first = head(file)
    return bool(re.search(rb'"images"\s*:\s*\[\s*[{\]]', first)) or (
        re.search(rb'"annotations"\s*:\s*\[\s*\{', first) is not None and b'"image_id"' in first
    )


def box_columns(file: Path, path: str | None = None, label: str | None = None) -> Columns | None:
    """The columns of a table of boxes; None where it is none, or cannot be read."""
    if file.suffix.lower() == ".json":
        return columns_of(_json_columns(file), {"path": path, "label": label})
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline(_HEAD)
            header = next(csv.reader([first], delimiter=delimiter(first)), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    return columns_of(headless(header) or header, {"path": path, "label": label})


def _json_columns(file: Path) -> list[str]:
    """The columns of the first of a list of flat rows; none of other JSON."""
    text = head(file).decode("utf-8-sig", "ignore").lstrip()
    with suppress(ValueError, RecursionError):
        row, _ = json.JSONDecoder().raw_decode(text.removeprefix("[").lstrip())
        if text.startswith("[") and isinstance(row, dict) and not any(map(_is_nested, row.values())):
            return list(row)
    return []


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict | list) for one in value))


def headless(row: Sequence[str]) -> Sequence[str]:
    """The columns of a table that begins with a row of keras-retinanet's, or of Udacity's; none of another one."""
    if len(row) == len(_RETINANET) and all(re.fullmatch(r"\s*-?[\d.]*\s*", text) for text in row[1:5]):
        return _RETINANET
    udacity = len(row) in (7, 8) and all(re.fullmatch(r"-?\d+", text) for text in row[1:6])
    return _UDACITY if udacity else ()


def delimiter(line: str) -> str:
    """What separates the columns of a table, by its first line; spaces in Udacity's alone."""
    return " " if re.match(r"\S+( -?\d+){5} ", line) else max(",;\t", key=line.count)
