"""Maps that lie among the pictures that they are of, told by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

_WORDS = "masks?|gt|seg|segmentation|ground ?truth|annotation|anno|matte"
_ENDING = re.compile(rf"(.+?)[ _.-]+(?:{_WORDS})(?:[ _.-]*\d+)?", re.IGNORECASE)


def without_maps(pictures: Sequence[str]) -> tuple[list[str], list[str]]:
    """The pictures of a folder, and what among them is a map of another one: `a.png`, and `a_mask.png`, `a_mask_1.png`.

    Args:
        pictures: paths; what is told from one of another folder is no map.
    """
    known = {os.path.splitext(path)[0] for path in pictures}
    maps = [path for path in pictures if (stem := _owner(path)) and stem in known]
    found = set(maps)
    return [path for path in pictures if path not in found], maps


def _owner(path: str) -> str:
    """The picture, without its ending, that a map of this name would be of; nothing for other names."""
    folder, name = os.path.split(os.path.splitext(path)[0])
    match = _ENDING.fullmatch(name)
    return os.path.join(folder, match[1]) if match else ""
