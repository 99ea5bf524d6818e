"""Which tasks to train together, from the measured affinities of pairs. Imports no torch.

After "Which Tasks Should Be Learned Together in Multi-task Learning?" (Standley et al. 2020), which searches networks
under a budget, and "Efficiently Identifying Task Groupings for Multi-Task Learning" (Fifty et al. 2021), which predicts
what a group gains from the affinities of its pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

from vjo_train.errors import ConfigError

Groups: TypeAlias = tuple[tuple[str, ...], ...]
Gains: TypeAlias = Mapping[tuple[str, str], float]
"""(source, target) -> what a step of the source does for the target; pairs that were never measured are not there."""

MOST = 10
"""Tasks up to which all groupings are looked at: there are 115 975 of ten."""


def gain(gains: Gains, task: str, group: Sequence[str]) -> float:
    """The predicted gain of a task in a group: the mean of what the others do for it; 0 where it is alone.

    A pair that was never measured counts as 0.
    """
    others = [gains.get((other, task), 0.0) for other in group if other != task]
    return fmean(others) if others else 0.0


def score(gains: Gains, groups: Groups) -> float:
    """The mean predicted gain over all tasks of a grouping."""
    return fmean(gain(gains, task, group) for group in groups for task in group)


def groupings(tasks: Sequence[str], most: int) -> Iterator[Groups]:
    """All ways to part `tasks` into at most `most` groups, each once and in their order."""
    if not tasks:
        yield ()
        return
    *before, last = tasks
    for groups in groupings(before, most):
        for place, group in enumerate(groups):
            yield (*groups[:place], (*group, last), *groups[place + 1 :])
        if len(groups) < most:
            yield (*groups, (last,))


def best_grouping(gains: Gains, tasks: Sequence[str], most: int, within: Groups | None = None) -> Groups:
    """The grouping into at most `most` groups with the greatest score; of equal ones the one of fewest groups.

    Args:
        gains: of pairs.
        tasks: in the order in which groups shall name them.
        most: groups.
        within: a coarser grouping that is only parted further.

    Raises:
        ConfigError: more than `MOST` tasks.
    """
    if len(tasks) > MOST:
        raise ConfigError(f"grouping: found {len(tasks)} tasks; all groupings of up to {MOST} can be looked at.")
    found = [groups for groups in groupings(tasks, most) if within is None or finer(groups, within)]
    return max(found, key=lambda groups: (score(gains, groups), -len(groups)))


def finer(groups: Groups, coarse: Groups) -> bool:
    """Whether every group lies inside one of `coarse`."""
    return all(any(set(group) <= set(whole) for whole in coarse) for group in groups)


def branches(gains: Gains, tasks: Sequence[str], counts: Mapping[str, int]) -> dict[str, Groups]:
    """A tree for `sharing=branched`: place -> groups, each place parting those of the place before further.

    Args:
        gains: of pairs.
        tasks: of the network.
        counts: place, from the image on -> groups there, at most.
    """
    found: dict[str, Groups] = {}
    coarse: Groups = (tuple(tasks),)
    for place, most in counts.items():
        coarse = found[place] = best_grouping(gains, tasks, max(most, len(coarse)), coarse)
    return found


def of_heads(
    tasks: Sequence[str], mean: Sequence[Sequence[float | None]]
) -> tuple[tuple[str, ...], dict[tuple[str, str], float]]:
    """The content of `affinity.json` by heads: their names, and the gains of pairs of different ones.

    The parts of a head's loss (`instance/box`) count as their mean.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for source, row in zip(tasks, mean, strict=True):
        for target, value in zip(tasks, row, strict=True):
            pair = source.partition("/")[0], target.partition("/")[0]
            if value is not None and pair[0] != pair[1]:
                values.setdefault(pair, []).append(value)
    names = tuple(dict.fromkeys(task.partition("/")[0] for task in tasks))
    return names, {pair: fmean(each) for pair, each in values.items()}
