"""Command lines and data of the kinds that users of other trainers stumble over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.conftest import Answer
from vjo_train.config.compose import Composer
from vjo_train.runs import run_folder


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("dataset.root=/data/my pictures=1", "'dataset.root=\"/data/my pictures=1\"'"),
        ("dataset.root=~/data", "'dataset.root=\"~/data\"'"),
        ("name=é", "'name=\"é\"'"),
        ("dataset.root=C:\\Users\\me (1)", "'dataset.root=\"C:\\Users\\me (1)\"'"),
    ],
)
def test_a_word_that_hydra_cannot_read_is_shown_as_it_must_be_written(
    command: Callable[..., Answer], word: str, hint: str
) -> None:
    status, _, err = command("vjo-train", word)
    assert (status, len(err.splitlines())) == (2, 1)
    assert hint in err


def test_what_is_shown_can_be_read() -> None:
    import shlex

    from vjo_train.config.compose import in_shell

    (word,) = shlex.split(in_shell("dataset.root=/data/my pictures=1"))
    assert Composer("train").compose([word]).dataset.root == "/data/my pictures=1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder without results."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    cfg = Composer("train").compose(["optimizer.lr=0.05"])
    cfg = OmegaConf.create({key: value for key, value in cfg.items() if key != "hydra"})
    (folder / ".hydra").mkdir()
    OmegaConf.save(cfg, folder / run_folder.CONFIG)
    return folder


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dataset=voc", "dataset.root={run}", "dataset.classes=[a]"], "It is the folder of a run"),
        (["backbone.weights={run}"], "the folder of a run; start_from='{run}' takes what fits of it."),
        (
            ["trainer.resume={run}", "optimizer.lr=0.1"],
            "optimizer.lr: 0.05 there, 0.1 here; a resumed optimizer goes on as it was saved. Leave optimizer.lr out,"
            " or start anew from the weights by start_from='{run}'.",
        ),
    ],
)
def test_a_run_where_it_does_not_belong(command: Callable[..., Answer], run: Path, words: list[str], told: str) -> None:
    status, _, err = command("vjo-train", *(word.format(run=run) for word in words))
    assert (status, told.format(run=run) in err) == (2, True), err


def test_what_differs_from_the_run_that_goes_on_is_told(
    command: Callable[..., Answer], run: Path, tmp_path: Path
) -> None:
    _, _, err = command("vjo-train", f"trainer.resume={run}", "trainer.max_epochs=40", "optimizer=sgd", "weighting=dwa")
    assert "optimizer.lr: 0.05 there, 0.01 here" in err, "a group that is chosen anew"
    _, _, err = command("vjo-train", f"trainer.resume={run}", "trainer.max_epochs=40")
    assert "trainer.resume: the config differs in " in err
    assert "trainer.max_epochs: 30 there, 40 here" in err
    assert "last.ckpt is damaged or no checkpoint" in err
