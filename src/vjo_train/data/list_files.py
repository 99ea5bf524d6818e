"""Splits that a text file lists, a name in each line, as many public sets have them beside their labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from vjo_train.data.sources.path_ends import PathEnds, ends_of
from vjo_train.data.sources.pictures import stem
from vjo_train.errors import DataError

SUFFIX = ".txt"


def is_list(split: str) -> bool:
    """Whether a split is called as a file that lists its images."""
    return split.lower().endswith(SUFFIX)


def images_in(path: Path, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The images that a file lists, by their ids and in its order, and names that no image has.

    A line is an id or its last parts, such as the name without folders, or it ends with an id; endings need not be
    there. Of a line of several words the first counts, unless the whole is a name.

    Args:
        path: the file.
        ids: of all images.

    Raises:
        DataError: the file cannot be read or lists no image, or one twice; a name may mean several images.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); must hold the name of an image per line.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); must be a text file of images' names.") from error
    names = _Names(ids)
    found: dict[str, int] = {}
    strangers = []
    for number, line in enumerate(lines, 1):
        words = [line.strip(), *line.replace(",", " ").split()[:1]]
        likely = next(filter(None, (names.meant(word) for word in words if word)), [])
        if len(likely) > 1:
            raise DataError(f"{path}: line {number}: '{words[-1]}' may be {likely[0]} or {likely[1]}; must be clear.")
        if likely and found.setdefault(likely[0], number) != number:
            raise DataError(f"{path}: line {number}: {likely[0]} stands in line {found[likely[0]]} too.")
        if not likely and line.strip():
            strangers.append(line.strip())
    if not found:
        said = f", such as '{strangers[0][:60]}'; they are called {ids[0]}, .." if strangers and len(ids) else ""
        raise DataError(f"{path}: lists none of the {len(ids)} images{said}.")
    return list(found), strangers


class _Names:
    """Images by all that a list may call them.

    Args:
        ids: of all images.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids, self._ends = set(ids), PathEnds((_plain(one), one) for one in ids)
        self._whole: dict[str, list[str]] = defaultdict(list)
        for one in ids:
            self._whole[_plain(one)].append(one)

    def meant(self, name: str) -> list[str]:
        """Those that a name may mean: itself alone, else with the same ending, else any whose last parts agree."""
        if name in self._ids:
            return [name]
        whole, *shorter = ends_of(_plain(name))
        close = [*self._ends.of(whole), *(one for end in shorter for one in self._whole.get(end, ()))]
        return [one for one in close if Path(one).suffix == Path(name).suffix] or close


def _plain(name: str) -> str:
    """A path without the ending of its name."""
    return stem(name.replace("\\", "/"))
