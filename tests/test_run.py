"""Whole runs on a miniature of the drawn shapes: files, exact resume, exact evaluation, several ranks."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_module

from vjo_train import build, run
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.interruption import Stopped
from vjo_train.report.results import read_results

SMALL = (
    "backbone=resnet10",
    "neck.channels=16",
    "heads.detection.depth=1",
    "dataset.size=32",
    "dataset.batch_size=4",
    "dataset.workers=0",
    "dataset.generate.image_size=32",
    "dataset.generate.train=14",
    "dataset.generate.val=4",
    "dataset.generate.test=6",
    "trainer.max_epochs=2",
    "trainer.progress=false",
    "trainer.accelerator=cpu",
    "weighting=dwa",
)
TIMES = ("images_per_second", "data_wait", "seconds")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def config(cache: Path, overrides: Sequence[str] = ()) -> Any:
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        return compose("train", [*SMALL, f"dataset.cache_dir={cache}", *overrides])


def train(cache: Path, output: Path, *overrides: str) -> Path:
    build.train(config(cache, overrides), output)
    return output


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return state


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def assert_same_run(a: Path, b: Path, partial_epoch: bool = False) -> None:
    one, two = weights(a), weights(b)
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    if not partial_epoch:
        assert rows(a) == rows(b)
    assert read_results(a / "results.json").metrics == read_results(b / "results.json").metrics


def test_a_run_leaves_its_files_and_is_evaluated_exactly(cache: Path, tmp_path: Path) -> None:
    folder = train(cache, tmp_path / "run")
    results = read_results(folder / "results.json")
    expected = {"test/classification/map_voc07", "test/detection/map_area", "test/detection/map_coco"}
    assert expected <= set(results.metrics)
    assert set(results.per_class["test/detection/ap_area"]) == {"circle", "square", "triangle", "star", "ring", "cross"}
    assert (results.checkpoint, results.epochs, results.steps) == ("checkpoints/best.ckpt", 2, 8)
    found = rows(folder)
    assert [row["epoch"] for row in found] == ["0", "1"]
    assert all(float(row["train/detection/loss"]) > 0 and float(row["val/monitor"]) >= 0 for row in found)
    again = build.evaluate(config(cache), tmp_path / "eval", folder / "checkpoints/best.ckpt")
    assert (again.metrics, again.per_class) == (results.metrics, results.per_class)


@pytest.mark.parametrize("extra", [[], ["schedule=alternating", "trainer.ema=0.9", "dataset.workers=2"]])
def test_a_run_resumed_after_an_epoch_ends_bit_equal(cache: Path, tmp_path: Path, extra: list[str]) -> None:
    """Stopped between epochs and started again with `auto`: same weights, rows and results."""
    whole = train(cache, tmp_path / "whole", *extra)
    cut = tmp_path / "cut"
    stop_after(4, cache, cut, *extra)
    train(cache, cut, "trainer.resume=auto", *extra)
    assert_same_run(whole, cut, partial_epoch=True)


def test_a_run_stopped_inside_an_epoch_goes_on_bit_equal(cache: Path, tmp_path: Path) -> None:
    whole = train(cache, tmp_path / "whole")
    cut = tmp_path / "cut"
    stop_after(6, cache, cut)
    train(cache, cut, "trainer.resume=auto")
    assert_same_run(whole, cut, partial_epoch=True)


def stop_after(batches: int, cache: Path, output: Path, *overrides: str) -> None:
    """A run that gets SIGTERM in its `batches`-th batch."""

    class Terminate(pl.Callback):
        seen = 0

        def on_train_batch_start(self, *_: Any) -> None:
            self.seen += 1
            if self.seen == batches:
                os.kill(os.getpid(), signal.SIGTERM)

    job = build.job(config(cache, overrides), output)
    job.callbacks.append(Terminate())
    with pytest.raises(Stopped):
        run.train(job)


def test_ctrl_c_saves_although_it_reaches_the_workers_too(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = [*SMALL, "dataset.workers=2", "trainer.max_epochs=1000", "trainer.progress=true"]
    command = [
        sys.executable,
        "-m",
        "vjo_train.cli",
        *arguments,
        f"dataset.cache_dir={cache}",
        f"hydra.run.dir={folder}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("epoch 2/"))
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert f"trainer.resume={folder / 'checkpoints/last.ckpt'} goes on from here" in rest
    assert "Traceback" not in rest


def test_early_stopping_without_validation_is_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer.early_stopping needs a validation split"):
        train(cache, tmp_path, "trainer.early_stopping=2", "dataset.val_split=null")


def test_a_checkpoint_of_another_network_is_named(cache: Path, tmp_path: Path) -> None:
    folder = train(cache, tmp_path / "run", "trainer.max_steps=1")
    with pytest.raises(CheckpointError, match=r"another network: sharing\.neck\..* \(and \d+ more"):
        build.evaluate(config(cache, ["neck.channels=32"]), tmp_path, folder / "checkpoints/last.ckpt")


def test_two_ranks_are_one_process(cache: Path, tmp_path: Path) -> None:
    """The same global batches by one process and by two; GroupNorm, since BatchNorm looks at a rank's own images."""
    common = ["backbone.norm=group", "trainer.max_epochs=1", "heads.classification.dropout=0", "weighting=pcgrad"]
    one = train(cache, tmp_path / "one", *common)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29611"]
    place = [f"dataset.cache_dir={cache}", f"hydra.run.dir={tmp_path / 'two'}"]
    arguments = [*SMALL, *common, *place, "trainer.devices=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-m", "vjo_train.cli", *arguments], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    a, b = weights(one), weights(tmp_path / "two")
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], atol=2e-5, rtol=1e-4, msg=name)
