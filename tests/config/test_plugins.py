"""Code of a user's own, beside the configs of `-cd DIR`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Answer
from vjo_train.config.definitions import source

CODE = """
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from vjo_train.weighting.base import LossWeighting


class Mine(LossWeighting):
    def __init__(self, *, tasks: Sequence[str], strength: Annotated[float, Gt(0)] = 1.0, shape: "Tensor" = None):
        super().__init__(tasks=tasks)
        self.strength = strength

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        return len(tasks) * torch.softmax(self.strength * values, dim=0)


class Passing(Mine):
    def __init__(self, *, power: int = 2, **rest):
        super().__init__(**rest)


class Wrapped(torch.nn.Module):
    def __init__(self, **anything):
        super().__init__(**anything)
"""
SMALL = (
    "heads=[classification,detection]",
    *("~backbone", "+backbone._target_=tests.tiny.BatchNormBackbone"),
    "dataset.generate.train=8",
    "dataset.generate.val=2",
    "dataset.generate.test=2",
    "dataset.generate.image_size=32",
    "dataset.size=32",
    "dataset.batch_size=4",
    "dataset.workers=0",
    "trainer.max_epochs=1",
    "trainer.progress=false",
    "trainer.drawn_images=0",
    "insight=[]",
)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module and the YAML that names it; forgotten afterwards."""
    folder = tmp_path / "mine"
    (folder / "weighting").mkdir(parents=True)
    (folder / "ownmethods.py").write_text(CODE)
    (folder / "weighting" / "own.yaml").write_text("# larger losses weigh more\n_target_: ownmethods.Mine\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "")
    source.cache_clear()
    yield folder
    sys.modules.pop("ownmethods", None)
    source.cache_clear()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("+weighting.strength=-1", "weighting.strength: found -1 (a whole number); must be a number > 0."),
        ("+weighting.strenght=2", "Key 'strenght' is not in 'weighting'; did you mean 'strength'?"),
        ("weighting._target_=ownmethods.Mien", "but ownmethods has no Mien; did you mean 'Mine'?"),
        ("weighting._target_=ownmethod.Mine", "there is no module ownmethod. Install it, or give the folder"),
        ("weighting._target_=ownmethods.Passing +weighting.powr=3", "did you mean 'power'?"),
        ("weighting._target_=ownmethods.Passing +weighting.strength=0", "must be a number > 0."),
    ],
)
def test_mistakes_are_found_as_in_a_built_in_class(command, mine: Path, words: str, message: str) -> None:
    status, _, err = command("vjo-train", "-cd", "mine", "weighting=own", *words.split())
    assert status == 2
    assert message in err


def test_keywords_that_are_passed_on_to_something_unknown_are_let_through(command, mine: Path) -> None:
    words = ("weighting._target_=ownmethods.Wrapped", "+weighting.anything_else=3", "--cfg", "job")
    status, out, _ = command("vjo-train", "-cd", "mine", "weighting=own", *words)
    assert status == 0
    assert "anything_else: 3" in out


def test_help_lists_it_among_the_others(command, mine: Path) -> None:
    _, out, _ = command("vjo-train", "-cd", "mine", "--help")
    assert "    own                    larger losses weigh more" in out


@pytest.mark.slow
def test_a_run_finds_its_code_again_or_says_what_is_missing(command, mine: Path, tmp_path: Path) -> None:
    found: Answer = command("vjo-train", "-cd", "mine", "weighting=own", *SMALL, "hydra.run.dir=run")
    assert found[0] == 0
    sys.path.remove(str(mine))
    sys.modules.pop("ownmethods")
    assert command("vjo-eval", "run=run")[0] == 0
    sys.path.remove(str(mine))
    sys.modules.pop("ownmethods")
    source.cache_clear()
    mine.rename(tmp_path / "elsewhere")
    status, _, err = command("vjo-eval", "run=run")
    assert status == 2
    assert "weighting._target_: found 'ownmethods.Mine'; there is no module ownmethods." in err
    assert command("vjo-eval", "-cd", "elsewhere", "run=run")[0] == 0
