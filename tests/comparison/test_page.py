"""The page of a comparison: every section, links to the runs, hostile names, and few runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.comparison.planted import plant
from tests.pages.markup import Page
from tests.pages.planted import HOSTILE, furnish
from vjo_train.comparison.answers import class_gains
from vjo_train.comparison.progress import mean_curve
from vjo_train.comparison.reading import read_run
from vjo_train.comparison.summary import compare
from vjo_train.pages.run import write_run_page
from vjo_train.runs.finding import find_folders

Answer = tuple[int, str, str]
BOTH = {"classification": 0.5, "detection": 0.4}


def plant_all(folder: Path) -> None:
    for seed in (1, 2):
        for task, value in {"classification": 0.4, "detection": 0.3}.items():
            furnish(folder, f"single-{task}", seed, {task: value})
        for method in ("equal", f"<b>{HOSTILE.replace('/', '')}"):
            furnish(folder, method, seed, BOTH)


def test_the_page_holds_every_section_and_fetches_nothing(command: Callable[..., Answer]) -> None:
    plant_all(Path("sweep"))
    write_run_page(Path("sweep/equal/seed1"))
    status, out, _ = command("vjo-report", "runs=sweep")
    assert status == 0
    assert "report.md, report.csv, report.html" in out
    page = Page(Path("sweep/report.html"))
    page.assert_self_contained()
    assert set(page.ids) == {
        *(
            "the-answer",
            "figures-and-cost",
            "learning-curves",
            "task-weights",
            "conflict",
            "affinity",
            "classes-that-gain-and-lose",
        ),
        *("precision-and-recall", "predictions-side-by-side", "runs", "how-to-read-this"),
        "why-did-a-task-gain-or-lose",
    }
    assert "<script" not in page.source
    assert "<b>" not in page.source
    assert "equal/seed1/report.html" in page.links
    assert "+29.17 %" in page.text, "gains of 25 and 33.3 %"
    assert page.tags.count("img") == 2 * (1 + 2 + 2), "two images: annotated, two methods, two tasks alone"


def test_a_task_that_loses_is_explained_on_the_page_and_in_the_terminal(command: Callable[..., Answer]) -> None:
    for task, alone in {"classification": 0.5, "detection": 0.4}.items():
        furnish(Path("sweep"), f"single-{task}", 1, {task: alone})
    furnish(Path("sweep"), "equal", 1, {"classification": 0.6, "detection": 0.3})
    used = {"weighting": {"_target_": "vjo_train.weighting.balanced.Balanced"}}
    furnish(Path("sweep"), "[bold]balanced", 1, {"classification": 0.6, "detection": 0.3}, **used)
    _, out, _ = command("vjo-report", "runs=sweep")
    said = (
        "detection: -25.0 %, it loses. It got 10% of the shared gradient, classification 90%: try weighting=balanced."
    )
    assert f"equal: {said}" in out
    assert "[bold]balanced: detection: -25.0 %" in out, "a name is no markup"
    assert "classification 90%: try weighting=fixed with more for it." in out
    assert "classification: +20.0 %" not in out
    assert said in Page(Path("sweep/report.html")).text
    write_run_page(Path("sweep/equal/seed1"))
    assert "classification: got 90% of the shared gradient." in Page(Path("sweep/equal/seed1/report.html")).text


def test_gains_of_classes_are_paired_by_seed(tmp_path: Path) -> None:
    values = {1: (0.2, 0.5), 2: (0.4, 0.3)}
    for seed, (alone, joint) in values.items():
        for task in BOTH:
            per_class = {f"test/{task}/ap": {"dog": alone, "cat": math.nan}}
            plant(tmp_path, f"single-{task}", seed, {task: 0.4}, per_class=per_class)
        joint_classes = {"test/classification/ap": {"dog": joint, "cat": 0.5}}
        plant(tmp_path, "equal", seed, BOTH, per_class=joint_classes)
    comparison = compare([read_run(run) for run in find_folders([str(tmp_path)])], {})
    found = class_gains(comparison, "equal", "classification", "test/classification/ap")
    assert found["dog"] == pytest.approx((30 - 10) / 2)
    assert math.isnan(found["cat"])


def test_the_mean_of_curves_is_over_what_is_defined() -> None:
    curves = [[(1.0, 2.0), (2.0, math.nan), (3.0, 1.0)], [(1.0, 4.0), (2.0, math.nan)]]
    found = mean_curve(curves)
    assert found[0] == (1.0, 3.0)
    assert math.isnan(found[1][1])
    assert found[2] == (3.0, 1.0)


def test_runs_without_anything_but_results_have_a_page(command: Callable[..., Answer]) -> None:
    plant(Path("sweep"), "equal", 1, BOTH)
    plant(Path("sweep"), "single-detection", 1, {"detection": 0.4}, finished=False)
    assert command("vjo-report", "runs=sweep")[0] == 0
    page = Page(Path("sweep/report.html"))
    assert {"the-answer", "figures-and-cost", "runs"} <= set(page.ids)
    assert "learning-curves" not in page.ids
    assert "Not finished: sweep/single-detection/seed1." in page.text


def test_a_comparison_does_not_replace_a_run_s_own_page(command: Callable[..., Answer]) -> None:
    run = furnish(Path("sweep"), "equal", 1, BOTH)
    status, _, err = command("vjo-report", f"runs={run}")
    assert status == 2
    assert "is a run's folder, which has a report.html of its own" in err
    assert command("vjo-report", f"runs={run}", "output=elsewhere")[0] == 0
    assert not (run / "report.html").exists()
