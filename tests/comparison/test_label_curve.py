"""Label curves: which runs there are, and what is said of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.comparison.planted import TASKS, plant
from vjo_train.comparison import command, plan
from vjo_train.comparison.label_curve import LabelCurve, by_share
from vjo_train.comparison.reading import read_run
from vjo_train.config.checks.report import check_report
from vjo_train.config.compose import Composer
from vjo_train.errors import ConfigError
from vjo_train.runs.run_folder import case_with_labels, case_without_labels

METHODS = ["adatask", "weighting=adatask semi=mean_teacher"]
TAUGHT = "weighting-adatask-semi-mean_teacher"


def test_every_case_at_every_share() -> None:
    heads = {task: {} for task in TASKS}
    cfg = OmegaConf.create({"heads": heads, "compare": {"methods": METHODS, "labels": [0.05, 1.0]}})
    found = {case.name: case.words for case in plan.cases(cfg)}
    assert list(found) == [
        *("labels0.05-single-classification", "labels0.05-single-detection", "labels0.05-adatask"),
        *(f"labels0.05-{TAUGHT}", "labels1-single-classification", "labels1-single-detection", "labels1-adatask"),
    ]
    kept = "dataset.labels={classification:0.05,detection:0.05}"
    assert found["labels0.05-adatask"] == ("weighting=adatask", kept)
    assert found["labels1-adatask"] == ("weighting=adatask",)


@pytest.mark.parametrize("case", ["dwa", "single-detection", "labels-own", "e-x"])
@pytest.mark.parametrize("share", [0.05, 1e-05, 1.0, 0.333])
def test_the_share_in_a_name(case: str, share: float) -> None:
    assert case_without_labels(case_with_labels(case, share)) == case
    assert case_without_labels(case) == case


def planted(folder: Path, share: float, case: str, seed: int, both: tuple[float, float]) -> None:
    figures = dict(zip(TASKS, both, strict=True))
    labels = None if share == 1 else dict.fromkeys(TASKS, share)
    config = {"compare": {"methods": METHODS, "labels": [0.1, 1.0]}, "dataset": {"labels": labels}}
    counts = {"train": {"images": 800, **dict.fromkeys(TASKS, round(800 * share))}}
    name = case_with_labels(case, share)
    if case == "single":
        for task, value in figures.items():
            plant(folder / f"{name}-{task}", name, seed, {task: value}, config=config, counts=counts)
    else:
        plant(folder, name, seed, figures, config=config, counts=counts)


def curve(folder: Path) -> Path:
    for seed, noise in ((1, 0.0), (2, 0.01), (3, 0.03)):
        planted(folder, 0.1, "single", seed, (0.4 + noise, 0.3 + noise))
        planted(folder, 0.1, "adatask", seed, (0.5 + noise, 0.3 - noise))
        planted(folder, 0.1, TAUGHT, seed, (0.7 + noise, 0.5 - 2 * noise))
        planted(folder, 1.0, "single", seed, (0.6, 0.6))
        planted(folder, 1.0, "adatask", seed, (0.8, 0.7))
    return folder


def test_what_a_curve_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Differences over paired seeds, how many labels are enough, and files that hold all of it."""
    folder = curve(tmp_path / "curve")
    answer = command.write_report(check_report(Composer("report"), [f"runs={folder}"]))
    assert isinstance(answer, LabelCurve)
    assert answer.labels == ["single-task", "adatask", TAUGHT]
    gain = answer.difference(TAUGHT, "adatask", 0.1, "detection/map_area")
    assert gain.mean == pytest.approx(20 - 4 / 3)
    assert gain.low < gain.mean < gain.high
    assert answer.difference("adatask", "single-task", 0.1, "classification/map").mean == pytest.approx(10)
    assert [answer.enough(label, "classification/map") for label in answer.labels] == [1.0, 1.0, 0.1]
    assert answer.enough(TAUGHT, "detection/map_area") is None  # it did not run with all labels
    assert answer.images(0.1, "detection") == 80
    said = capsys.readouterr().out
    assert re.search(r"10 %\s\(80\s", said)
    text = (folder / "report.md").read_text()
    assert "What are labels worth?" in text
    rows = (folder / "report.csv").read_text().splitlines()
    assert f"{TAUGHT},0.1,2,detection,map_area,0.48" in rows
    assert len(rows) == 1 + 2 * 3 * (3 + 2)
    html = (folder / "report.html").read_text()
    assert len(re.findall("<svg", html)) >= 2


def test_other_runs_beside_those_of_a_curve(tmp_path: Path) -> None:
    folder = curve(tmp_path / "curve")
    other = plant(tmp_path, "dwa", 1, dict.fromkeys(TASKS, 0.5))
    runs = [read_run(path) for path in (*folder.rglob("seed1"), other)]
    with pytest.raises(ConfigError, match="is no run of a label curve"):
        by_share(runs)
    assert by_share([read_run(other)]) == {}
