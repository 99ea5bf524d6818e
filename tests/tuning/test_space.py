"""The space of a study: what is read, refused, tried before the first trial."""

from __future__ import annotations

from typing import Any

import pytest

from vjo_train.errors import ConfigError
from vjo_train.tuning.front import dominated, scatter
from vjo_train.tuning.space import Range, corners, parse, word, words


def test_ranges_and_choices_are_read() -> None:
    space = parse({"optimizer.lr": {"low": 1e-4, "high": 0.1, "log": True}, "weighting": ["equal", "dwa"]})
    assert space == {"optimizer.lr": Range(1e-4, 0.1, log=True), "weighting": ("equal", "dwa")}
    assert parse({"a": {"low": 1, "high": 9, "step": 2}})["a"] == Range(1, 9, step=2)
    assert Range(1, 9, step=2).whole
    assert not Range(1, 9.5).whole


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("dwa", "tune.space.k: found 'dwa'; must be a list of choices, or a range"),
        ([], "must be a list of choices"),
        (["a", "a"], "found a choice twice"),
        ({"lo": 1, "high": 2}, "found key 'lo'; did you mean 'low'?"),
        ({"low": 1}, "tune.space.k.high: found None; must be a number."),
        ({"low": True, "high": 2}, "tune.space.k.low: found True"),
        ({"low": 2, "high": 1}, "low must be below high"),
        ({"low": 0, "high": 1, "log": True}, "low must be above 0"),
        ({"low": 0, "high": 1, "step": 0}, "step: found 0"),
    ],
)
def test_mistakes(node: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse({"k": node})
    assert message in str(error.value)


@pytest.mark.parametrize("value", [None, True, 3, 1e-5, "dwa", "it's, odd", ["a", "b"], {"a": 1, "b": [2.5, None]}])
def test_a_value_survives_the_override_grammar(value: Any) -> None:
    from vjo_train.config.compose import Composer

    (override,) = Composer("train").parse([f"k={word(value)}"])
    assert override.value() == value


def test_corners_are_all_combinations_or_one_key_at_a_time() -> None:
    small = parse({"optimizer.lr": {"low": 0.1, "high": 1.5}, "heads": [["detection"], ["classification"]]})
    assert corners(small) == [
        ["optimizer.lr=0.1", "heads=[detection]"],
        ["optimizer.lr=0.1", "heads=[classification]"],
        ["optimizer.lr=1.5", "heads=[detection]"],
        ["optimizer.lr=1.5", "heads=[classification]"],
    ]
    large = corners({f"k{i}": ("1", "2") for i in range(8)})
    assert len(large) == 16
    assert {entry for corner in large for entry in corner} == {f"k{i}={v}" for i in range(8) for v in (1, 2)}
    assert words({"a": "dwa", "b": 0.5}) == ["a=dwa", "b=0.5"]


def test_the_front_holds_what_nothing_beats() -> None:
    values = [(1, 3), (2, 2), (3, 1), (1, 2), (2, 2)]
    assert dominated(values) == [False, False, False, True, False]
    picture = scatter(list(enumerate(values)), ["val/a/x", "val/<b>/y"])
    assert picture.count("<circle") == 5
    assert "val/&lt;b&gt;/y" in picture
    assert scatter([], ["a", "b", "c"]).count("<rect") == 4
