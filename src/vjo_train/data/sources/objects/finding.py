"""Pictures that a file names: by their path, or, where another machine wrote it, by their name alone."""

from __future__ import annotations

import os
from pathlib import Path

from vjo_train.data.sources.map_names import in_maps
from vjo_train.data.sources.path_ends import PathEnds, ends_of
from vjo_train.data.sources.pictures import below, stem
from vjo_train.data.sources.split_names import split_in


def pictures_in(root: Path, images: str) -> list[str]:
    """The pictures in the folder `images` and below it, as sorted paths below the root."""
    return below(root, os.path.normpath(images))


class Finder:
    """The pictures in a folder and below it.

    Args:
        root: of the data set.
        images: the folder, below the root.
    """

    def __init__(self, root: Path, images: str = ".") -> None:
        self.images = images
        found = pictures_in(root, images)
        self._paths = set(found)
        self._named = PathEnds((path, path) for path in found)
        self._stems = PathEnds((stem(path), path) for path in found)

    def find(self, name: str, beside: str, split: str) -> list[str]:
        """The pictures below the root that a name may mean; one where it is clear.

        A path is looked for from the folder of its file, from the root and from the folder of pictures; else the name
        alone counts, then without its ending. Of several, those with most of the path's folders are meant, then those
        beside the file, then those of the split, then those in no folder of maps, then the nearest ones. What lies
        in folders of another split is never meant.

        Args:
            name: as it is written; its folders may be of another machine.
            beside: the folder of the file that says it, below the root.
            split: that the picture is of, or nothing.
        """
        path = name.strip().replace("\\", "/")
        for folder in (beside, ".", self.images):
            if (whole := os.path.normpath(os.path.join(folder, path.lstrip("/")))) in self._paths:
                return [whole]
        ways = ((self._named, path), (self._stems, path), (self._stems, stem(path)))
        known, word = next((way for way in ways if way[1].rpartition("/")[2] in way[0]), ways[0])
        likely = map(known.of, ends_of(word))
        found = next(filter(None, ([one for one in own if _may_be_of(one, split)] for own in likely)), [])
        for sign in (
            lambda one: os.path.dirname(one) == os.path.normpath(beside),
            lambda one: split != "" and split in map(split_in, one.split("/")[:-1]),
            lambda one: not in_maps(one),
            lambda one: len(os.path.commonpath([os.path.dirname(one), os.path.normpath(beside)])),
        ):
            if len(found) > 1:
                best = max(map(sign, found))
                found = [one for one in found if sign(one) == best]
        return found


def _may_be_of(path: str, split: str) -> bool:
    """Whether no folder of a path says another split; `trainval` says nothing."""
    said = {word for folder in path.split("/")[:-1] if (word := split_in(folder))} - {"trainval"}
    return split in ("", "trainval") or not said or split in said
