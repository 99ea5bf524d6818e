"""What a folder of data looks like, for those who chose another layout."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vjo_train.data.sources.guess.layouts import LAYOUTS, MAPS, UNREAD, WEAKEST
from vjo_train.data.sources.guess.lists import LISTED, split_lists
from vjo_train.data.sources.guess.sign import Sign, files_of, quoted
from vjo_train.data.sources.objects.signs import head


def looks_like(place: Path) -> str:
    """` It looks like ...: dataset=... dataset.root=... reads it.`, or nothing where nothing is recognised.

    Args:
        place: a folder or file that was given as `dataset.root`.
    """
    if (place / ".hydra" / "config.yaml").is_file():
        return " It is the folder of a run, which run= of the other commands takes, or start_from and trainer.resume."
    found = guesses(place) if place.is_dir() else list(filter(None, [_guess(place)]))
    if not found:
        return ""
    guess = found[0]
    seen = "" if guess.seen == place else f" ({guess.seen.relative_to(place)})"
    if not guess.choice:
        return f" It looks like {guess.what}{seen}: {guess.note}"
    return f" It looks like {guess.what}{seen}: {guess.overrides} reads it."


HEADS = {
    "masks": "[semantic]",
    "instances": "[instance,semantic]",
    "table": "[classification]",
    "folders": "[category]",
}
"""What to learn from layouts that have no labels for the default heads."""
_BESIDE = {"box_table": (MAPS, "table"), "box_lists": (MAPS,)}
"""What else may lie in the folder of a layout."""
_MOST = 100
"""Folders at one depth that are looked into."""


class Guess(NamedTuple):
    """What a folder or file looks like."""

    place: Path
    what: str
    choice: str
    """Of `dataset`; empty for what is not read."""
    seen: Path
    """What gives it away."""
    keys: tuple[str, ...] = ()
    """Further overrides."""
    note: str = ""
    """What else to say."""

    @property
    def overrides(self) -> str:
        """What reads it, on a command line."""
        return " ".join([f"dataset={self.choice}", f"dataset.root={quoted(self.place)}", *self.keys])


def guesses(place: Path) -> list[Guess]:
    """What `place` looks like, or, where nothing is recognised, what the folders in it and in these look like.

    Folders of pictures are the weakest sign: what is recognised inside them comes first. Maps may be one of several
    annotations of the same pictures: other ones in folders beside them come with them.
    """
    own = _guess(place)
    if own is not None and own.choice not in (WEAKEST, MAPS):
        return [own, *filter(None, (_guess(place, [name]) for name in _BESIDE.get(own.choice, ())))]
    found: list[Guess] = []
    for folders in ("*", "*/*"):
        below = (sub for sub in place.glob(folders) if sub.is_dir() and not sub.name.startswith("."))
        inner = sorted(islice(below, 10 * _MOST))[:_MOST]
        outside = [sub for sub in inner if not any(sub.is_relative_to(guess.place) for guess in found)]
        found += [guess for sub in outside if (guess := _guess(sub)) and (own is None or guess.choice != WEAKEST)]
    if own is not None and own.choice == MAPS:
        return [own, *(guess for guess in found if guess.choice not in (MAPS, ""))]
    return found or ([own] if own else [])


def _guess(place: Path, choices: Iterable[str] = LAYOUTS) -> Guess | None:
    for name in choices:
        what, find = LAYOUTS[name]
        if name == WEAKEST and (other := _unread(place)):
            return other
        if (found := next(find(place), None)) is not None:
            sign = found if isinstance(found, Sign) else Sign(found)
            lists = split_lists(place) if name in LISTED and "{split}" not in str(sign.keys) else ()
            return Guess(place, what, name, sign.seen, (*sign.keys, *lists), sign.note)
    return None


def _unread(place: Path) -> Guess | None:
    """What is known, but not read here."""
    for what, (patterns, known, remedy) in UNREAD.items():
        for path in files_of(place, patterns, most=100):
            if known is None or known in head(path):
                return Guess(place, what, "", path, note=remedy)
    return None
