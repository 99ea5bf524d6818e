"""`vjo-tune`: mistakes before the first trial, killed trials, and a study on a miniature that is gone on with."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import create_trial  # noqa: E402

from tests.training.test_run import SMALL  # noqa: E402
from vjo_train.config.schema import TuneConfig  # noqa: E402
from vjo_train.runs.reservation import Place, reserved  # noqa: E402
from vjo_train.tuning.space import Space  # noqa: E402
from vjo_train.tuning.study import Study  # noqa: E402
from vjo_train.tuning.summary import best, to_markdown  # noqa: E402
from vjo_train.tuning.trial import best_epoch  # noqa: E402

Answer = tuple[int, str, str]
LR = "tune.space={optimizer.lr:[0.001,0.01]}"
SPACE: Space = {"x": ("a", "b"), "y": ("1", "2", "3")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "tune.space: missing"),
        ("tune.space={optimizer.lrr:[1]}", "Key 'lrr' is not in 'optimizer'; did you mean 'lr'?"),
        ("tune.space={weighting:[equal,dva]}", "weighting=dva: no such choice; did you mean 'dwa'?"),
        ("tune.space={optimizer.lr:{low:-1,high:1}}", "optimizer.lr: found -1"),
        (f"optimizer.lr=1 {LR}", "optimizer.lr=1: is searched by tune.space"),
        (f"{LR} tune.trial=3", "Key 'trial' is not in 'tune'; did you mean 'trials'?"),
        (f"{LR} tune.sampler=gp", "tune.sampler: found 'gp' (text); must be one of tpe, random"),
        (f"{LR} tune.metric=test/detection/map_area", "Trials never look at test."),
        (f"{LR} tune.metric=val/detectoin/map_area", "is of no head; did you mean 'detection'?"),
        (f"{LR} tune.metric=tasks tune.pruner=median", "needs a single tune.metric"),
        (f"{LR} trainer.devices=2", "trials run on one device each"),
        (f"{LR} dataset.val_split=null", "trials are judged on val"),
        (f"{LR} trainer.resume=auto", "trainer.resume: is set by vjo-tune"),
        (f"-m {LR}", "-m: vjo-tune makes the runs of its study itself"),
    ],
)
def test_mistakes(command: Callable[..., Answer], words: str, message: str) -> None:
    status, _, err = command("vjo-tune", *words.split())
    assert message in err
    assert status == 2
    assert not list(Path().iterdir())


def test_without_optuna_the_answer_says_how_to_install_it(
    command: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vjo_train.tuning.plan.find_spec", lambda name: None)
    _, _, err = command("vjo-tune", LR)
    assert "optuna is not installed; pip install 'vjo-train[tune]'" in err


def study(folder: Path, trials: int = 10, metrics: tuple[str, ...] = ("val/monitor",), **options: str) -> Study:
    return Study(folder, TuneConfig(space={"x": ["a"]}, trials=trials, **options), metrics, seed=0)  # type: ignore[arg-type]


def test_a_killed_trial_is_failed_and_comes_again_in_its_folder(tmp_path: Path) -> None:
    known = study(tmp_path, trials=2, sampler="random")
    with known.next(SPACE) as given:
        assert given is not None
        first, folder = given
        assert folder == tmp_path / "trial_0000"
        # While a process is at work in its folder, a trial is left alone: a lock of one's own never shuts one out, so
        # another process is asked.
        import subprocess
        import sys

        code = (
            "from pathlib import Path; from vjo_train.files import locked\n"
            f"with locked(Path({str(folder / '.lock')!r}), wait=False) as free: print(free)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"
    # The block is left without a word on the trial: as if its process had died.
    again = study(tmp_path, trials=2, sampler="random")
    with again.next(SPACE) as given:
        assert given is not None
        trial, place = given
        assert (trial.number, place) == (1, folder)
        assert trial.params == first.params
        again.study.tell(trial, 1.0)
    assert [t.state.name for t in again.trials] == ["FAIL", "COMPLETE"]
    with again.next(SPACE) as given:  # the killed one does not count
        assert given is not None
        again.study.tell(given[0], 2.0)
    with again.next(SPACE) as given:
        assert given is None


def test_a_stopped_study_tries_what_it_would_have_tried(tmp_path: Path) -> None:
    def params(folder: Path, restart: bool) -> list[dict[str, object]]:
        folder.mkdir()
        known, found = study(folder, trials=6), []
        for _ in range(6):
            known = study(folder, trials=6) if restart else known
            with known.next({"x": ("a", "b"), "y": ("1", "2", "3")}) as given:
                assert given is not None
                found.append(dict(given[0].params))
                known.study.tell(given[0], float(given[0].params["y"]))
        return found

    assert params(tmp_path / "one", False) == params(tmp_path / "two", True)


def test_the_best_epoch_is_that_of_the_best_checkpoint() -> None:
    rows = [{"epoch": "0", "m": "0.5", "a": "1"}, {"epoch": "1"}, {"epoch": "2", "m": "0.7", "a": "0.25"}]
    assert best_epoch(rows, "m", ["a", "m"]).values == [0.25, 0.7]
    assert best_epoch(rows[1:2], "m", ["a"]).fault == "m was never a number."
    assert best_epoch([{"m": "nan"}, {"m": "0.1", "a": "nan"}], "m", ["a"]).fault


def test_of_an_error_the_least_is_the_best(tmp_path: Path) -> None:
    rows = [{"m": "0.5", "a": "1"}, {"m": "0.7", "a": "0.25"}]
    assert best_epoch(rows, "m", ["a"], higher=False).values == [1.0]
    names = ("val/depth/abs_rel", "val/depth/delta1")
    assert [d.name for d in study(tmp_path, metrics=names).study.directions] == ["MINIMIZE", "MAXIMIZE"]
    trials = [create_trial(values=[error]) for error in (0.3, 0.1, 0.2)]
    assert [trial.values for trial in best(trials, names[:1])] == [[0.1]]
    both = [create_trial(values=values) for values in ([0.3, 0.9], [0.1, 0.5], [0.4, 0.8])]
    assert [trial.values for trial in best(both, names)] == [[0.1, 0.5], [0.3, 0.9]]
    assert "0.1000" in to_markdown(trials, names[:1], []).partition("| trial")[2].splitlines()[2]


def test_a_folder_is_kept_for_a_trial(tmp_path: Path) -> None:
    with study(tmp_path).next(SPACE) as given:
        assert given is not None
        assert (given[1] / ".lock").is_file()
    with reserved(Place("tune.output", given[1], new=False)):
        pass


def test_a_study_is_run_and_gone_on_with(command: Callable[..., Answer], tmp_path: Path) -> None:
    words = [*SMALL[:-1], f"dataset.cache_dir={tmp_path / 'cache'}", "trainer.max_epochs=1", "name=s"]
    space = "tune.space={weighting:[equal,dwa]}"
    status, out, err = command("vjo-tune", *words, space, "tune.trials=2", "tune.metric=tasks", "tune.startup=0")
    assert (status, err) == (0, "")
    assert "On the front: " in out
    folder = tmp_path / "tune" / "s"
    for name in ("study.md", "report.html", "trials.csv", "front.svg", "study.db", "trial_0000/checkpoints/best.ckpt"):
        assert (folder / name).is_file(), name
    assert not (folder / "trial_0000" / "results.json").exists()  # the test is left alone
    with (folder / "trials.csv").open() as file:
        before = list(csv.DictReader(file))
    assert [row["state"] for row in before] == ["complete"] * 2
    assert all(float(row["val/detection/map_area"]) >= 0 for row in before)
    study = folder / "study.yaml"
    of_today = study.read_text()
    study.write_text(of_today.replace("vjo_train.optim.optimizers.", "vjo_train.optimizers."))  # as older ones have it
    assert study.read_text() != of_today
    status, more, _ = command("vjo-tune", *words, space, "tune.trials=3", "tune.metric=tasks", "tune.startup=0")
    assert "2 of 3 trials finished" in more
    assert "not run again" in out + more  # two choices: three trials cannot all differ
    with (folder / "trials.csv").open() as file:
        after = list(csv.DictReader(file))
    assert [{**row, "best": ""} for row in after[:2]] == [{**row, "best": ""} for row in before]
    status, _, err = command("vjo-tune", *words, "tune.space={weighting:[equal,rlw]}", "tune.metric=tasks")
    assert status == 2
    assert "holds a study of something else (space.weighting:" in err
