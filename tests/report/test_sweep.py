import csv
import io

from rich.console import Console

from vjo_train.report.sweep import find_runs, read_sweep, split_overrides, sweep_table, write_sweep
from vjo_train.runs.results import Results, write_results

MONITORS = ["test/classification/map", "test/detection/map_area"]


def make_run(folder, overrides, values, seed=1):
    results = Results(
        metrics={**dict(zip(MONITORS, values, strict=True)), "test/detection/map_coco": 0.25},
        per_class={},
        monitors=MONITORS,
        config={},
        overrides=overrides,
        seed=seed,
        versions={},
        git=None,
        device={},
        precision="32-true",
        data="",
        checkpoint=None,
        epochs=1,
        steps=1,
        wall_seconds=12.4,
        images_per_second=33.3,
    )
    write_results(folder / "results.json", results)


def make_sweep(root):
    jobs = [(seed, w) for w in ("equal", "dwa") for seed in (1, 2)]
    for number, (seed, weighting) in enumerate(jobs):
        overrides = [f"seed={seed}", f"weighting={weighting}", "trainer.max_epochs=1"]
        make_run(root / str(number), overrides, [0.5 + 0.1 * seed, 0.25 if weighting == "dwa" else 0.75], seed)
    return find_runs(root)


def test_columns_are_the_overrides_that_differ(tmp_path):
    sweep = read_sweep(make_sweep(tmp_path))
    assert sweep.keys == ["seed", "weighting"]
    assert sweep.metrics == MONITORS
    assert sweep.rows()[2] == ["2", "1", "dwa", "0.6000", "0.2500", "33.3", "12"]


def test_seeds_are_averaged(tmp_path):
    header, rows = read_sweep(make_sweep(tmp_path)).over_seeds()
    assert header == ["weighting", "seeds", *MONITORS]
    # 0.6 and 0.7: the sample deviation is 0.1 / sqrt(2).
    assert rows[0] == ["equal", "2", "0.6500 ± 0.0707", "0.7500 ± 0.0000"]
    assert [row[0] for row in rows] == ["equal", "dwa"]


def test_the_table_has_every_run_in_80_columns(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    console.print(sweep_table(make_sweep(tmp_path)))
    text = console.file.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 80
    for piece in ("weighting", "dwa", "equal", "0.7000", "0.6500 ± 0.0707"):
        assert piece in text


def test_files_hold_the_same_figures(tmp_path):
    runs = make_sweep(tmp_path)
    write_sweep(tmp_path, runs)
    markdown = (tmp_path / "summary.md").read_text()
    assert "| 2 | 1 | dwa | 0.6000 | 0.2500 | 33.3 | 12 |" in markdown
    assert "| equal | 2 | 0.6500 ± 0.0707 | 0.7500 ± 0.0000 |" in markdown
    rows = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert [row["seed"] for row in rows] == ["1", "2", "1", "2"]
    assert float(rows[1]["test/classification/map"]) == 0.7
    assert rows[0]["test/detection/map_coco"] == "0.25"
    assert find_runs(tmp_path) == runs


def test_an_unfinished_run_is_shown_as_such(tmp_path):
    make_sweep(tmp_path)
    hydra = tmp_path / "10" / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "overrides.yaml").write_text("- seed=3\n- weighting=dwa\n- trainer.max_epochs=1\n")
    runs = find_runs(tmp_path)
    assert [run.name for run in runs] == ["0", "1", "2", "3", "10"]
    sweep = read_sweep(runs)
    assert sweep.unfinished == ["10"]
    assert sweep.rows()[-1] == ["10", "3", "dwa", "-", "-", "-", "-"]
    assert sweep.over_seeds()[1][1][1] == "2"
    write_sweep(tmp_path, runs)
    assert "Not finished: 10" in (tmp_path / "summary.md").read_text()


def test_runs_of_several_cases_are_told_apart_by_their_folders(tmp_path):
    for case in ("equal", "single-detection"):
        (tmp_path / case / "seed1" / ".hydra").mkdir(parents=True)
    assert read_sweep(find_runs(tmp_path)).unfinished == ["equal/seed1", "single-detection/seed1"]


def test_overrides_are_split_at_the_first_equals_sign():
    given = ["seed=1", "+a.b=c=d", "~logger", "++x=", "dataset.classes=[a,b]"]
    assert split_overrides(given) == {
        "seed": "1", "a.b": "c=d", "logger": "deleted", "x": "", "dataset.classes": "[a,b]"
    }  # fmt: skip
