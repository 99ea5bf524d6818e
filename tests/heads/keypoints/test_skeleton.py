"""Points by their names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.heads.keypoints import cases
from vjo_train.errors import ConfigError
from vjo_train.heads.keypoints import person
from vjo_train.heads.keypoints.skeleton import skeleton

FACE = ["nose", "left_eye", "right_eye", "chin"]


def test_names_stand_for_numbers() -> None:
    own = skeleton(FACE, {"chin": 0.1}, [["nose", "chin"], ["right_eye", "left_eye"]])
    assert own.sigmas == (0.25, 0.25, 0.25, 0.1)
    assert own.edges == ((0, 3), (2, 1))
    assert skeleton(4, None, None) == skeleton(FACE, None, None)
    assert skeleton(17, None, None).edges == person.EDGES
    assert skeleton(17, None, []).edges == ()


@pytest.mark.parametrize("kind", cases.KINDS)
def test_a_head_takes_them(kind: str) -> None:
    own = cases.head(kind, points=FACE, sigmas={"nose": 0.05}, skeleton=[["nose", "chin"]])
    assert (own.points, own.sigmas[0], own.edges) == (4, 0.05, ((0, 3),))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"points": ["a", "a"]}, r"points: found 'a' twice"),
        ({"points": FACE, "sigmas": {"ear": 0.1}}, r"sigmas: found 'ear'; the points are nose, left_eye"),
        ({"points": 4, "sigmas": {"nose": 0.1}}, r"sigmas: found 'nose'; the points are none, until .*points lists"),
        ({"points": FACE, "joined": [["nose"]]}, r"skeleton: found \['nose'\]; must be pairs"),
        ({"points": FACE, "joined": [["nose", "ear"]]}, r"skeleton: found 'ear'"),
        ({"points": FACE, "sigmas": [0.1]}, r"sigmas: found \[0\.1\]; must be 4 numbers above 0"),
    ],
)
def test_mistakes_are_named(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        skeleton(**({"sigmas": None, "joined": None} | keys))
