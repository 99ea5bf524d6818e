"""`GROUP=null` undoes a choice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vjo_train.cli.start import without_nulls

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["experiment=null"], []),
        (["experiment=shapes_dwa", "seed=2", "experiment=null"], ["seed=2"]),
        (["experiment=null", "experiment=shapes_dwa"], ["experiment=shapes_dwa"]),
        (["logger=null", "compare=null"], ["~logger", "compare=none"]),
        (["insight=[affinity]", "insight=null"], ["insight=[]"]),
        (["single=null", "backbone=null"], ["single=null", "backbone=null"]),
    ],
)
def test_a_choice_is_undone(words: list[str], wanted: list[str]) -> None:
    assert without_nulls(words) == wanted


def test_hydra_reads_it(command: Command) -> None:
    status, out, _ = command("vjo-train", "experiment=shapes_dwa", "experiment=null", "logger=null", "--cfg", "job")
    assert status == 0
    assert "name: run\n" in out
    assert "logger" not in out
