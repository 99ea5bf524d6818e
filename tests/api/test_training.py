"""`vjo_train.train`: a run in this process, which stays as it was."""

from __future__ import annotations

import logging
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig

import vjo_train
from vjo_train.errors import ConfigError
from vjo_train.insight.base import Insight

SMALL = [
    *("~backbone", "+backbone._target_=tests.tiny.TinyBackbone", "neck.channels=16", "heads=[classification]"),
    *("dataset.size=32", "dataset.workers=0", "dataset.batch_size=4", "insight=[]", "trainer.drawn_images=0"),
    *("dataset.generate.image_size=32", "dataset.generate.train=8", "dataset.generate.val=4"),
    *("dataset.generate.test=4", "trainer.accelerator=cpu", "trainer.max_epochs=1", "trainer.progress=false"),
]


class CtrlC(Insight):
    """Sends the process what Ctrl-C sends, in the first step."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def on_train_batch_start(self, *given: Any) -> None:
        signal.raise_signal(signal.SIGINT)


class Explodes(Insight):
    """An error of the program."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        raise ZeroDivisionError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ipykernel", "-f", "kernel.json"])


def state() -> list[Any]:
    """What a run could change in its process."""
    root = logging.getLogger()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    numbers = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]
    seeds = [os.environ.get(name) for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")]
    exact = torch.are_deterministic_algorithms_enabled()
    return [list(root.handlers), root.level, handlers, numbers, seeds, exact, HydraConfig.instance().cfg]


def test_two_runs_in_a_row_are_equal_and_leave_the_process_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words = list(SMALL)
    before = state()
    one = vjo_train.train(words)
    assert state() == before
    other = vjo_train.train([*words, "trainer.deterministic=true"])
    assert state() == before
    assert words == SMALL
    assert one.folder != other.folder
    assert one.metrics == other.metrics
    figures = {"map", "map_voc07", "f1", "f1_chosen", "ece"}
    assert set(one.metrics) == {f"test/classification/{figure}" for figure in figures}
    assert one.results.seed == 1
    assert set(SMALL) <= set(one.results.overrides)
    assert (one.folder / "train.log").is_file()
    assert (one.folder / "report.html").is_file()
    again = vjo_train.Run(one.folder)
    assert again.metrics == one.metrics
    assert again.checkpoint == one.folder / "checkpoints" / "best.ckpt"
    network = one.load(tasks=["classification"])
    picture = np.full((20, 30, 3), 90, np.uint8)
    scores = network(picture).get("classification", vjo_train.Scores).scores
    np.testing.assert_array_equal(scores, again.load()(picture)["classification"].scores)


def test_ctrl_c_is_ctrl_c_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    before = state()
    with pytest.raises(KeyboardInterrupt, match=r"trainer\.resume=auto"):
        vjo_train.train(
            [*SMALL, "hydra.run.dir=run", "insight=[]", "+insight.stop._target_=tests.api.test_training.CtrlC"]
        )
    assert state() == before
    assert Path("run/checkpoints/last.ckpt").is_file()
    with pytest.raises(vjo_train.VjoError, match="did not finish"):
        vjo_train.Run("run").metrics  # noqa: B018
    run = vjo_train.train([*SMALL, "hydra.run.dir=run", "trainer.resume=auto"])
    assert run.folder == Path("run").absolute()
    assert run.results.overrides.count("trainer.resume=auto") == 1
    assert run.metrics


def test_an_error_in_a_run_leaves_the_process_alone_too() -> None:
    before = state()
    with pytest.raises(ZeroDivisionError):
        vjo_train.train([*SMALL, "+insight.stop._target_=tests.api.test_training.Explodes"])
    assert state() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("experiment=shapes_demo", r"overrides: found the text .*\['experiment=shapes_demo'\]"),
        (["experiment=shapes_dmo"], "did you mean 'shapes_demo'"),
        (["sed=2"], "did you mean 'seed'"),
        (["seed=1,2"], "train\\(\\) makes one run"),
        (["experiment=compare"], "compare: found a comparison"),
        (["trainer.devices=2"], "trains in this process"),
        (["optimizer.lr=fast"], r"optimizer\.lr"),
        (["dataset=voc2007", "dataset.root=nowhere", "dataset.download=false"], r"dataset\.root: found 'nowhere'"),
    ],
)
def test_mistakes_are_errors_and_make_no_run(words: Any, said: str) -> None:
    before = state()
    with pytest.raises(ConfigError, match=said):
        vjo_train.train(words)
    assert state() == before
    assert not Path("outputs").exists()


def test_choices_are_undone_by_null_and_found_in_a_users_folder(tmp_path: Path) -> None:
    own = tmp_path / "mine" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\nname: mine\ntrainer:\n  max_steps: 1\n", encoding="utf-8")
    run = vjo_train.train([*SMALL, "experiment=mine", "logger=null"], config_dir=tmp_path / "mine")
    assert run.folder.parent.name == "mine"
    assert run.results.steps == 1
