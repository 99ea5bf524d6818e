from __future__ import annotations

import math

import pytest

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


def test_a_gain_is_not_explained_away() -> None:
    assert explain("detection", Signs(STARVED, 0.9), 2.0, ALONE) == "detection: +2.0 %, it gains."
    assert explain("detection", Signs(STARVED), 0.1, ALONE) == "detection: +0.1 %, no difference to speak of."
    assert explain("detection", Signs(STARVED), math.nan, None) == "detection: the gain is not known."


def test_a_run_alone_says_what_each_task_got() -> None:
    assert describe("semantic", Signs(STARVED)) == "semantic: got 94% of the shared gradient."
    assert describe("detection", Signs(STARVED)) == "detection: " + STARVING
    assert describe("detection", Signs()) == ""
