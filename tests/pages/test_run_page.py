"""The page of a run: what it shows, that names cannot break it, and what it says of a run that did not finish."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pages.markup import Page
from tests.pages.planted import CLASSES, HOSTILE, furnish
from vjo_train.errors import CheckpointError
from vjo_train.pages.folder import RunFolder, parse_log
from vjo_train.pages.run import write_run_page
from vjo_train.runs.results import read_results, write_results
from vjo_train.runs.run_folder import RESULTS

Answer = tuple[int, str, str]
FIGURES = {"classification": 0.6123, "detection": 0.4321}


def anchors(page: Page) -> set[str]:
    return set(page.ids)


def test_the_page_of_a_finished_run_shows_all_and_fetches_nothing(tmp_path: Path) -> None:
    run = furnish(tmp_path, "dwa", 1, FIGURES)
    page = Page(write_run_page(run))
    page.assert_self_contained()
    assert anchors(page) == {
        *(
            "test-figures",
            "what-each-task-got",
            "learning-curves",
            "task-weights",
            "conflict",
            "affinity",
            "results-by-class",
        ),
        *("precision-and-recall", "calibration", "pictures", "regions", "config", "audit"),
    }
    for text in ("0.6123", "map_area *", "1.00 M", "EPYC", "train: 1111", "revision abc", "seed=1", "lr: 0.1"):
        assert text in page.text
    assert all(name in page.text for name in CLASSES)
    assert page.tags.count("img") == 11, "of twelve pictures two are gone; the sheet of regions"
    assert "the picture is not there any more" in page.text


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    page = Page(write_run_page(furnish(tmp_path, "dwa", 1, FIGURES)))
    assert "<script" not in page.source
    assert page.text.count(HOSTILE) > 10
    assert "&amp;cat" in page.text, "escaped once, not twice"


def test_control_characters_do_not_spoil_the_charts(tmp_path: Path) -> None:
    run = furnish(tmp_path, "dwa", 1, FIGURES)
    file = run / "results.json"
    file.write_text(file.read_text().replace('"dog"', '"do\\u0000\\u001bg\\ud800"'))
    page = Page(write_run_page(run))
    assert "\x00" not in page.source
    assert "\x1b" not in page.source


def test_what_is_not_labelled_and_every_warning_are_told(tmp_path: Path) -> None:
    run = furnish(tmp_path, "dwa", 1, FIGURES)
    (message,) = RunFolder(run).messages
    assert (message.level, message.source, message.times) == ("WARNING", "py.warnings", 2)
    assert message.text == f"a.py:1: UserWarning: {HOSTILE}\n  warn()"
    page = Page(write_run_page(run))
    assert "The run gave 1 warning; see Audit." in page.text
    table = page.text[page.text.index("not for detection") :]
    assert table.split()[:9] == ["not", "for", "detection", "train", "16", "16", "9", "0", "7"]


def test_a_log_is_read_with_what_follows_its_records() -> None:
    text = "x\n2026-01-31 12:00:00,1 ERROR a.b: one\n\ntwo\n2026-01-31 12:00:00,1 DEBUG a: three\nfour\n"
    assert [(m.level, m.source, m.text) for m in parse_log(text)] == [("ERROR", "a.b", "one\n\ntwo")]


def test_a_reference_says_what_each_task_has_gained(tmp_path: Path) -> None:
    reference = {"classification/map": 0.6, "detection/map_area": 0.5}
    run = furnish(tmp_path, "dwa", 1, FIGURES, reference=reference)
    text = Page(write_run_page(run)).text
    assert "classification: +2.0 %, it gains. (map 0.612, alone 0.600)" in text
    assert "detection: -13.6 %, it loses. It got 10% of the shared gradient" in text
    worse = furnish(tmp_path, "rlw", 1, FIGURES, reference={"classification/loss": 0.5, "detection/map_area": 0.5})
    results = read_results(worse / RESULTS)
    write_results(worse / RESULTS, replace(results, metrics=results.metrics | {"test/classification/loss": 0.6}))
    assert "classification: -20.0 %, it loses." in Page(write_run_page(worse)).text


def test_the_page_of_a_stopped_run_says_what_is_missing(command: Callable[..., Answer]) -> None:
    run = furnish(Path("runs"), "dwa", 1, FIGURES, finished=False)
    (run / "checkpoints").mkdir()
    (run / "checkpoints/last.ckpt").touch()
    status, out, _ = command("vjo-report", f"run={run}")
    assert (status, out.split()) == (0, ["Report:", f"{run}/report.html"])
    page = Page(run / "report.html")
    page.assert_self_contained()
    assert "This run is not finished; a checkpoint is there: trainer.resume=auto goes on from it;" in page.text
    assert "no results.json, so there are no test figures." in page.text
    assert anchors(page) == {
        *("what-each-task-got", "learning-curves", "task-weights", "conflict", "affinity", "pictures", "regions"),
        *("config", "audit"),
    }
    for file in (
        *("metrics.csv", "train.log", "test_records.npz", "checkpoints/last.ckpt"),
        *("affinity.csv", "regions.png"),
    ):
        (run / file).unlink()
    shutil.rmtree(run / "examples")
    assert command("vjo-report", f"run={run}", "output=elsewhere")[0] == 0
    page = Page(Path("elsewhere/report.html"))
    assert "without a checkpoint to go on from" in page.text
    assert "no metrics.csv, so no epoch has ended" in page.text
    assert anchors(page) == {"config", "audit"}


def test_a_run_of_one_task_without_records_has_a_page(tmp_path: Path) -> None:
    run = furnish(tmp_path, "single-detection", 1, {"detection": 0.4})
    (run / "test_records.npz").unlink()
    page = Page(write_run_page(run))
    assert {"task-weights", "conflict"} & anchors(page) == set()
    assert "The test kept no records by image" in page.text


def test_what_the_tasks_do_for_one_another_is_coloured_by_its_sign(tmp_path: Path) -> None:
    run = furnish(tmp_path, "dwa", 1, FIGURES)
    page = Page(write_run_page(run))
    table = page.text[page.text.index("a step of for classification") :]
    assert table.split()[7:13] == ["classification", "+30", "−1", "detection", "+2", "+30"]
    assert page.source.count('class="shade') == 2, "not what a task does for itself"
    assert '<td class="shade gain" style="--share: 45%">+2</td>' in page.source
    assert '<td class="shade loss" style="--share: 22%">−1</td>' in page.source
    assert "epoch 3: 4<" in page.source.replace("</title>", "<"), "the curve, in percent"
    (run / "affinity.csv").write_text("step,source,target,affinity\n")
    assert "Nothing was measured" in Page(write_run_page(run)).text


def test_the_sheet_of_regions_is_whole_and_says_how_it_was_made(tmp_path: Path) -> None:
    page = Page(write_run_page(furnish(tmp_path, "dwa", 1, FIGURES)))
    assert 'class="picture wide"' in page.source
    assert "one HiResCAM map per task" in page.text


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.csv", "epoch,train/detection/loss\n0,much\n"),
        ("affinity.csv", "step,source,target\n0,a,b\n"),
        ("examples/index.json", "{}"),
        ("results.json", "[]"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, content: str) -> None:
    run = furnish(tmp_path, "dwa", 1, FIGURES)
    (run / file).write_text(content)
    with pytest.raises(CheckpointError, match=file.replace("/", "[/]")):
        write_run_page(run)


def test_an_output_that_is_a_file_is_refused_in_a_line(command: Callable[..., Answer]) -> None:
    run = furnish(Path("runs"), "dwa", 1, FIGURES)
    Path("taken").touch()
    status, _, err = command("vjo-report", f"run={run}", "output=taken")
    assert (status, len(err.splitlines())) == (2, 1)
    assert err.startswith("vjo-report: error: The report cannot be written: ")


def test_a_report_that_cannot_be_written_leaves_the_run_finished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from vjo_train.training import run as running

    folder = furnish(tmp_path, "dwa", 1, FIGURES)
    (folder / "metrics.csv").write_text("epoch\nfirst\n")
    with caplog.at_level(logging.INFO, "vjo_train"):
        running._report(folder)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert f"vjo-report run='{folder}' tries again" in record.getMessage()
    assert record.exc_info is not None
