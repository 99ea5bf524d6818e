"""delta_m over all metrics that the field reports, each with its sign, against LibMTL's formula written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.comparison.planted import plant
from tests.conftest import Answer
from vjo_train.comparison import tables
from vjo_train.comparison.delta import delta_weights
from vjo_train.comparison.reading import read_run
from vjo_train.comparison.summary import Comparison, compare
from vjo_train.diagnosis.gains import direction
from vjo_train.heads.pixels.depth import Depth
from vjo_train.heads.pixels.normals import Normals
from vjo_train.heads.semantic import SemanticHead
from vjo_train.runs.finding import find_folders

REPORTED = {"classification": {"map": True}, "detection": {"abs_err": False, "abs_rel": False, "recall": True}}
ALONE = {"classification": {"map": 0.5}, "detection": {"abs_err": 0.4, "abs_rel": 0.2, "recall": 0.5}}
JOINT = {"classification": {"map": 0.6}, "detection": {"abs_err": 0.3, "abs_rel": 0.3, "recall": 0.6}}


def published(base: Mapping[str, Mapping[str, float]], new: Mapping[str, Mapping[str, float]]) -> float:
    """100 % x 1/T sum_t 1/M_t sum_m (-1)^w (B - N) / B, w = 1 where higher is better."""
    tasks = []
    for task, metrics in REPORTED.items():
        signs = np.array([(-1.0) ** int(higher) for higher in metrics.values()])
        b, n = (np.array([figures[task][metric] for metric in metrics]) for figures in (base, new))
        tasks.append((signs * (b - n) / b).mean())
    return 100 * float(np.mean(tasks))


def write(folder: Path, compared: str | None = None) -> None:
    """A method and both tasks alone, of one seed; `compared`: what `compare.delta` said."""
    monitors = {"classification": "map", "detection": "recall"}
    for case, figures in (("equal", JOINT), *((f"single-{task}", {task: ALONE[task]}) for task in ALONE)):
        names = {f"test/{task}/{metric}": v for task, own in figures.items() for metric, v in own.items()}
        plant(
            folder,
            case,
            1,
            {task: 0.0 for task in figures},
            metrics=names,
            monitors=[f"test/{task}/{monitors[task]}" for task in figures],
            reported={f"test/{task}/{metric}": up for task in figures for metric, up in REPORTED[task].items()},
            config={} if compared is None else {"compare": {"methods": ["equal"], "delta": compared}},
        )


def compared(folder: Path, metrics: Mapping[str, str] | None = None, delta: str | None = None) -> Comparison:
    return compare([read_run(run) for run in find_folders([str(folder)])], metrics or {}, delta=delta)  # type: ignore[arg-type]


def test_it_is_the_published_formula(tmp_path: Path) -> None:
    write(tmp_path)
    found = compared(tmp_path, delta="metrics")
    assert found.delta_m("equal").mean == pytest.approx(published(ALONE, JOINT))
    assert published(ALONE, JOINT) == pytest.approx((20 + (25 - 50 + 20) / 3) / 2)
    assert compared(tmp_path).delta_m("equal").mean == pytest.approx(20), "one metric for each task"
    assert found.gain("equal", "detection/abs_err").mean == pytest.approx(25), "an error that falls is a gain"
    shown = {f"{task}/{metric}": gain for task, metric, gain in tables.gains(found).rows}
    names = ("classification/map", "detection/abs_err", "detection/abs_rel", "detection/recall")
    assert shown == dict(zip(names, ("+20.00", "+25.00", "-50.00", "+20.00"), strict=True))
    starred = {row[1] for row in tables.figures(found).rows}
    assert starred == {"map *", "abs_err *", "abs_rel *", "recall *"}


def test_a_named_metric_counts_alone(tmp_path: Path) -> None:
    write(tmp_path)
    found = compared(tmp_path, {"detection": "abs_rel"}, "metrics")
    assert found.delta_m("equal").mean == pytest.approx((20 - 50) / 2)


def test_a_report_counts_what_the_comparison_was_told_to(tmp_path: Path) -> None:
    write(tmp_path, "metrics")
    assert compared(tmp_path).delta_m("equal").mean == pytest.approx(published(ALONE, JOINT))
    assert compared(tmp_path, delta="monitor").delta_m("equal").mean == pytest.approx(20)


def test_runs_that_name_none_are_counted_by_their_monitors(tmp_path: Path) -> None:
    plant(tmp_path, "equal", 1, {"classification": 0.6, "detection": 0.3})
    plant(tmp_path, "single-classification", 1, {"classification": 0.5})
    plant(tmp_path, "single-detection", 1, {"detection": 0.2})
    assert compared(tmp_path, delta="metrics").delta_m("equal").mean == pytest.approx(35)


def test_the_command_takes_the_key(command: Callable[..., Answer]) -> None:
    write(Path("sweep"))
    status, out, _ = command("vjo-report", "runs=sweep", "delta=metrics")
    assert status == 0
    assert f"{published(ALONE, JOINT):+.2f}" in out
    status, _, err = command("vjo-report", "runs=sweep", "delta=all")
    assert (status, "delta: found 'all' (text); must be one of monitor, metrics, pooled" in err) == (2, True)


def test_weights_sum_to_one_and_give_every_task_the_same() -> None:
    found = delta_weights({"a": ["x"], "b": ["x", "y", "z"]})
    assert found == pytest.approx({"a/x": 1 / 2, "b/x": 1 / 6, "b/y": 1 / 6, "b/z": 1 / 6})


NYUV2 = {"semantic": SemanticHead, "depth": Depth, "normals": Normals}
# Navon et al. 2022, "Multi-Task Learning as a Bargaining Game", tables 2 (NYUv2) and 3 (Cityscapes): mIoU, pixel
# accuracy, absolute and relative error, mean and median angle, shares within 11.25, 22.5 and 30 degrees; Delta_m.
STL = {
    "nyuv2": (38.30, 63.76, 0.6754, 0.2780, 25.01, 19.21, 30.14, 57.20, 69.15),
    "cityscapes": (74.01, 93.16, 0.0125, 27.77),
}
PUBLISHED = [
    ("nyuv2", (39.29, 65.33, 0.5493, 0.2263, 28.15, 23.96, 22.09, 47.50, 61.08), 5.59),
    ("nyuv2", (39.11, 65.31, 0.5510, 0.2285, 27.61, 23.18, 24.17, 50.18, 62.39), 3.57),
    ("nyuv2", (38.06, 64.64, 0.5550, 0.2325, 27.41, 22.80, 23.86, 49.83, 63.14), 3.97),
    ("nyuv2", (40.13, 65.93, 0.5261, 0.2171, 25.26, 20.08, 28.40, 55.47, 68.15), -4.04),
    ("cityscapes", (75.18, 93.49, 0.0155, 46.77), 22.60),
    ("cityscapes", (75.41, 93.66, 0.0129, 35.02), 6.82),
]


@pytest.mark.parametrize(("data", "method", "loss"), PUBLISHED)
def test_the_losses_of_a_paper_follow_from_its_figures(
    tmp_path: Path, data: str, method: Sequence[float], loss: float
) -> None:
    """Pooled, to what the rounding of the table leaves."""
    heads = {task: head for task, head in NYUV2.items() if data == "nyuv2" or task != "normals"}
    reported = {f"test/{task}/{metric}": up for task, head in heads.items() for metric, up in head.reported.items()}

    def figures(values: Sequence[float]) -> dict[str, float]:
        return dict(zip(reported, values, strict=True))

    monitors = [f"test/{task}/{next(iter(head.reported))}" for task, head in heads.items()]
    config = {"heads": {task: {} for task in heads}}
    common = {"reported": reported, "config": config, "seen": dict.fromkeys(heads, 160)}
    for task in heads:
        alone = {name: value for name, value in figures(STL[data]).items() if name.split("/")[1] == task}
        own = [name for name in monitors if name.split("/")[1] == task]
        plant(tmp_path, f"single-{task}", 1, {task: 0.0}, metrics=alone, monitors=own, **common)
    joint = dict.fromkeys(heads, 0.0)
    plant(tmp_path, "equal", 1, joint, metrics=figures(method), monitors=monitors, **common)
    assert compared(tmp_path, delta="pooled").delta_m("equal").mean == pytest.approx(
        -loss, abs=0.01 if data == "nyuv2" else 0.12
    )


@pytest.mark.parametrize("head", [SemanticHead, Depth, Normals])
def test_what_heads_report_agrees_with_the_names(head: type[SemanticHead | Depth | Normals]) -> None:
    """Metrics that no head reports get their sign from their name."""
    assert {name: direction(name) > 0 for name in head.reported} == dict(head.reported)
    assert direction("rmse") == direction("log10") == -1
