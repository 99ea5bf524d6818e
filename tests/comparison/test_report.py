"""`vjo-report` on planted results: gains, intervals, and what is refused or flagged, right to the digit."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.comparison.planted import plant, plant_comparison
from vjo_train.comparison import tables
from vjo_train.comparison.reading import read_run
from vjo_train.comparison.summary import Comparison, compare
from vjo_train.runs.finding import find_folders
from vjo_train.runs.records import Scores, TaskRecords

Answer = tuple[int, str, str]
ALONE = {1: (0.50, 0.20), 2: (0.40, 0.25), 3: (0.80, 0.10)}
JOINT = {1: (0.55, 0.19), 2: (0.42, 0.30), 3: (0.76, 0.11)}
# gains: +10 -5 | +5 +20 | -5 +10: delta_m of the seeds 2.5, 12.5, 2.5
DEVIATION = math.sqrt(((2.5 - 35 / 6) ** 2 * 2 + (12.5 - 35 / 6) ** 2) / 2)
T_2 = 4.302652729911275  # the t table: 95 %, two degrees of freedom


def compared(folder: Path, **settings: object) -> Comparison:
    return compare([read_run(run) for run in find_folders([str(folder)])], {}, **settings)  # type: ignore[arg-type]


def test_delta_m_is_paired_by_seed_with_its_t_interval(tmp_path: Path) -> None:
    plant_comparison(tmp_path, {"alone": ALONE, "equal": JOINT})
    comparison = compared(tmp_path)
    half = T_2 * DEVIATION / math.sqrt(3)
    delta = comparison.delta_m("equal")
    assert (delta.mean, delta.low, delta.high) == pytest.approx((35 / 6, 35 / 6 - half, 35 / 6 + half))
    assert comparison.gain("equal", "classification/map").mean == pytest.approx(10 / 3)
    assert comparison.gain("equal", "detection/map_area").mean == pytest.approx(25 / 3)
    assert tables.warnings(comparison) == []
    rows = {sheet.title.split(":")[0]: sheet.rows for sheet in tables.sheets(comparison)}
    assert rows["delta_m"] == [["equal", "+5.83 [-8.51, +20.18]", "3 seeds", "no clear difference"]]
    assert rows["Test figures"][0] == ["classification", "map *", "0.5667 ± 0.2082", "0.5767 ± 0.1716"]
    assert rows["Cost of one seed (single-task"] == [
        ["single-task", "2.00 M", "4.00", "3 min", "100.0"],
        ["equal", "1.00 M", "2.00", "2 min", "200.0"],
    ]


def test_sweeps_of_other_names_and_a_run_by_hand_are_one_method(tmp_path: Path) -> None:
    plant_comparison(tmp_path, {"alone": ALONE, "equal": {1: JOINT[1]}})
    both = {seed: dict(zip(("classification", "detection"), JOINT[seed], strict=True)) for seed in (2, 3)}
    sweep = ["seed=2", "name=second", "compare=methods", "+case=equal"]
    plant(tmp_path, "again", 2, both[2], overrides=sweep)
    plant(tmp_path, "by_hand", 3, both[3], overrides=["seed=3", "name=third", "weighting=equal"])
    assert compared(tmp_path).paired_seeds("equal") == [1, 2, 3]


def test_only_seeds_with_all_single_task_runs_are_paired(tmp_path: Path) -> None:
    plant_comparison(tmp_path, {"alone": {1: ALONE[1], 2: ALONE[2]}, "equal": JOINT})
    plant(tmp_path, "single-detection", 3, {"detection": 0.1}, finished=False)
    plant(tmp_path, "single-classification", 3, {"classification": 0.8})
    comparison = compared(tmp_path)
    assert comparison.paired_seeds("equal") == [1, 2]
    assert comparison.delta_m("equal").mean == pytest.approx(7.5)
    assert tables.warnings(comparison) == [
        f"Not finished: {tmp_path / 'single-detection/seed3'}.",
        "Missing: detection alone: no run of seed 3.",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"seen": {"classification": 160, "detection": 144}},
            "seed 1: detection has seen 144 images, alone 160",
        ),
        ({"steps": 11}, "seed 1: 11 steps, classification alone 10; seed 1: 11 steps, detection alone 10"),
        ({"seen": {}}, "seed 1: how many images classification has seen is not recorded; seed 1: how many"),
    ],
)
def test_unequal_budgets_give_no_gain(tmp_path: Path, change: dict[str, object], said: str) -> None:
    plant_comparison(tmp_path, {"alone": ALONE, "equal": JOINT})
    plant(tmp_path, "dwa", 1, {"classification": 0.9, "detection": 0.9}, **change)
    comparison = compared(tmp_path)
    assert any(f"Unequal budgets, so no gains for dwa: {said}" in line for line in tables.warnings(comparison))
    assert math.isnan(comparison.delta_m("dwa").mean)
    assert comparison.delta_m("equal").mean == pytest.approx(35 / 6)
    rows = {row[0]: row[1:] for row in tables.answer(comparison).rows}
    assert rows["dwa"] == ["-", "-", "unequal budgets"]


def test_differences_in_settings_data_and_code_are_flagged(tmp_path: Path) -> None:
    plant_comparison(tmp_path, {"alone": ALONE, "equal": JOINT})
    plant(tmp_path, "dwa", 1, {"classification": 0.9, "detection": 0.9}, config={"optimizer": {"lr": 0.2}}, git="def")
    found = tables.warnings(compared(tmp_path))
    assert "Settings differ: optimizer.lr: 0.2, 0.1." in found or "Settings differ: optimizer.lr: 0.1, 0.2." in found
    assert any(line.startswith("Differs: revision: ") for line in found)
    assert "Missing: dwa: no run of seed 2, 3." in found
    assert "No interval for dwa: the tests kept no records by image" in "\n".join(found)


def scores(values: list[float], labels: list[int]) -> dict[str, TaskRecords]:
    kept = Scores(np.array(values)[:, None], np.array(labels)[:, None])
    return {"classification": TaskRecords(tuple(f"i{n}" for n in range(len(values))), kept)}


def test_one_seed_is_resampled_by_image(tmp_path: Path) -> None:
    """A better ranking on every sample: the interval lies above 0 and is the percentiles of the paired samples."""
    labels = [1, -1] * 20
    generator = np.random.default_rng(0)
    worse = generator.random(40) + 0.2 * np.array(labels)
    better = worse + 0.5 * (np.array(labels) > 0)
    plant(tmp_path, "single-classification", 1, {"classification": 0.7}, records=scores(list(worse), labels))
    plant(tmp_path, "single-detection", 1, {"detection": 0.5}, records={})
    figures = {"classification": 0.9, "detection": 0.5}
    plant(tmp_path, "equal", 1, figures, records=scores(list(better), labels))
    comparison = compared(tmp_path, resamples=200)
    found = comparison.gain("equal", "classification/map")
    assert found.mean == pytest.approx(100 * 2 / 7)
    draws = np.random.default_rng([0, *b"bootstrap"]).multinomial(40, [1 / 40] * 40, 200)
    order = sorted(range(40), key=lambda n: f"i{n}")  # images are numbered by name
    place = np.argsort(order)
    one, two = (
        scores(list(values), labels)["classification"].records.resampled(draws[:, place])["map"]
        for values in (worse, better)
    )
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(100 * (two - one) / one, [0.025, 0.975])))
    assert found.low > 0
    assert not comparison.delta_m("equal").known, "detection kept no records"
    assert math.isfinite(comparison.delta_m("equal").mean)


def test_a_baseline_of_zero_is_said(tmp_path: Path) -> None:
    plant_comparison(tmp_path, {"alone": {1: (0.5, 0.0), 2: (0.5, 0.1)}, "equal": {1: (0.5, 0.1), 2: (0.5, 0.1)}})
    comparison = compared(tmp_path)
    assert math.isnan(comparison.delta_m("equal").mean)
    assert "No interval for equal: the gain of detection/map_area is undefined" in "\n".join(
        tables.warnings(comparison)
    )


def test_the_files_hold_the_figures_in_full(command: Callable[..., Answer]) -> None:
    plant_comparison(Path("sweep"), {"alone": ALONE, "equal": JOINT})
    status, out, _ = command("vjo-report", "runs=sweep")
    assert status == 0
    assert "+5.83" in out
    rows = list(csv.DictReader(Path("sweep/report.csv").read_text().splitlines()))
    delta = next(row for row in rows if row["metric"] == "delta_m")
    assert (delta["method"], delta["seeds"]) == ("equal", "3")
    assert float(delta["gain"]) == pytest.approx(35 / 6, rel=1e-12)
    detection = next(row for row in rows if (row["method"], row["metric"]) == ("single-task", "map_area"))
    assert float(detection["mean"]) == pytest.approx(0.55 / 3)
    text = Path("sweep/report.md").read_text()
    assert "| equal | +5.83 [-8.51, +20.18] | 3 seeds | no clear difference |" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "runs: missing; vjo-report runs=GLOB needs the folders of runs"),
        ("runs=swep", "runs: found 'swep', which matches nothing. Did you mean 'sweep'?"),
        ("runs=empty", "runs: found 'empty', which leads to no run."),
        ("runs=sweep/*/seed9", "which matches nothing."),
        ("run=sweep", "run: found 'sweep', which holds no .hydra/config.yaml; it must be the folder of a run."),
        ("run=sweep/equal/seed1 runs=sweep", "run: given next to runs; one run's own page is run=DIR"),
        ("rums=sweep", "Key 'rums' is not in the config; did you mean 'runs'?"),
        (
            "runs=sweep interval=image",
            "interval: found 'image' (text); must be one of auto, seeds, images; did you mean",
        ),
        ("runs=sweep level=95", "level: found 95 (a whole number); must be a number > 0 and < 1."),
        (
            "runs=sweep metrics={detektion:map}",
            "metrics.detektion: no run has this task; must be one of class",
        ),
        (
            "runs=sweep metrics={detection:map_area2}",
            "found 'map_area2'; must be one of map_area; did you mean 'map_area'",
        ),
        ("runs=[sweep,copy]", "'equal' with seed 1 is there twice: "),
        ("runs=[sweep,other]", "tested on test=2222, 'other/equal/seed4' on test=3333; figures on different images"),
        ("runs=begun", "runs: none of the 1 runs has finished."),
        ("-m runs=sweep", "-m: vjo-report writes one report"),
    ],
)
def test_mistakes(command: Callable[..., Answer], words: str, message: str) -> None:
    plant_comparison(Path("sweep"), {"alone": {1: ALONE[1]}, "equal": {1: JOINT[1]}})
    plant_comparison(Path("copy"), {"equal": {1: JOINT[1]}})
    plant(Path("other"), "equal", 4, {"classification": 0.1, "detection": 0.1}, data="train=1111 test=3333")
    plant(Path("begun"), "equal", 4, {"classification": 0.1, "detection": 0.1}, finished=False)
    Path("empty").mkdir()
    status, _, err = command("vjo-report", *words.split())
    assert message in err
    assert len(err.splitlines()) == 1
    assert status == 2


def test_the_report_imports_no_torch(tmp_path: Path) -> None:
    plant_comparison(tmp_path, {"alone": ALONE, "equal": JOINT})
    code = (
        "import sys\nfrom vjo_train.cli import commands as cli\ntry:\n    cli.report()\nexcept SystemExit as end:\n"
        "    print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, f"runs={tmp_path}"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
