"""Paths by what they end with: a name, or a name with the last of its folders."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator


class PathEnds:
    """Paths that are found by their ends, in the time of a look into a dictionary, and with little memory.

    Args:
        paths: each with what it goes by, such as itself without the ending of its name.
    """

    def __init__(self, paths: Iterable[tuple[str, str]]) -> None:
        both = sorted((_backwards(known), path) for known, path in paths)
        self._keys, self._paths = [key for key, _ in both], [path for _, path in both]

    def __contains__(self, end: str) -> bool:
        return self._span(end) != (0, 0)

    def of(self, end: str) -> list[str]:
        """Those that end with all parts of `end`, sorted."""
        start, stop = self._span(end)
        return sorted(self._paths[start:stop])

    def _span(self, end: str) -> tuple[int, int]:
        """The places of those that end so; (0, 0) for none."""
        first = _backwards(end)
        start = bisect_left(self._keys, first)
        stop = bisect_left(self._keys, first[:-1] + chr(ord("/") + 1), start)
        return (start, stop) if stop > start else (0, 0)


def ends_of(path: str) -> Iterator[str]:
    """A path, and what is left of it without its first folders, one after another."""
    yield path
    while "/" in path:
        path = path.partition("/")[2]
        yield path


def _backwards(path: str) -> str:
    return "/".join(path.split("/")[::-1]) + "/"
