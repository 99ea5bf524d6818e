"""Splits that no list gives, made of the images that are in no list."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from vjo_train.errors import DataError

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
    free = {name: name for name in sorted(set(ids).difference(*listed.values()))}
    wanted = ["test"] if "trainval" in listed else list(SHARES)
    parts = _shared(free, [name for name in wanted if name not in listed])
    halves = [{**listed, **parts}.get(name) for name in ("train", "val")]
    if "trainval" not in listed and halves[0] and halves[1]:
        parts["trainval"] = sorted([*halves[0], *halves[1]])
    return {name: part for name, part in parts.items() if part}


def regrouped(parts: Mapping[str, Sequence[str]], groups: Mapping[str, str]) -> dict[str, list[str]]:
    """The same images shared out so that none of a group is apart from the others, by a hash of the groups' names.

    Args:
        parts: as `made` has them.
        groups: image -> what it belongs to.

    Raises:
        DataError: there are fewer groups than parts.
    """
    names = [name for name in SHARES if name in parts]
    free = sorted(set().union(*(parts[name] for name in names)))
    found = _shared({name: groups[name] for name in free}, names)
    if empty := [name for name in names if not found[name]]:
        count = len(set(groups[name] for name in free))
        raise DataError(
            f"dataset.group: found {count} groups of images to share out among {', '.join(names)}; none is left for "
            f"{empty[0]}. Lists or folders of splits say which are for what."
        )
    return found | ({"trainval": sorted([*found["train"], *found["val"]])} if "trainval" in parts else {})


def _shared(groups: Mapping[str, str], names: Sequence[str]) -> dict[str, list[str]]:
    """Images with their groups, in parts by `SHARES`; each but the first has at least one group if there are any."""
    members: dict[str, list[str]] = {}
    for image, group in groups.items():
        members.setdefault(group, []).append(image)
    left = deque(sorted(members, key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest()))
    total = sum(SHARES[name] for name in names)
    parts: dict[str, list[str]] = {}
    for name in reversed(names):
        number = len(groups) if name == names[0] else max(1, round(len(groups) * SHARES[name] / total))
        own: list[str] = []
        while left and len(own) < number:
            own += members[left.popleft()]
        parts[name] = sorted(own)
    return dict(reversed(parts.items()))


def told(parts: Mapping[str, Sequence[str]]) -> str:
    """One sentence about made splits; nothing where there are none."""
    counts = [f"{name} ({len(part)})" for name, part in parts.items() if name != "trainval"]
    said = [f"images in no list are shared out by a hash of their names: {', '.join(counts)}"] if counts else []
    said += ["trainval is train and val"] if "trainval" in parts else []
    return f"there is no list for {', '.join(parts)}: {'; '.join(said)}" if said else ""
