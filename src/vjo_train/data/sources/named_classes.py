"""Class names in the files of a data set that `dataset.classes` does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches


def unknown_class(name: str, counts: Mapping[str, int], classes: Sequence[str]) -> str:
    """What to say of a class name in a file that is none of `dataset.classes`.

    Args:
        name: of the class.
        counts: name -> objects, in the whole data set.
        classes: `dataset.classes`.
    """
    cased = {known.casefold() for known in counts} & {known.casefold() for known in classes}
    close = [] if name.casefold() in cased else get_close_matches(name, classes, n=1, cutoff=0.5)
    if close:
        return f"unknown class {name[:60]!r} (did you mean {close[0]!r}?); allowed are {_cut(classes)}"
    place = {known.casefold(): number for number, known in enumerate(classes)}
    order = sorted(counts, key=lambda known: (place.get(known.casefold(), len(place)), known))
    found = _cut([f"{known} ({counts[known]})" for known in order])
    said = f"unknown class {name[:60]!r}; found in the files {found}"
    if counts.keys() >= set(classes):
        return f"{said}; to learn only {_cut(classes)}, leave out dataset.classes and set heads.<name>.classes"
    return f"{said}; did you mean dataset.classes=[{','.join(order)}]?"


def _cut(names: Sequence[str], most: int = 25) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
