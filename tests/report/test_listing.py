"""`vjo-report runs=... sort=...`: which runs are listed, in which order, and what is said of each."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.comparison.planted import plant
from tests.conftest import Answer
from vjo_train.errors import ConfigError
from vjo_train.files import LOCK
from vjo_train.report.listing import Listing, list_runs, terminal
from vjo_train.runs.conditions import read_conditions
from vjo_train.runs.directions import best, higher_is_better
from vjo_train.runs.finding import find_folders

HISTORY = "epoch,step,val/monitor,val/depth/abs_rel\n0,5,0.2,0.4\n1,10,0.6,0.1\n2,15,0.5,0.3\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three finished runs, one that failed, one that was stopped, and one whose results are half a file."""
    folder = tmp_path_factory.mktemp("runs")
    for case, seed, value, error in (("equal", 1, 0.3, 0.2), ("adatask", 1, 0.5, 0.3), ("adatask", 2, 0.4, 0.1)):
        place = plant(
            folder / f"2026-01-0{seed}_12-00-00", case, seed, {"classification": 0.9, "detection": value}, config={
                "weighting": {"_target_": f"vjo_train.weighting.{case}.Some"}, "trainer": {"max_epochs": 10 * seed}},
        )  # fmt: skip
        results = json.loads((place / "results.json").read_text())
        results["metrics"]["test/depth/abs_rel"] = error
        (place / "results.json").write_text(json.dumps(results))
        (place / "metrics.csv").write_text(HISTORY)
    failed = plant(folder, "equal", 7, {"detection": 0.0}, finished=False)
    (failed / "train.log").write_text(
        "2026-01-01 10:00:00,000 INFO vjo_train: Training.\n2026-01-01 10:00:01,000 ERROR vjo_train: no such class.\n"
    )
    stopped = plant(folder, "equal", 8, {"detection": 0.0}, finished=False)
    (stopped / "train.log").write_text(
        "2026-01-01 10:00:00,000 WARNING vjo_train: Stopped; the same command goes on.\n"
    )
    plant(folder, "equal", 9, {"detection": 0.1})
    (folder / "equal" / "seed9" / "results.json").write_text('{"format": 1, "metr')
    return folder


def names(listing: Listing) -> list[str]:
    return ["/".join(run.folder.parts[-2:]) for run in listing.runs]


def listed(runs: Path, sort: str, *where: str, top: int | None = None) -> list[str]:
    return names(list_runs(find_folders([str(runs)]), sort, where, top))


def test_the_best_come_first_whichever_way_is_better(runs: Path) -> None:
    by_map = listed(runs, "test/detection/map_area")
    assert by_map[:3] == ["adatask/seed1", "adatask/seed2", "equal/seed1"]
    assert set(by_map[3:]) == {"equal/seed7", "equal/seed8"}, "those without the figure come last"
    assert listed(runs, "depth/abs_rel", top=2) == ["adatask/seed2", "equal/seed1"], "an error is better when low"
    assert listed(runs, "date", "state=finished")[0] == "adatask/seed2", "the newest first"


def test_figures_of_val_are_those_of_the_best_epoch(runs: Path) -> None:
    (run, *_) = list_runs(find_folders([str(runs)]), "val/depth/abs_rel").runs
    assert best(run.history("val/depth/abs_rel"), higher_is_better("val/depth/abs_rel")) == 0.1
    assert best(run.history("val/monitor"), higher_is_better("val/monitor")) == 0.6


@pytest.mark.parametrize(
    ("where", "count"),
    [
        (["weighting=adatask"], 2),
        (["weighting=adatask", "seed=2"], 1),
        (["weighting=adatask detection/map_area>0.45"], 1),
        (["[weighting=adatask,seed!=2]"], 1),
        (["detection/map_area >= 0.4"], 2),
        (["trainer.max_epochs=20"], 1),
        (["trainer.max_epochs<=10"], 2),
        (["state=failed"], 1),
        (["state!=finished"], 2),
        (["case=ada*"], 2),
        (["tasks=detection"], 5),
        (["date=2026-01-02*"], 1),
        (["folder=*equal*"], 3),
    ],
)
def test_conditions(runs: Path, where: list[str], count: int) -> None:
    assert len(listed(runs, "name", *where)) == count


def test_what_is_said_of_runs_without_results(runs: Path) -> None:
    found = {"/".join(run.folder.parts[-2:]): run for run in list_runs(find_folders([str(runs)])).runs}
    failed, stopped = found["equal/seed7"], found["equal/seed8"]
    assert (failed.state, failed.reason) == ("failed", "no such class.")
    assert stopped.state == "interrupted"
    assert found["adatask/seed2"].date == datetime(2026, 1, 2, 12)


def test_a_run_whose_folder_a_process_holds_is_running(tmp_path: Path) -> None:
    place = plant(tmp_path, "equal", 1, {"detection": 0.0}, finished=False)
    hold = f"import fcntl, sys; f = open({str(place / LOCK)!r}, 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", hold + "; sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert list_runs([place]).runs[0].state == "running"
        other.communicate()
    assert list_runs([place]).runs[0].state == "interrupted"


def test_mistakes_name_what_is_near(runs: Path) -> None:
    (runs.parent / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"found '.*empty', which leads to no run\.(?! Did you mean 'empty')"):
        find_folders([str(runs.parent / "empty")])
    assert find_folders([str(runs.parent / "empty"), str(runs)]) == find_folders([str(runs)])
    with pytest.raises(ConfigError, match=r"sort: found 'detection/map_are'.*did you mean 'detection/map_area'"):
        listed(runs, "detection/map_are")
    with pytest.raises(ConfigError, match=r"where: found 'weightin'.*did you mean 'weighting'"):
        listed(runs, "date", "weightin=equal")
    with pytest.raises(ConfigError, match=r"where: found 'seed'; must be <key><sign><value>"):
        read_conditions(["seed"])
    with pytest.raises(ConfigError, match=r"after > there must be a number"):
        read_conditions(["seed>many"])


@pytest.mark.parametrize("width", [40, 80, 300])
def test_no_terminal_is_too_narrow(runs: Path, width: int) -> None:
    from rich.console import Console

    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal(list_runs(find_folders([str(runs)]), "detection/map_area"), width))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert text.count("0.5000") == 1
    assert "case=adatask" in text or "adatask │" in text


def test_the_command_lists_as_text_json_and_csv(runs: Path, command: Callable[..., Answer]) -> None:
    words = (f"runs={runs}", "sort=detection/map_area")
    status, out, err = command("vjo-report", *words, "where=weighting=adatask", "where=detection/map_area>0.1", "top=1")
    assert (status, out.splitlines()[-1]) == (0, "1 of 2 runs")
    assert "adatask" in out
    assert "Skipped 1, which cannot be read: " in err
    assert "seed9 (JSONDecodeError" in err
    assert len(err.splitlines()) == 1
    _, out, _ = command("vjo-report", *words, "format=json")
    assert [row["sorted_by"] for row in json.loads(out)] == [0.5, 0.4, 0.3, None, None]
    _, out, _ = command("vjo-report", *words, "format=csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["test/detection/map_area"] for row in rows] == ["0.5", "0.4", "0.3", "", ""]
    assert not list(runs.glob("report.*")), "a list writes nothing"


def test_keys_of_a_list_are_for_lists(runs: Path, command: Callable[..., Answer]) -> None:
    status, _, err = command("vjo-report", f"run={runs}", "top=3")
    assert (status, "top: is for lists of runs; give it with runs=GLOB, not run=" in err) == (2, True)
    status, _, err = command("vjo-report", f"runs={runs}", "sort=date", "output=here")
    assert (status, "add > FILE" in err) == (2, True)
