"""Which picture of the data set each record is of, and which split it is in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vjo_train.data.sources.objects.finding import Finder
from vjo_train.data.sources.objects.records import Picture
from vjo_train.data.sources.voc.layout import shown


@dataclass(frozen=True)
class Placed:
    """A picture of the data set.

    Attributes:
        path: below the root; where there is no such picture, a name for it.
        picture: what is said of it.
        fault: no picture, or several, may be meant, or it is there twice.
    """

    path: str
    picture: Picture
    fault: str = ""


def placed(root: Path, finder: Finder, pictures: Sequence[Picture], remedy: str = "") -> list[Placed]:
    """The pictures, each under a path of its own, in their order.

    Args:
        root: of the data set.
        finder: its pictures.
        pictures: what files say of them.
        remedy: what to do where two files say something of one.
    """
    taken: dict[str, Picture] = {}
    folders: dict[Path, str] = {}
    found = []
    for number, picture in enumerate(pictures):
        folder = picture.file.parent
        if folder not in folders:
            folders[folder] = os.path.relpath(folder, root)
        likely = finder.find(picture.name, folders[folder], picture.split)
        fault, path = "", likely[0] if len(likely) == 1 else ""
        if not likely:
            fault = f"found no picture {shown(picture.name)} below {os.path.normpath(root / finder.images)}"
        elif len(likely) > 1:
            fault = f"{shown(picture.name)} may be {likely[0]} or {likely[1]}; must be clear from its path"
        elif path in taken:
            other = taken[path].file
            fault = f"{path} is there twice, also in {other.name}; each picture may be there once"
            fault += f". {remedy}" if remedy and other != picture.file else ""
        if fault:
            path = f"picture {number + 1} ({picture.file.name})"
            fault = f"{picture.file}: {fault}."
        taken[path] = picture
        found.append(Placed(path, picture, fault))
    return found
