"""`compare=methods`: which runs there are, what is refused, what is not repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf, open_dict

from vjo_train.comparison import plan
from vjo_train.comparison.reading import read_run
from vjo_train.config.checks.training import Checked, check_training
from vjo_train.config.compose import Composer
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder

Answer = tuple[int, str, str]
WORDS = ["experiment=compare", "~heads.semantic", "compare.methods=[dwa]", "seed=1,2"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*words: str) -> Checked:
    return check_training(Composer("train"), list(words), multirun=True)


def test_every_case_of_every_seed_has_a_folder_of_its_own(here: Path) -> None:
    checked = check(*WORDS)
    assert checked.added == ["+case=single-classification,single-detection,dwa"]
    assert [str(job.folder) for job in checked.comparison] == [
        f"multirun/compare/{case}/seed{seed}"
        for seed in (1, 2)
        for case in ("single-classification", "single-detection", "dwa")
    ]


def composed(*words: str, jobs: slice = slice(None)) -> list[object]:
    """The configs of the jobs of a comparison that has been checked."""
    composer = Composer("train")
    return [composer.compose(job) for job in composer.jobs(list(words))[jobs]]


def test_cases_differ_in_what_they_name_alone(here: Path) -> None:
    methods = "compare.methods=[dwa,'pcgrad weighting.losses=dwa optimizer.lr=0.1']"
    words = [*WORDS[:2], methods, "seed=7"]
    jobs = composed(*words, *check(*words).added)
    assert [job.single for job in jobs] == ["classification", "detection", None, None]
    assert [job.weighting._target_.rpartition(".")[2] for job in jobs] == [
        "EqualWeighting",
        "EqualWeighting",
        "DWA",
        "PCGrad",
    ]
    assert (jobs[3].weighting.losses, jobs[3].optimizer.lr, jobs[2].optimizer.lr) == ("dwa", 0.1, 0.002)
    assert all(list(job.heads) == ["classification", "detection"] and job.seed == 7 for job in jobs)
    same = [{k: v for k, v in job.items() if k not in ("single", "weighting", "optimizer", "hydra")} for job in jobs]
    assert all(one == same[0] for one in same)


def leave_run(job: plan.Planned, cfg: object, finished: bool = True) -> None:
    """A folder as a run of `cfg` leaves it."""
    plain = cfg.copy()  # type: ignore[attr-defined]
    with open_dict(plain):
        del plain["hydra"]
    (job.folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(plain, job.folder / run_folder.CONFIG)
    if finished:
        (job.folder / run_folder.RESULTS).touch()
    else:
        (job.folder / "checkpoints").mkdir()
        (job.folder / "checkpoints" / "last.ckpt").touch()


def test_self_supervised_heads_are_no_goals(here: Path) -> None:
    """They have no run alone and no labels to keep; a method may be without them."""
    goals = ["classification", "detection", "semantic", "instance"]
    methods = "compare.methods=[equal,'equal helpers=false']"
    words = ["experiment=shapes_selfsup", "compare=methods", methods, "compare.labels=[0.5]", "seed=1"]
    checked = check(*words)
    names = [*(f"single-{task}" for task in goals), "equal", "equal-helpers-false"]
    assert [job.folder.parent.name for job in checked.comparison] == [f"labels0.5-{name}" for name in names]
    jobs = composed(*words, *checked.added)
    assert [run_folder.trained_tasks(job) for job in jobs[4:]] == [(*goals, "rotation", "masked"), tuple(goals)]
    assert all(dict(job.dataset.labels) == dict.fromkeys(goals, 0.5) for job in jobs)
    for planned, job in zip(checked.comparison, jobs, strict=True):
        leave_run(planned, job, finished=False)
    runs = [read_run(planned.folder) for planned in checked.comparison]
    assert [run.tasks for run in runs] == [*((task,) for task in goals), tuple(goals), tuple(goals)]
    assert [run.single for run in runs] == [*goals, None, None]


def test_a_task_with_a_helper_is_no_single_task_run(here: Path) -> None:
    (job,) = composed("heads=[classification,rotation]")
    planned = plan.Planned("one", here / "run")
    leave_run(planned, job, finished=False)
    assert (read_run(planned.folder).tasks, read_run(planned.folder).single) == (("classification",), None)


def test_finished_and_begun_runs_are_known_and_another_config_is_refused(here: Path) -> None:
    checked = check(*WORDS)
    first, fifth = composed(*WORDS, *checked.added, jobs=slice(None, None, 4))
    leave_run(checked.comparison[0], first)
    leave_run(checked.comparison[4], fifth, finished=False)
    again = check(*WORDS).comparison
    assert [job.finished for job in again] == [True] + [False] * 5
    assert [job.begun for job in again] == [False] * 4 + [True] + [False]
    check(*WORDS[:2], "compare.methods=[dwa,rlw]", "seed=1,2,3")  # more methods and seeds: the same runs
    with pytest.raises(ConfigError, match=r"seed1' holds a run of another config \(trainer.max_epochs: 10 there, 11"):
        check(*WORDS, "trainer.max_epochs=11")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("experiment=compare", "compare: is a sweep of many runs; add -m."),
        ("-m experiment=compare dataset.val_split=null", "a comparison picks its checkpoints on val"),
        ("-m experiment=compare dataset.test_split=val", "'val' is trained on or picks checkpoints."),
        ("-m experiment=compare trainer.early_stopping=2", "must be null in a comparison"),
        ("-m experiment=compare ~heads.classification ~heads.semantic", "needs at least two"),
        ("-m experiment=compare compare.methods=[dva]", "weighting=dva: no such choice; did you mean 'dwa'?"),
        ("-m experiment=compare compare.methods=[dwa,dwa]", "compare.methods: found dwa twice"),
        ("-m experiment=compare compare.methods=[]", "compare.methods: found [] (a list); must be a list of text"),
        ("-m experiment=compare compare.method=[dwa]", "Key 'method' is not in 'compare'; did you mean 'methods'?"),
        ("-m experiment=compare compare.tune=1", "compare.tune: found 1 (a whole number); must be a whole number >= 2"),
        ("-m experiment=compare compare.tune=2 weighting=dwa", "weighting=dwa: is set by the case"),
        ("-m experiment=compare weighting=dwa", "weighting=dwa: is set by the case"),
        (
            "-m experiment=compare compare.methods=[dwa] seed=1 optimizer.lr=0.1,0.2",
            "in a comparison only seed may have several values",
        ),
        ("experiment=compare heads=[detection]", "compare: is a sweep of many runs; add -m."),
        (
            "experiment=shapes_demo heads=[detection] heads.classification.pool=average",
            "Choose it among heads=[...], or drop it by ~heads.classification.",
        ),
        (
            "reference={detektion/map:0.5}",
            "reference: found 'detektion/map'; must be <head>/<metric>, such as detection",
        ),
        (
            "reference={detection/map:0}",
            "reference: found {'detection/map': 0} (a mapping); must be a mapping of text to a number > 0",
        ),
        ("single=detektion", "single: found 'detektion'; must be null or one of classification, detection; did you"),
    ],
)
def test_mistakes(command: Callable[..., Answer], words: str, message: str) -> None:
    status, _, err = command("vjo-train", *words.split())
    assert message in err
    assert status == 2
    assert not list(Path().iterdir())


def test_the_estimate_takes_a_case_by_its_own_runs_and_an_unknown_one_by_the_mean() -> None:
    times = {"equal": [100.0, 140.0], "pcgrad": [300.0]}
    assert plan.estimated_seconds(["equal", "pcgrad", "dwa"], times) == 120 + 300 + (120 + 300) / 2


def test_another_data_set_takes_nothing_from_the_drawn_one(here: Path) -> None:
    words = ["dataset=voc2007", "dataset.root=VOCdevkit"]
    alone, compared = (Composer("train").compose([*words, *more]).dataset for more in ([], ["experiment=compare"]))
    assert compared == alone


def test_keys_of_heads_that_are_not_chosen_fall_away(here: Path) -> None:
    words = ["experiment=shapes_demo", "heads=[detection]"]
    checked = preflight_training(*words)
    assert checked.added == ["~heads.classification"]
    cfg = Composer("train").compose([*words, *checked.added])
    assert list(cfg.heads) == ["detection"]
    assert cfg.heads.detection.depth == 1


def preflight_training(*words: str) -> Checked:
    return check_training(Composer("train"), list(words), multirun=False)
