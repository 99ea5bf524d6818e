"""Folders of pictures and folders of their maps, told by the names of the files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vjo_train.data.decode import read_size, read_values
from vjo_train.data.sources.pictures import is_picture
from vjo_train.data.sources.split_names import split_in
from vjo_train.errors import DataError

_LOOKED_AT = 20
"""Pictures of a folder whose maps are looked for."""
_ENOUGH = 0.8
"""Of them that must have one."""
_WORDS = (
    "mask",
    "label",
    "annot",
    "segm",
    "semantic",
    "_seg",
    "groundtruth",
    "ground_truth",
    "ground truth",
    "gt",
    "trimap",
    "manual",
    "matte",
)
"""What folders of maps, or the ends of their names, are called."""


_SPLITS = [
    form
    for word in ("train", "training", "val", "valid", "validation", "test", "testing")
    for form in (word, word.capitalize())
]


class Pairing(NamedTuple):
    """Pictures and maps, as the keys of `MaskFiles` name them."""

    images: str
    masks: str
    example: Path
    """A map."""
    values: tuple[int, ...]
    """That some maps hold; none where they are in colours."""


def paired(place: Path) -> Pairing | None:
    """A pair of folders below a place, at most four down, of which one holds maps for the other's pictures.

    Of several the first whose maps hold numbers, and not colours.
    """
    folders = dict(islice(_folders(place), 400))
    found = [pair for images in folders if not _is_map(images, "") for pair in _pairings(place, images, folders)]
    found.sort(key=lambda pair: (not pair.values, "manual" not in pair.masks))
    if not found:
        return None
    best = _in_each(found[0], found)
    alike = {pair.images for pair in found if _same_folder(pair) and _same_folder(best) == _same_folder(pair)}
    return best if len(alike) < 2 else _common(best, sorted(alike))


def _same_folder(pair: Pairing) -> str:
    """What the names of maps have behind those of pictures in their own folder; nothing where they lie elsewhere."""
    folder, name = os.path.split(pair.masks)
    return name if folder == os.path.normpath(pair.images).lstrip(".") else ""


def _in_each(pair: Pairing, found: list[Pairing]) -> Pairing:
    """The pictures of all folders such as `a/images`, whose maps lie in `a/masks`; one alone as it is."""
    place, pictures = os.path.split(pair.images)
    maps, name = os.path.split(pair.masks)
    if not place or os.path.dirname(maps) != place or "{split}" in place:
        return pair
    maps = os.path.basename(maps)
    folders = [(os.path.split(one.images), one.masks) for one in found]
    places = [at for (at, own), masks in folders if own == pictures and masks == os.path.join(at, maps, name)]
    if len(places) < 2:
        return pair
    above = os.path.commonpath(places)
    whole = os.path.join(above, "{stem}", "..", "..", maps, name.replace("{stem}", "{name}"))
    return pair._replace(images=above or ".", masks=whole)


def _common(pair: Pairing, images: list[str]) -> Pairing:
    """The pictures of all these folders, such as of patients, with their maps beside them."""
    above = os.path.commonpath(images) or "."
    return pair._replace(images=above, masks=os.path.normpath(os.path.join(above, os.path.basename(pair.masks))))


def _pairings(place: Path, images: str, folders: Mapping[str, list[str]]) -> Iterator[Pairing]:
    """The folders of maps for the pictures of one folder."""
    stems = [os.path.splitext(name)[0] for name in folders[images]]
    for masks, names in folders.items():
        ending = _ending(stems, names, same=images == masks)
        if ending is not None and _is_map(masks, ending):
            known = {*names}
            files = [place / masks / (stem + ending) for stem in stems if stem + ending in known]
            pictures, maps = by_split(place, images, masks)
            yield Pairing(pictures, os.path.normpath(f"{maps}/{{stem}}{ending}"), files[0], _values(files))


def _folders(place: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder with pictures, below the place, and some of their names."""
    for depth in ("", "*/", "*/*/", "*/*/*/", "*/*/*/*/"):
        for folder in sorted(place.glob(depth)) if depth else [place]:
            if folder.is_dir() and not folder.name.startswith("."):
                with os.scandir(folder) as entries:
                    shown = (one.name for one in entries if is_picture(one.name) or one.name.endswith(".gif"))
                    names = sorted(islice((name for name in shown if not name.startswith(".")), 2000))
                if names:
                    yield folder.relative_to(place).as_posix(), names


def _ending(stems: list[str], names: list[str], *, same: bool) -> str | None:
    """What the names of maps have behind the stems of their pictures, such as `_mask.png`; None where few have one."""
    looked, known = stems[:_LOOKED_AT], Counter[str]()
    for stem in looked:
        known.update({name[len(stem) :] for name in names if name.startswith(stem)})
    ends = [end for end in known if "." in end and not (same and end.startswith("."))]
    best = max(ends, key=lambda end: known[end], default=None)
    return best if best is not None and known[best] >= max(1, _ENOUGH * len(looked) / (2 if same else 1)) else None


def _is_map(folder: str, ending: str) -> bool:
    words = f"{folder}/{ending}".lower()
    return any(word in words for word in _WORDS) or ending.startswith("_L.")


def by_split(place: Path, images: str, masks: str) -> tuple[str, str]:
    """The two folders with `{split}` where a part of both says one, and another split has such folders too.

    Deeper folders that both have alike, such as those of cities, are left to `{stem}`.
    """
    first, second = images.split("/"), masks.split("/")
    while len(first) > 1 < len(second) and first[-1] == second[-1] and not split_in(first[-1]):
        first, second = first[:-1], second[:-1]
    images, masks = "/".join(first), "/".join(second)
    for part in first:
        for word in (part, *part.replace("-", "_").split("_"), *re.findall("[A-Za-z]+", part)):
            others = [other for other in _SPLITS if split_in(word) and word in masks and other != word]
            pairs = [(images.replace(word, other), masks.replace(word, other)) for other in others]
            if any((place / one).is_dir() and (place / other).is_dir() for one, other in pairs):
                return images.replace(word, "{split}"), masks.replace(word, "{split}")
    return images, masks


def _values(files: list[Path]) -> tuple[int, ...]:
    """The values of some maps; none where one is in colours."""
    found: set[int] = set()
    for file in files[:5]:
        try:
            found |= {*np.unique(read_values(file, read_size(file), lossy=True).numpy()).tolist()}
        except DataError:
            return ()
    return tuple(sorted(found))
