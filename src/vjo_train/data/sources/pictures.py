"""Picture files by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"})
"""Of pictures, in small letters; files may have them in any case."""


def is_picture(name: str) -> bool:
    """Whether a file of that name is taken for a picture."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def stem(name: str) -> str:
    """The file name of a picture without its extension; other names as they are."""
    return os.path.splitext(name)[0] if is_picture(name) else name


def by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """Stem -> the pictures among `names` that have it, sorted."""
    found: dict[str, list[str]] = {}
    for name in sorted(filter(is_picture, names)):
        found.setdefault(stem(name), []).append(name)
    return found
