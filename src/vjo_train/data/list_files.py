"""Splits that a text file lists, a name in each line, as many public sets have them beside their labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

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
    named = defaultdict(list)
    for one in ids:
        named[_parts(one)[-1]].append(one)
    found: dict[str, int] = {}
    strangers = []
    for number, line in enumerate(lines, 1):
        words = [line.strip(), *line.replace(",", " ").split()[:1]]
        likely = next(filter(None, (_meant(word, named[_parts(word)[-1]]) for word in words if word)), [])
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


def _meant(name: str, likely: Sequence[str]) -> list[str]:
    """Those that a name may mean: itself alone, else with the same ending, else any whose last parts agree."""
    if name in likely:
        return [name]
    parts = _parts(name)
    close = [one for one in likely if (own := _parts(one))[-len(parts) :] == parts or parts[-len(own) :] == own]
    return [one for one in close if Path(one).suffix == Path(name).suffix] or close


def _parts(name: str) -> list[str]:
    """The folders of a path and its name without ending."""
    return stem(name.replace("\\", "/")).split("/")
