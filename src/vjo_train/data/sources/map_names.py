"""Maps that lie among the pictures that they are of, told by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

_WORDS = "masks?|gt|seg|segmentation|ground ?truth|annotation|anno|matte"
_FOLDER = re.compile(rf"(?:{_WORDS})s?", re.IGNORECASE)
_ENDING = re.compile(rf"(.+?)[ _.-]+(?:{_WORDS})(?:[ _.-]*\d+)?", re.IGNORECASE)

_NO_CLASS = re.compile(
    r"(images?|imgs?|img1|jpegimages|image_\d|pictures|photos|frames|masks?|labels?|annotations?)", re.IGNORECASE
)


def of_no_class(folder: str) -> bool:
    """Whether a folder is called after what lies in it, such as `images`, and so after no class."""
    return _NO_CLASS.fullmatch(folder) is not None


def without_maps(pictures: Sequence[str]) -> tuple[list[str], list[str]]:
    """Pictures, and what among them is a map of another one: `a_mask.png` and `a_mask_1.png` beside `a.png`, or
    `masks/a.png` beside `images/a.png`.

    Args:
        pictures: paths.
    """
    known = {os.path.splitext(path)[0] for path in pictures}
    near = {_near(path) for path in pictures if not in_maps(path)}
    maps = [path for path in pictures if _owner(path) in known or (in_maps(path) and _near(path) in near)]
    found = set(maps)
    return [path for path in pictures if path not in found], maps


def in_maps(path: str) -> bool:
    """Whether a file lies in a folder that is called after maps."""
    return _FOLDER.fullmatch(os.path.basename(os.path.dirname(path))) is not None


def _near(path: str) -> tuple[str, str]:
    """The folder around that of a file, and the file's name without its ending."""
    folder, name = os.path.split(os.path.splitext(path)[0])
    return os.path.dirname(folder), name


def _owner(path: str) -> str:
    """The picture, without its ending, that a map of this name would be of; nothing for other names."""
    folder, name = os.path.split(os.path.splitext(path)[0])
    match = _ENDING.fullmatch(name)
    return os.path.join(folder, match[1]) if match else ""
