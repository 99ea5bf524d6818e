"""Whole runs whose features follow those of other runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.training.test_run import assert_same_run, config, rows, stop_after, train, weights
from vjo_train.config import jobs
from vjo_train.config.checks.config import check_teachers
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs import run_folder
from vjo_train.runs.results import read_results


def copied(run: Path, cache: Path, place: Path) -> Path:
    """A run as the command line leaves it, with its config."""
    shutil.copytree(run, place)
    (place / ".hydra").mkdir()
    OmegaConf.save(config(cache), place / run_folder.CONFIG)
    return place


def test_a_run_follows_its_teachers_and_goes_on_bit_equal(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path
) -> None:
    """The distances fall; the layers between are in no network that is used, and no teacher is needed any more."""
    teacher = copied(undisturbed(), cache, tmp_path / "teacher")
    own = ["distill=features", f"distill.teachers={{classification:{teacher},detection:{teacher}}}", "weighting=pcgrad"]
    whole, cut = train(cache, tmp_path / "whole", *own), tmp_path / "cut"
    stop_after(5, cache, cut, *own)
    train(cache, cut, "trainer.resume=auto", *own)
    assert_same_run(whole, cut)
    for task in ("classification", "detection"):
        curve = [float(row[f"train/sharing/distill/{task}"]) for row in rows(whole)]
        assert 0 < curve[-1] < curve[0] < 4
    assert any(name.startswith("distill.adapters.detection.") for name in weights(whole))
    shutil.rmtree(teacher)
    found = jobs.evaluate(config(cache, own), tmp_path / "again", run_folder.checkpoint(whole, None))
    tested = read_results(whole / "results.json").metrics
    assert {k: v for k, v in found.metrics.items() if "map" in k} == {k: v for k, v in tested.items() if "map" in k}


def test_the_teachers_of_a_comparison_are_its_single_tasks(tmp_path: Path) -> None:
    run = tmp_path / "labels0.1-adatask-distill-features" / "seed2"
    assert run_folder.alone(run, "detection") == tmp_path / "labels0.1-single-detection" / "seed2"
    assert run_folder.alone(tmp_path / "adatask" / "seed1", "a") == tmp_path / "single-a" / "seed1"


def test_runs_that_teach_nothing_are_refused(cache: Path, undisturbed: Callable[..., Path], tmp_path: Path) -> None:
    def check(*overrides: str) -> None:
        check_teachers(config(cache, ["distill=features", *overrides]))

    with pytest.raises(ConfigError, match=r"distill.teachers: missing; must name a run for each task"):
        check()
    with pytest.raises(
        ConfigError, match=r"distill.teachers.detecton: there is no such head; did you mean 'detection'"
    ):
        check("distill.teachers={detecton: x}")
    with pytest.raises(ConfigError, match=r"distill.teachers.detection: found 'nowhere', which does not exist"):
        check("distill.teachers={detection: nowhere}")
    run = copied(undisturbed(), cache, tmp_path / "run")
    with pytest.raises(ConfigError, match="has trained classification, detection; it must have trained semantic"):
        check("heads=[classification,detection,semantic]", f"distill.teachers={{semantic: {run}}}")
    bare = tmp_path / "bare"
    shutil.copytree(run / ".hydra", bare / ".hydra")
    with pytest.raises(CheckpointError, match=r"distill.teachers.detection: no best or last checkpoint"):
        check(f"distill.teachers={{detection: {bare}}}")
