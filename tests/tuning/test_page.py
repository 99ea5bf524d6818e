"""The page of a study: its front, its trials and why some ended early, and mistakes of `vjo-report study=DIR`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from tests.pages.markup import Page
from tests.pages.planted import HOSTILE, furnish
from tests.tuning.planted import plant_study
from vjo_train.pages.scatter import Axis, Dot, scatter_chart

Answer = tuple[int, str, str]


def test_the_page_shows_the_front_the_trials_and_why_some_ended(command: Callable[..., Answer]) -> None:
    plant_study(Path("tune/s"))
    status, out, _ = command("vjo-report", "study=tune/s")
    assert (status, out) == (0, "Report: tune/s/report.html\n")
    page = Page(Path("tune/s/report.html"))
    page.assert_self_contained()
    assert page.ids == ["pareto-front", "parameters", "trials", "failed-and-pruned", "config"]
    assert page.tags.count("circle") == 3 + 4 * 3, "a chart of the front, four of two metrics and two keys"
    front = page.text[page.text.index("val/classification/map val/detection/map_area optimizer.lr") :].split()
    assert front[5:17] == [
        *("0", "*", "finished", "0.5000", "0.3000", "0.001235", "equal"),
        *("0", "s", "1", "*", "finished"),
    ]
    assert (
        'vjo-train experiment=shapes_demo "dataset.classes=[a,b]" optimizer.lr=0.001234567 weighting=equal' in page.text
    )
    ended = page.text[page.text.index("why") :]
    assert "3 pruned behind the median of the other trials after 2 epochs" in ended
    assert f"4 failed {HOSTILE}" in ended
    assert "lost lost" in ended, "reasons in full"
    assert "5 failed its process was killed" in ended
    assert "0.0001 to 0.1, on a logarithmic scale" in page.text
    assert "<script" not in page.source


def test_the_page_of_one_metric_names_the_best(command: Callable[..., Answer]) -> None:
    plant_study(Path("tune/s"), ("val/monitor",))
    assert command("vjo-report", "study=tune/s", "output=elsewhere")[0] == 0
    page = Page(Path("elsewhere/report.html"))
    assert page.ids[0] == "best-trial"
    assert page.text.count("0 *") == 2, "as the best and among all"
    assert "val/monitor 0.5000 trial 0" in page.text
    assert not Path("tune/s/report.html").exists()


def test_a_study_without_a_finished_trial_has_a_page(command: Callable[..., Answer]) -> None:
    (plant_study(Path("tune/s")) / "trials.csv").unlink()
    assert command("vjo-report", "study=tune/s")[0] == 0
    page = Page(Path("tune/s/report.html"))
    assert page.ids == ["config"]
    assert "No trial has finished" in page.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("study=tune/t", "study: found 'tune/t', which does not exist; it must be the folder of a study of vjo-tune. "
         "Studies nearby: tune/s."),
        ("study=runs/dwa/seed1", "study: found 'runs/dwa/seed1', which holds no study.yaml; it must be"),
        ("run=tune/s", "run: found 'tune/s', which is a study of vjo-tune; its page is study=tune/s."),
        ("runs=tune/s", "runs: found 'tune/s', which is a study of vjo-tune; its page is study=tune/s."),
        ("runs=[runs,tune/s]", "runs: found 'tune/s', which is a study"),
        ("run=runs/dwa/seed1 study=tune/s", "study: given next to run; one run's own page is run=DIR, a study's"),
        ("stduy=tune/s", "did you mean 'study'?"),
        ("study=[tune/s]", "study: found "),
    ],
)  # fmt: skip
def test_mistakes_are_answered_in_a_line(command: Callable[..., Answer], words: str, message: str) -> None:
    plant_study(Path("tune/s"))
    furnish(Path("runs"), "dwa", 1, {"classification": 0.5, "detection": 0.4})
    status, _, err = command("vjo-report", *words.split())
    assert message in err
    assert (status, len(err.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("trials.csv", "trial,state", "number,state"),
        ("trials.csv", "0.4,0.4", "0.4,much"),
        ("trials.csv", "equal", "other"),
        ("study.yaml", "space:", "room:"),
        ("study.yaml", "low:", "lowest:"),
    ],
)
def test_a_damaged_file_is_named(command: Callable[..., Answer], file: str, old: str, new: str) -> None:
    path = plant_study(Path("tune/s")) / file
    path.write_text(path.read_text().replace(old, new))
    status, _, err = command("vjo-report", "study=tune/s")
    assert (status, len(err.splitlines())) == (2, 1)
    assert f"tune/s/{file}" in err


def places(svg: str) -> list[float]:
    return [float(x) for x in re.findall(r'<circle [^>]*cx="([^"]+)"', svg)]


def test_a_logarithmic_axis_has_equal_ratios_at_equal_distances() -> None:
    drawn = scatter_chart([Dot(x, 1.0, "") for x in (0.001, 0.01, 0.1)], "t", x_label="lr", axis=Axis(log=True))
    low, middle, high = places(drawn)
    assert middle - low == pytest.approx(high - middle, abs=0.2)
    assert all(f">{text}<" in drawn for text in ("0.001", "0.01", "0.1"))


@pytest.mark.parametrize("axis", [Axis(), Axis(log=True), Axis(names=["one", "two"])])
def test_a_single_dot_has_a_chart(axis: Axis) -> None:
    (place,) = places(scatter_chart([Dot(1.0, 0.0, "here", label="7")], "t", x_label="x", axis=axis))
    assert 46 < place < 370
    assert scatter_chart([], "t", x_label="x", axis=axis) == ""
