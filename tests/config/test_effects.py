"""What is said of keys that have no effect in a setting."""

from __future__ import annotations

import pytest

from vjo_train.config.checks.effects import EVALUATION, EXPORT, PREDICTION, REPORT, TRAINING, Rule, without_effect
from vjo_train.config.compose import Composer

UNVALIDATED = ["dataset.val_split=null", "dataset.val_fraction=0"]
TOO_FEW = ["trainer.check_val_every_n_epoch=9", "trainer.max_epochs=3"]
CASES: list[tuple[str, tuple[Rule, ...], list[str], str]] = [
    ("train", tuple(TRAINING), ["dataset.group='(a)'"], "nothing is cut off"),
    ("train", tuple(TRAINING), ["trainer.resume_lr=stretch"], "there is no trainer.resume"),
    ("train", tuple(TRAINING), [*UNVALIDATED, "trainer.drawn_images=2"], "there is no"),
    ("train", tuple(TRAINING), [*TOO_FEW, "trainer.monitor=val/x"], "there is no"),
    ("train", tuple(TRAINING), ["trainer.max_epochs=3", "trainer.early_stopping=3"], "training ends before"),
    ("train", tuple(TRAINING), ["dataset.augment.jitter=0", "dataset.augment.jitter_strength=0.1"], "jitter is 0"),
    ("train", tuple(TRAINING), ["dataset.augment.zoom_out=0", "dataset.augment.zoom_out_max=2"], "zoom_out is 0"),
    ("train", tuple(TRAINING), ["heads=[detection]", "weighting=dwa"], "there is one task"),
    ("train", tuple(TRAINING), ["heads=[detection]", "weighting=dwa", "weighting.temperature=3"], "there is one task"),
    ("train", tuple(TRAINING), ["schedule=alternating", "weighting=pcgrad"], "leaves nothing to weigh"),
    ("train", tuple(TRAINING), ["helpers=false"], "no self-supervised head"),
    ("train", tuple(TRAINING), ["backbone.frozen_stages=2"], "were drawn at random"),
    ("report", tuple(REPORT), ["runs=x", "sort=date", "level=0.9"], "nothing is compared"),
]  # fmt: skip


@pytest.mark.parametrize(("root", "rules", "words", "why"), CASES, ids=[" ".join(words) for _, _, words, _ in CASES])
def test_a_key_that_the_rest_makes_void_is_told(root: str, rules: tuple[Rule, ...], words: list[str], why: str) -> None:
    cfg = Composer(root).compose(words)
    said = without_effect(cfg, [words[-1].partition("=")[0]], rules)
    assert len(said) == 1
    assert said[0].startswith(f"{words[-1].partition('=')[0]} has no effect: ")
    assert why in said[0]


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.resume=RUN", "trainer.resume_lr=stretch"],
        ["trainer.early_stopping=3"],
        ["weighting=dwa"],
        ["weighting=pcgrad"],
        ["schedule=alternating", "weighting=adatask"],
        ["schedule=alternating", "weighting=pcgrad", "heads=[instance]", "heads.instance.split_losses=true"],
        ["heads=[detection]", "single=detection", "weighting=dwa"],
        ["heads=[detection,rotation]", "helpers=false"],
        ["backbone.frozen_stages=2", "backbone.weights=imagenet"],
        ["backbone.frozen_stages=0"],
        ["dataset.val_split=null", "dataset.val_fraction=0.1", "dataset.group='(a)'"],
    ],
    ids=" ".join,
)
def test_a_key_with_an_effect_is_not(words: list[str]) -> None:
    cfg = Composer("train").compose(words)
    assert without_effect(cfg, [word.partition("=")[0] for word in words], TRAINING) == []


def test_only_what_is_set_is_told() -> None:
    cfg = Composer("train").compose(["heads=[detection]"])
    assert without_effect(cfg, ["heads"], TRAINING) == []


def test_other_commands() -> None:
    assert without_effect({"track": False, "pictures": True}, ["tracker.buffer", "threshold"], PREDICTION) == [  # type: ignore[arg-type]
        "tracker.buffer has no effect: track is false."
    ]
    assert len(without_effect({"sequences": None}, ["tracker.buffer"], EVALUATION)) == 1  # type: ignore[arg-type]
    assert len(without_effect({"precision": "float16"}, ["calibration", "tolerance"], EXPORT)) == 2  # type: ignore[arg-type]
