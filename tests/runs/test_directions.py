"""Which way a figure is better, as the heads say or as its name does."""

from __future__ import annotations

import importlib
import math
import pkgutil

import pytest

import vjo_train.heads
from vjo_train.heads.base import Head
from vjo_train.heads.merged import Merged
from vjo_train.runs.directions import best, gains, higher_is_better


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("val/monitor", True),
        ("detection/map_area", True),
        ("test/depth/delta1", True),
        ("val/depth/abs_rel", False),
        ("val/detection/loss", False),
        ("normals/median_angle", False),
        ("normals/within_11", True),
        ("classification/ece", False),
        ("wall_seconds", False),
    ],
)
def test_by_name(name: str, higher: bool) -> None:
    assert higher_is_better(name) is higher


def test_what_a_head_says_comes_first() -> None:
    assert not higher_is_better("val/mine/score", {"mine/score": False})
    assert not higher_is_better("mine/score", {"test/mine/score": False})


def test_names_agree_with_what_our_heads_say() -> None:
    for module in pkgutil.walk_packages(vjo_train.heads.__path__, "vjo_train.heads."):
        importlib.import_module(module.name)
    seen = 0
    kinds: list[type] = [Head, Merged]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        for metric, up in kind.reported.items() if kind.__module__.startswith("vjo_train.") else ():  # type: ignore[attr-defined]
            assert higher_is_better(f"val/task/{metric}") is up, metric
            seen += 1
    assert seen > 5


def test_the_best_and_gains() -> None:
    assert best([0.3, math.nan, 0.1], higher=False) == 0.1
    assert math.isnan(best([math.nan], higher=True))
    assert gains([0.2, 0.3], ["val/depth/abs_rel", "val/depth/delta1"]) == [-0.2, 0.3]
