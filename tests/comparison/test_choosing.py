"""`compare.tune`: what is tried, what is chosen, and that the runs are trained with it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from vjo_train.comparison import choosing
from vjo_train.config.checks.training import check_training
from vjo_train.config.compose import Composer
from vjo_train.errors import CheckpointError, ConfigError

Answer = tuple[int, str, str]
WORDS = ("experiment=compare", "~heads.semantic", "compare.methods=[fixed]", "compare.tune=3", "seed=4,2")
TINY = (
    *("~backbone", "+backbone._target_=tests.tiny.BatchNormBackbone", "neck.channels=16"),
    *(
        "dataset.generate.train=8",
        "dataset.generate.val=4",
        "dataset.generate.test=4",
        "dataset.generate.image_size=32",
    ),
    *("dataset.size=32", "dataset.batch_size=4", "dataset.workers=0", "trainer.max_epochs=1", "insight=[]"),
    *("trainer.check_val_every_n_epoch=1", "trainer.progress=false", "trainer.drawn_images=0"),
)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> list[choosing.Trial]:
    """The trials of a comparison in the working folder, which none of them has begun yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        trials = check_training(Composer("train"), list(WORDS), multirun=True).trials
        assert not list(Path().iterdir())
    return trials


def test_learning_rates_spread_around_that_of_the_config() -> None:
    assert choosing.factors(5) == [1, 0.5, 2, 0.25, 4]


@pytest.mark.parametrize("number", [1, 2, 7])
def test_weights_are_a_function_of_the_number_with_mean_one(number: int) -> None:
    tasks = ("a", "b", "c")
    drawn = choosing.weights(tasks, number)
    assert drawn == choosing.weights(tasks, number)
    assert statistics.mean(drawn.values()) == pytest.approx(1, abs=1e-3)
    assert (len(set(drawn.values())) == 1) == (number == 1)


def test_every_case_has_as_many_trials_of_the_first_seed(tried: list[choosing.Trial]) -> None:
    assert [(t.case, t.number) for t in tried] == [
        (case, number) for case in ("single-classification", "single-detection", "fixed") for number in (1, 2, 3)
    ]
    assert [t.tried for t in tried[:3]] == [(f"optimizer.lr={lr}",) for lr in ("0.002", "0.001", "0.004")]
    assert tried[6].tried[1] == "weighting.lambdas={classification:1.0,detection:1.0}"
    assert all("seed=4" in t.words and "seed=4,2" not in t.words for t in tried)


def test_the_best_on_val_is_chosen_and_the_runs_are_trained_with_it(
    tried: list[choosing.Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for trial, value in zip(tried, [0.5, 0.7, 0.7, None, 0.1, None, 0.3, 0.2, 0.9], strict=True):
        trial.end(value)
    checked = check_training(Composer("train"), list(WORDS), multirun=True)
    assert not checked.trials
    composer = Composer("train")
    jobs = composer.jobs([*WORDS, *checked.added])
    found = {job[-1].partition("=")[2]: composer.compose(job) for job in jobs if "seed=2" in job}
    assert {name: cfg.optimizer.lr for name, cfg in found.items()} == {
        "single-classification": 0.001,
        "single-detection": 0.001,
        "fixed": 0.004,
    }
    assert found["fixed"].weighting.lambdas == choosing.weights(("classification", "detection"), 3)
    for trial in tried[:3]:
        trial.end(None, "the loss of batch 3 is nan.")
    with pytest.raises(ConfigError, match=r"every trial of single-classification failed; the first: the loss of batch"):
        check_training(Composer("train"), list(WORDS), multirun=True)
    (tried[0].folder / choosing.FILE).write_text("{")
    with pytest.raises(CheckpointError, match=r"trial.json is damaged"):
        check_training(Composer("train"), list(WORDS), multirun=True)


@pytest.mark.slow
def test_a_tuned_comparison_ends_with_its_answer(command: Callable[..., Answer]) -> None:
    words = (*WORDS[:2], "compare.methods=[equal]", "compare.tune=2", "seed=1", *TINY)
    plan = check_training(Composer("train"), list(words), multirun=True).trials
    for trial in plan[:4]:  # those of the single tasks
        trial.end(0.1 * trial.number)
    status, out, _ = command("vjo-train", "-m", *words)
    assert status == 0
    assert "Trial 2 of 2: equal optimizer.lr=0.001" in out
    assert json.loads(Path("multirun/compare/tune/equal/1/trial.json").read_text())["value"] >= 0
    assert not list(Path("multirun/compare/tune").rglob("results.json")), "the test is left alone"
    report = Path("multirun/compare/report.md").read_text()
    assert "| classification alone | 2 | 0.001 |" in report
    assert "Settings differ" not in report
    assert "tune" not in Path("multirun/compare/summary.md").read_text()
