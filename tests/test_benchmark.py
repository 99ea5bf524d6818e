"""The benchmark runs, shows all its sides, and its sides do the same work. No timing is judged."""

import importlib
import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
TINY = (
    "backbone=resnet10",
    "neck.channels=16",
    "heads.detection.depth=1",
    "dataset.size=64",
    "dataset.batch_size=2",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
)


WEIGHTINGS = ["equal", "pcgrad", "upgrad", "pcgrad at=features", "pcgrad every=4"]
FLOORS = ["pcgrad, floor", "pcgrad, TorchJD", "pcgrad, TorchJD without vmap"]

Sides = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Sides], str]:
    """The figures of each side by section, and what was printed."""
    file, shown = tmp_path_factory.mktemp("benchmark") / "out.json", StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown):
        patch.syspath_prepend(SCRIPTS)
        words = ["--repeats", "1", "--steps", "1", "--images", "30", "--json", str(file), "--set", *TINY]
        importlib.import_module("benchmark").main(words)
    record = json.loads(file.read_text())
    assert {"machine", "versions", "git"} <= record.keys()
    return {name: section["sides"] for name, section in record["sections"].items()}, shown.getvalue()


def test_every_section_has_all_its_sides_in_the_table_and_in_the_file(measured):
    sections, shown = measured
    assert {name: list(sides) for name, sides in sections.items()} == {
        "loop": ["plain", "vjo-train"],
        "weighting": WEIGHTINGS + FLOORS,
        "evaluate": ["NumPy loop", "vjo-train"],
    }
    assert all(side in shown for sides in sections.values() for side in sides)


def test_lightning_and_the_plain_loop_move_the_weights_alike(measured):
    sides = measured[0]["loop"]
    assert sides["plain"]["result"] > 0
    assert sides["vjo-train"]["result"] == pytest.approx(sides["plain"]["result"], rel=1e-4)


@pytest.mark.parametrize("other", FLOORS)
def test_every_pcgrad_comes_to_the_same_gradient(measured, other):
    sides = measured[0]["weighting"]
    assert sides[other]["result"] == pytest.approx(sides["pcgrad"]["result"], rel=1e-4)


def test_both_evaluations_come_to_the_same(measured):
    sides = measured[0]["evaluate"]
    assert 0 < sides["vjo-train"]["result"] < 1
    assert sides["vjo-train"]["result"] == pytest.approx(sides["NumPy loop"]["result"], abs=1e-12)
