"""The points of an object as a config names them: how many, how exact, and which ones are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from annotated_types import Ge, Gt, Len

from vjo_train.errors import ConfigError
from vjo_train.heads.keypoints import person

Points: TypeAlias = Annotated[int, Ge(1)] | Annotated[list[str], Len(1)]
"""How many, or their names in the order of the data."""
Sigmas: TypeAlias = Annotated[list[Annotated[float, Gt(0)]], Len(1)] | Mapping[str, Annotated[float, Gt(0)]]
"""Of OKS, in the order of the points, or by their names."""


@dataclass(frozen=True)
class Skeleton:
    """K points."""

    sigmas: tuple[float, ...]
    """[K]."""
    edges: tuple[tuple[int, int], ...]
    """Pairs of points that drawings join, from 0."""


def skeleton(points: Points, sigmas: Sigmas | None, joined: Sequence[Sequence[str]] | None) -> Skeleton:
    """What the keys of a head say.

    Args:
        points: `heads.keypoints.points`.
        sigmas: `heads.keypoints.sigmas`; None, and points that a mapping leaves out: COCO's for 17 points, else 1 / K.
        joined: `heads.keypoints.skeleton`: pairs of names; None: the person's for 17 points, else none.

    Raises:
        ConfigError: names that are no points or are there twice, names without points by name, a pair that is none, or
            another number of sigmas.
    """
    names = [] if isinstance(points, int) else [str(name) for name in points]
    count = points if isinstance(points, int) else len(names)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"heads.keypoints.points: found '{twice[0]}' twice; each point may be named once.")
    usual = person.sigmas(count)
    if isinstance(sigmas, Mapping):
        for name in sigmas:
            _check("sigmas", str(name), names)
        own = [float(sigmas.get(name, value)) for name, value in zip(names, usual, strict=True)]
    else:
        own = usual if sigmas is None else [float(value) for value in sigmas]
    if len(own) != count or min(own) <= 0:
        raise ConfigError(f"heads.keypoints.sigmas: found {own}; must be {count} numbers above 0, or null.")
    return Skeleton(tuple(own), _edges(names, joined) if joined is not None else tuple(person.edges(count)))


def _edges(names: Sequence[str], joined: Sequence[Sequence[str]]) -> tuple[tuple[int, int], ...]:
    edges = []
    for pair in joined:
        if isinstance(pair, str) or len(pair) != 2:
            raise ConfigError(
                f"heads.keypoints.skeleton: found {pair}; must be pairs of points, such as [nose, left_eye]."
            )
        for name in pair:
            _check("skeleton", str(name), names)
        edges.append((names.index(str(pair[0])), names.index(str(pair[1]))))
    return tuple(edges)


def _check(key: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        allowed = ", ".join(names) if names else "none, until heads.keypoints.points lists their names"
        raise ConfigError(f"heads.keypoints.{key}: found '{name}'; the points are {allowed}.")
