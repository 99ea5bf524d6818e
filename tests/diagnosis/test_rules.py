from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from vjo_train.diagnosis.levers import choices
from vjo_train.diagnosis.rules import describe, explain
from vjo_train.diagnosis.signs import Signs

EVEN = {"detection": 0.5, "semantic": 0.5}
STARVED = {"detection": 0.06, "semantic": 0.94}
STARVING = "got 6% of the shared gradient, semantic 94%: try weighting=balanced."
ALONE = Signs(train_loss=1.0, val_loss=2.0)


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        (Signs(STARVED, 0.5), "50% of its steps were clipped: try a higher trainer.gradient_clip_val"),
        (Signs(STARVED), "It got 6% of the shared gradient, semantic 94%: try weighting=balanced."),
        (Signs(EVEN, cosines={"semantic": -0.3}), "points against that of semantic (cosine -0.30)"),
        (Signs(EVEN, train_loss=1.2, val_loss=2.5), "It is learned less than alone (training loss 1.20 times"),
        (Signs(EVEN, train_loss=0.9, val_loss=2.5), "but carries over less (validation loss 1.25 times"),
        (Signs(EVEN, 0.1, {"semantic": 0.1}, 1.0, 2.0), "The log shows no cause"),
        (Signs(), "The log shows no cause"),
    ],
)
def test_a_loss_is_explained_by_the_first_cause_that_the_log_shows(signs: Signs, said: str) -> None:
    sentence = explain("detection", signs, -3.0, ALONE)
    assert sentence.startswith("detection: -3.0 %, it loses. ")
    assert said in sentence


OPPOSED = Signs(EVEN, cosines={"semantic": -0.3})


@pytest.mark.parametrize(
    ("signs", "alone", "said"),
    [
        (Signs(clipped=0.5), Signs(clipped=0.1), "50% of its steps were clipped, 10% alone: try"),
        (Signs(clipped=0.5), Signs(clipped=0.6), "The log shows no cause"),
        (Signs(val_loss=2.0), Signs(val_loss=1.0), "The log shows no cause"),
        (Signs(train_loss=1.0, val_loss=2.0), Signs(train_loss=0.0, val_loss=1.0), "The log shows no cause"),
        (Signs(train_loss=2.0), ALONE, "It is learned less than alone (training loss 2.00"),
    ],
)
def test_a_cause_is_one_in_which_the_task_differs_from_the_task_alone(signs: Signs, alone: Signs, said: str) -> None:
    assert said in explain("detection", signs, -3.0, alone)


@pytest.mark.parametrize(
    ("signs", "used", "said"),
    [
        (Signs(STARVED), {"weighting=balanced"}, "semantic 94%: try weighting=fixed with more for it."),
        (OPPOSED, {"weighting=aligned"}, "(cosine -0.30): try sharing=adapters."),
        (OPPOSED, {"weighting=aligned", "sharing=adapters"}, "(cosine -0.30): try the tasks apart."),
        (Signs(), {"weighting=balanced"}, "The log shows no cause; try sharing=adapters."),
        (Signs(), {"weighting=balanced", "sharing=adapters"}, "The log shows no cause."),
    ],
)
def test_what_the_run_does_already_is_not_advised(signs: Signs, used: set[str], said: str) -> None:
    assert explain("detection", signs, -3.0, None, used=frozenset(used)).endswith(said)


def test_what_a_run_does_is_read_from_its_config() -> None:
    parts = {"weighting": {"_target_": "vjo_train.weighting.balanced.Balanced"}, "sharing": {"_target_": "mine.Own"}}
    assert "weighting=balanced" in choices(parts)
    assert not {"weighting=balanced", "sharing=adapters"} & choices({"sharing": parts["sharing"], "weighting": None})


def test_every_choice_that_is_advised_can_be_made() -> None:
    conf = Path(__file__).parents[2] / "conf"
    source = (Path(__file__).parents[2] / "src/vjo_train/diagnosis/levers.py").read_text(encoding="utf-8")
    advised = re.findall(r'^[A-Z]+ = "(\w+)([=.])(\w+)"', source, re.MULTILINE)
    assert len(advised) == 8
    for group, sign, name in advised:
        if sign == "=":
            module = f"vjo_train.{group}.{name}."
            assert f"_target_: {module}" in (conf / group / f"{name}.yaml").read_text(encoding="utf-8")
        else:
            assert any(f"\n{name}:" in file.read_text(encoding="utf-8") for file in (conf / group).glob("*.yaml"))


def test_a_gain_that_chance_could_make_is_said_with_care() -> None:
    assert explain("detection", Signs(), 2.0, None, clear=False) == "detection: +2.0 %, it may gain."
    assert explain("detection", Signs(), -2.0, None, clear=False).startswith("detection: -2.0 %, it may lose. ")


def test_a_gain_is_not_explained_away() -> None:
    assert explain("detection", Signs(STARVED, 0.9), 2.0, ALONE) == "detection: +2.0 %, it gains."
    assert explain("detection", Signs(STARVED), 0.1, ALONE) == "detection: +0.1 %, no difference to speak of."
    assert explain("detection", Signs(STARVED), math.nan, None) == "detection: the gain is not known."


def test_a_run_alone_says_what_each_task_got() -> None:
    assert describe("semantic", Signs(STARVED)) == "semantic: got 94% of the shared gradient."
    assert describe("detection", Signs(STARVED)) == "detection: " + STARVING
    assert describe("detection", Signs(STARVED, 0.5)).startswith(
        f"detection: {STARVING} 50% of its steps were clipped:"
    )
    assert describe("detection", Signs()) == ""
