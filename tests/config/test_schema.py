"""Signatures read from source, values against annotations, and whole configs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Len, MinLen
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from vjo_train.config.conformity import check
from vjo_train.config.schema import TrainConfig, TrainerConfig
from vjo_train.config.signatures import Node, derives, signature
from vjo_train.config.values import describe, fits, found
from vjo_train.errors import ConfigError

Probability = Annotated[float, Interval(ge=0, le=1)]


@pytest.mark.parametrize(
    ("value", "kind", "right"),
    [
        (1, int, True),
        (True, int, False),
        (1.0, int, False),
        ("1", int, False),
        (1, float, True),
        (False, float, False),
        (float("nan"), float, False),
        (1, bool, False),
        (True, bool, True),
        (1, str, False),
        (None, str, False),
        (None, str | None, True),
        ("x", Path, True),
        (0, Annotated[int, Ge(1)], False),
        (1, Annotated[int, Ge(1)], True),
        (0.0, Annotated[float, Gt(0)], False),
        (1, Probability, True),
        (1.01, Probability, False),
        (None, Probability | None, True),
        ("step", Literal["step", "epoch"], True),
        (1, Literal[1, True], True),
        (True, Literal[1], False),
        ([1, 2], list[int], True),
        ([1, "a"], list[int], False),
        ("ab", Sequence[str], False),
        ([], Annotated[list[int], MinLen(1)], False),
        ([1, 2, 3], Annotated[list[int], Len(1, 2)], False),
        ([1, 2], tuple[int, int], True),
        ([1], tuple[int, int], False),
        ({"a": 1}, Mapping[str, int], True),
        ({"a": "b"}, Mapping[str, int], False),
        ({}, Node, True),
        (3, Node, False),
        (3, Any, True),
    ],
)
def test_fits(value: object, kind: object, right: bool) -> None:
    assert fits(value, kind) is right


@given(st.one_of(st.integers(), st.floats(allow_nan=False)), st.integers(-5, 5), st.integers(-5, 5))
def test_ranges_agree_with_comparisons(value: float, low: int, high: int) -> None:
    assert fits(value, Annotated[float, Interval(gt=low, le=high)]) is (low < value <= high)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Annotated[int, Ge(1)], "a whole number >= 1"),
        (Probability | None, "a number >= 0 and <= 1 or null"),
        (Literal["a", "b"], "one of a, b"),
        (Mapping[str, int], "a mapping of text to a whole number"),
        (Annotated[list[str], MinLen(1)], "a list of text of length >= 1"),
        (tuple[int, float], "[a whole number, a number]"),
    ],
)
def test_describe(kind: object, words: str) -> None:
    assert describe(kind) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [("ten", "'ten' (text)"), (3, "3 (a whole number)"), (True, "true"), (None, "null"), ([1], "[1] (a list)")],
)
def test_found(value: object, words: str) -> None:
    assert found(value) == words


def test_signature_of_a_dataclass() -> None:
    read = signature("vjo_train.config.schema.TrainerConfig")
    assert list(read) == [field.name for field in fields(TrainerConfig)]
    assert read["max_epochs"].type == Annotated[int, Ge(1)]
    assert not read["max_epochs"].required
    assert (
        signature("vjo_train.config.schema.EvalConfig").keys() > signature("vjo_train.config.schema.TrainConfig").keys()
    )


@pytest.mark.parametrize(
    "target",
    [
        "vjo_train.schedules.alternating.Alternating",
        "vjo_train.schedules.joint.Joint",  # inherits its constructor
        "vjo_train.optim.lr_schedules.Cosine",
        "vjo_train.heads.semantic.SemanticFPN",
        "vjo_train.backbones.neck.FPN",
        "vjo_train.data.datamodule.DataModule",
        "vjo_train.data.shapes.Shapes",
    ],
)
def test_signature_agrees_with_python(target: str) -> None:
    from hydra.utils import get_class

    real = inspect.signature(get_class(target)).parameters
    read = signature(target)
    assert set(read) == set(real)
    for key, parameter in real.items():
        assert read[key].required == (parameter.default is inspect.Parameter.empty), key


def test_signature_goes_on_to_the_base_where_options_are_passed_on() -> None:
    assert {"temperature", "tasks"} <= set(signature("vjo_train.weighting.dwa.DWA"))
    own, passed_on = {"momentum", "nesterov"}, {"lr", "weight_decay", "backbone_lr_factor", "layer_decay"}
    assert set(signature("vjo_train.optim.optimizers.SGD")) == own | passed_on


@pytest.mark.parametrize(
    ("target", "right"),
    [
        ("vjo_train.heads.self_supervised.masked.Masked", True),
        ("vjo_train.heads.category.Category", False),
        ("vjo_train.heads.self_supervised.masked.normalised", False),
        ("tests.heads.self_supervised.test_views.Mine", True),  # another package's
        ("vjo_train.gone.Class", False),
        ("Class", False),
    ],
)
def test_what_a_class_derives_from(target: str, right: bool) -> None:
    assert derives(target, "vjo_train.heads.self_supervised.base.SelfSupervised") is right


def test_unknown_target_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'vjo_train.weighting.dwa.DWA'\?"):
        signature("vjo_train.weighting.dwa.DWAA")


def root(**changes: object) -> DictConfig:
    node = {"_target_": "collections.Counter", "free": 1}
    groups = ("dataset", "backbone", "neck", "sharing", "weighting", "schedule", "optimizer", "lr_schedule")
    plain: dict[str, object] = dict.fromkeys(groups, node)
    plain |= {"heads": {"a": node}, "trainer": {"_target_": "vjo_train.config.schema.TrainerConfig"}, "logger": {}}
    return OmegaConf.create(plain | {"seed": 1, "name": "x"} | changes)


def trainer(**keys: object) -> DictConfig:
    return root(trainer={"_target_": "vjo_train.config.schema.TrainerConfig", **keys})


def test_a_right_config_passes() -> None:
    check(root())
    check(trainer(max_epochs=3, ema=0.5, early_stopping=None))


def test_values_of_the_run_pass_until_it_starts() -> None:
    check(trainer(resume="${hydra:runtime.output_dir}/x"))
    check(root(logger={"_target_": "logging.Logger", "name": "${hydra:runtime.output_dir}"}))


def test_interpolations_are_followed() -> None:
    check(trainer(max_steps="${seed}"))
    with pytest.raises(ConfigError, match=r"trainer\.max_steps: found 'x' \(text\)"):
        check(trainer(max_steps="${name}"))
    with pytest.raises(ConfigError, match=r"trainer\.max_steps: Interpolation key 'nothing' not found"):
        check(trainer(max_steps="${nothing}"))


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (trainer(max_epoch=1), "Key 'max_epoch' is not in 'trainer'; did you mean 'max_epochs'?"),
        (trainer(max_epochs="ten"), "trainer.max_epochs: found 'ten' (text); must be a whole number >= 1."),
        (trainer(max_epochs="???"), "trainer.max_epochs: no value given; must be a whole number >= 1."),
        (trainer(accelerator="gpus"), "must be one of auto, cpu, gpu; did you mean 'gpu'?"),
        (root(seed=-1), "seed: found -1 (a whole number); must be a whole number >= 0"),
        (root(nam="x"), "Key 'nam' is not in the config; did you mean 'name'?"),
        (root(heads={}), "heads: found {} (a mapping)"),
        (root(heads={"a": {"level": "c5"}}), "heads.a: has no _target_"),
        (root(schedule={"_target_": "vjo_train.schedules.joint.Joint", "tasks": ["a"]}), "Key 'tasks' is not in"),
        (
            root(schedule={"_target_": "vjo_train.schedules.joint.Join"}),
            "schedule._target_: found 'vjo_train.schedules.joint.Join', which does not exist; "
            "did you mean 'vjo_train.schedules.joint.Joint'?",
        ),
    ],
)
def test_mistakes(cfg: DictConfig, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(cfg)
    assert message in str(caught.value)


def test_a_missing_group() -> None:
    cfg = root()
    del cfg["optimizer"]
    with pytest.raises(ConfigError, match="optimizer: missing"):
        check(cfg, TrainConfig)
