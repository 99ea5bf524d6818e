"""Splits that no list gives, made of the images that are in no list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

SHARES = {"train": 8, "val": 1, "test": 1}
"""Of the images in no list."""


def made(listed: Mapping[str, Sequence[str]], ids: Iterable[str]) -> dict[str, list[str]]:
    """The splits among `train`, `val`, `test` and `trainval` that have no list.

    The images in no list are shared out among those of the first three that are missing (where `trainval` has a list,
    `train` and `val` are not missing), 8 : 1 : 1, by a hash of their ids. `trainval` is train and val.

    Args:
        listed: split -> the images of its list.
        ids: all annotated images.

    Returns:
        Split -> its images, sorted; none is empty.
    """
    free = set(ids).difference(*listed.values())
    wanted = ["test"] if "trainval" in listed else list(SHARES)
    parts = _shared(sorted(free), [name for name in wanted if name not in listed])
    halves = [{**listed, **parts}.get(name) for name in ("train", "val")]
    if "trainval" not in listed and halves[0] and halves[1]:
        parts["trainval"] = sorted([*halves[0], *halves[1]])
    return {name: part for name, part in parts.items() if part}


def _shared(ids: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """`ids` in parts by `SHARES`; each but the first has at least one image as long as there are any."""
    left = sorted(ids, key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())
    total = sum(SHARES[name] for name in names)
    parts: dict[str, list[str]] = {}
    for name in reversed(names):
        number = len(left) if name == names[0] else max(1, round(len(ids) * SHARES[name] / total))
        parts[name], left = sorted(left[:number]), left[number:]
    return dict(reversed(parts.items()))


def told(parts: Mapping[str, Sequence[str]]) -> str:
    """One sentence about made splits; nothing where there are none."""
    counts = [f"{name} ({len(part)})" for name, part in parts.items() if name != "trainval"]
    said = [f"images in no list are shared out by a hash of their names: {', '.join(counts)}"] if counts else []
    said += ["trainval is train and val"] if "trainval" in parts else []
    return f"ImageSets/Main has no list for {', '.join(parts)}: {'; '.join(said)}" if said else ""
