"""A tree of groups of tasks: who shares what, from the image on. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import TypeAlias

from vjo_train.errors import ConfigError

Groups: TypeAlias = tuple[tuple[str, ...], ...]
"""Groups of tasks, which hold each task once."""

KEY = "sharing.branches"


def tree(
    branches: Mapping[str, Sequence[Sequence[str]]], tasks: Sequence[str], places: Sequence[str], absent: Sequence[str]
) -> dict[str, Groups]:
    """Place -> the groups of tasks that share what lies there.

    Args:
        branches: some of the places -> the groups from there on; before the first of them all tasks are one group.
        tasks: that the network has.
        places: from the image on.
        absent: tasks that `branches` names and the network does not have; they are left out.

    Raises:
        ConfigError: a place that is not there; groups that do not hold each task once; or a group with tasks that were
            parted before.
    """
    for place in branches:
        if place not in places:
            raise ConfigError(f"{KEY}: found {place!r}; must be one of {', '.join(places)}.")
    found: dict[str, Groups] = {}
    groups: Groups = (tuple(tasks),)
    for place in places:
        if place in branches:
            groups = _groups(place, branches[place], tasks, absent)
        found[place] = groups
    for low, high in combinations(places, 2):
        for group in found[high]:
            if not any(set(group) <= set(before) for before in found[low]):
                raise ConfigError(
                    f"{KEY}.{high}: found {_said(group)} together, which {low} has parted; branches never join again."
                )
    return found


def _groups(place: str, given: Sequence[Sequence[str]], tasks: Sequence[str], absent: Sequence[str]) -> Groups:
    known = [*tasks, *absent]
    counts = Counter(task for group in given for task in group)
    for task in counts:
        if task not in known:
            near = get_close_matches(task, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; the heads are {', '.join(known)}."
            raise ConfigError(f"{KEY}.{place}: found {task!r}, which is no head{hint}")
        if counts[task] > 1:
            raise ConfigError(f"{KEY}.{place}: found {task} {counts[task]} times; must name each task once.")
    if missing := [task for task in tasks if task not in counts]:
        raise ConfigError(f"{KEY}.{place}: does not name {_said(missing)}; must name each task once.")
    ordered = (tuple(task for task in tasks if task in group) for group in given)
    return tuple(sorted((group for group in ordered if group), key=lambda group: list(tasks).index(group[0])))


def _said(tasks: Sequence[str]) -> str:
    return " and ".join(tasks)
