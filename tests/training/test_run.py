"""Whole runs on a miniature of the drawn shapes: files, exact resume, exact evaluation, several ranks."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_module

from tests.processes import started, torchrun, vjo_train
from vjo_train.config import build, jobs, starting
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.report.examples import FOLDER, read_examples
from vjo_train.runs.records import FILE, read_records
from vjo_train.runs.results import read_results
from vjo_train.training import run
from vjo_train.training.signals import Stopped

SMALL = (
    *("~backbone", "+backbone._target_=tests.tiny.BatchNormBackbone"),
    "neck.channels=16",
    "heads.detection.depth=1",
    "dataset.size=32",
    "dataset.batch_size=4",
    "dataset.workers=0",
    "dataset.generate.image_size=32",
    "dataset.generate.train=14",
    "dataset.generate.val=4",
    "dataset.generate.test=6",
    "trainer.max_epochs=2",
    "trainer.progress=false",
    "trainer.drawn_images=0",
    "trainer.accelerator=cpu",
    "insight=[]",
    "weighting=dwa",
)
TASKS = ("classification", "detection")
PICTURES = ["trainer.drawn_images=4", "insight=[regions]"]
TIMES = ("images_per_second", "data_wait", "seconds")
UNLIKE = {*TIMES, "wall_seconds", "test_seconds", "inference_images_per_second", "config"}
"""In what the results of a resumed run may differ; the config holds `trainer.resume`."""


def config(cache: Path, overrides: Sequence[str] = ()) -> Any:
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        return compose("train", [*SMALL, f"dataset.cache_dir={cache}", *overrides])


def train(cache: Path, output: Path, *overrides: str) -> Path:
    jobs.train(config(cache, overrides), output)
    return output


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return state


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def assert_same_run(a: Path, b: Path) -> None:
    one, two = weights(a), weights(b)
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert rows(a) == rows(b)
    images = [folder / "image_weights.csv" for folder in (a, b)]
    assert len({path.read_text() if path.exists() else None for path in images}) == 1
    results = [vars(read_results(folder / "results.json")) for folder in (a, b)]
    assert {k: v for k, v in results[0].items() if k not in UNLIKE} == {
        k: v for k, v in results[1].items() if k not in UNLIKE
    }


def test_a_run_leaves_its_files_and_is_evaluated_exactly(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path
) -> None:
    folder = undisturbed(*PICTURES)
    assert not (folder / "image_weights.csv").exists()
    results = read_results(folder / "results.json")
    expected = {"test/classification/map_voc07", "test/detection/map_area", "test/detection/map_coco"}
    assert expected <= set(results.metrics)
    assert set(results.per_class["test/detection/ap_area"]) == {"circle", "square", "triangle", "star", "ring", "cross"}
    assert (results.checkpoint, results.epochs, results.steps) == ("checkpoints/best.ckpt", 2, 8)
    found = rows(folder)
    assert [row["epoch"] for row in found] == ["0", "1"]
    assert all(float(row["train/detection/loss"]) > 0 and float(row["val/monitor"]) >= 0 for row in found)
    again = jobs.evaluate(config(cache, PICTURES), tmp_path / "eval", folder / "checkpoints/best.ckpt")
    tested = {name: value for name, value in results.metrics.items() if name.startswith("test/")}
    assert (again.metrics, again.per_class) == (tested, results.per_class)
    # Two epochs of four batches of four images, of which 14 are labelled.
    assert [float(row["train/detection/images"]) for row in found] == [16, 32]
    assert results.training["train/detection/images"] == 32
    assert results.training["train/detection/passes"] == 32 / 14
    counts = {"train": 14, "val": 4, "test": 6}
    assert results.counts == {part: dict.fromkeys(("images", *TASKS), n) for part, n in counts.items()}
    found_examples = read_examples(folder)
    assert [e.image for e in found_examples[:4]] == list(read_records(folder / FILE)["detection"].ids[:4])
    assert {(e.task, e.why) for e in found_examples[4:]} == {(t, w) for t in TASKS for w in ("best", "worst")}
    assert all((folder / FOLDER / e.prediction).is_file() and (folder / FOLDER / e.truth).is_file()
               for e in found_examples)  # fmt: skip
    assert (folder / "report.html").read_text().count("<img ") == 2 * len(found_examples) + 1  # regions.png
    assert (tmp_path / "eval/report.html").is_file()


META = ["weighting=meta", "dataset.meta_fraction=0.2"]
BF16 = ["trainer.precision=bf16-mixed", "heads.detection.levels=[p3,p4,p5]"]
"""Without p6 and p7, convolutions of one cell, whose bfloat16 gradient is not the same from run to run everywhere."""


@pytest.mark.parametrize(
    "extra",
    [
        PICTURES,
        ["schedule=alternating", "trainer.ema=0.9", "dataset.workers=2"],
        ["schedule=proportional", "sharing=hierarchical"],
        ["trainer.max_steps=7"],
        ["trainer.max_steps=7", "dataset.val_split=null"],
        ["weighting=adatask", "trainer.ema=0.9", "trainer.max_steps=7"],
    ],
)
def test_a_run_resumed_after_an_epoch_ends_bit_equal(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path, extra: list[str]
) -> None:
    """Stopped between epochs and started again with `auto`: same weights, rows and results."""
    cut = tmp_path / "cut"
    stop_after(4, cache, cut, *extra)
    train(cache, cut, "trainer.resume=auto", *extra)
    assert_same_run(undisturbed(*extra), cut)


@pytest.mark.parametrize("extra", [[], [*META, "weighting.every=2", "schedule=alternating", *BF16]])
def test_a_run_stopped_inside_an_epoch_goes_on_bit_equal(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path, extra: list[str]
) -> None:
    cut = tmp_path / "cut"
    stop_after(6, cache, cut, *extra)
    train(cache, cut, "trainer.resume=auto", *extra)
    assert_same_run(undisturbed(*extra), cut)


def test_a_run_stopped_in_a_validation_and_in_the_test_goes_on_bit_equal(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Terminate(pl.Callback):
        def on_validation_start(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.current_epoch == 0:
                os.kill(os.getpid(), signal.SIGTERM)

        def on_test_start(self, *_: Any) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    cut = tmp_path / "cut"
    for told in ("Stopped; ", "Stopped at once (SIGTERM); "):
        job = build.job(config(cache, ["trainer.resume=auto"]), cut)
        job.callbacks.append(Terminate())
        with pytest.raises(Stopped):
            run.train(job)
        assert f"{told}the same command with hydra.run.dir='{cut}' trainer.resume=auto goes on" in caplog.text
    train(cache, cut, "trainer.resume=auto")
    assert_same_run(undisturbed(), cut)


def test_a_finished_run_that_is_started_again_keeps_its_results(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path
) -> None:
    """Its last epoch was cut short by `max_steps`; `results.json` was lost."""
    once = undisturbed("trainer.max_steps=7", "dataset.val_split=null")
    again = shutil.copytree(once, tmp_path / "again")
    (again / "results.json").unlink()
    train(cache, again, "trainer.max_steps=7", "dataset.val_split=null", "trainer.resume=auto")
    assert read_results(once / "results.json").epochs == 2
    assert_same_run(once, again)


@pytest.mark.parametrize(("steps", "said"), [("3", "Of 3 steps none was validated"), ("6", "the last 2 were not")])
def test_steps_that_no_validation_has_seen_are_told(
    steps: str, said: str, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(cache, tmp_path / "run", f"trainer.max_steps={steps}")
    assert said in caplog.text


def test_a_new_run_in_the_folder_of_a_finished_one_is_not_taken_for_finished(
    cache: Path,
    undisturbed: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = ["trainer.max_steps=7", "dataset.val_split=null"]
    again = shutil.copytree(undisturbed(*settings), tmp_path / "again")
    train(cache, again, *settings, "trainer.resume=auto")
    assert "Nothing was left to train" in caplog.text

    def stopped(*_: object) -> None:
        raise Stopped(130)

    monkeypatch.setattr(run, "_test", stopped)
    with pytest.raises(Stopped):
        train(cache, again, *settings, "seed=5")
    assert "holds a finished run, which this one replaces" in caplog.text
    assert not (again / "results.json").exists()


def test_a_run_tells_what_each_image_counted_and_its_checkpoint_is_evaluated(cache: Path, tmp_path: Path) -> None:
    common = [*META, "weighting.lr=0.01", "trainer.accumulate_grad_batches=2"]
    folder = train(cache, tmp_path / "run", *common)
    with (folder / "image_weights.csv").open() as file:
        table = list(csv.DictReader(file))
    by_task = {task: [row for row in table if row["task"] == task] for task in ("classification", "detection")}
    for found in by_task.values():
        values = [float(row["weight"]) for row in found]
        assert 8 < len({row["image"] for row in found}) == len(found) <= 11  # of 14, 3 are held out
        assert values == sorted(values)
    both = [{row["image"]: float(row["weight"]) for row in found} for found in by_task.values()]
    assert all(a + both[1][image] == pytest.approx(2, abs=1e-5) for image, a in both[0].items())
    last = rows(folder)[-1]
    assert float(last["train/weighting/spread/detection"]) > 0
    assert float(last["train/classification/weight"]) + float(last["train/detection/weight"]) == pytest.approx(2)
    again = jobs.evaluate(config(cache, common), tmp_path / "eval", folder / "checkpoints/best.ckpt")
    assert again.metrics.items() <= read_results(folder / "results.json").metrics.items()


def stop_after(batches: int, cache: Path, output: Path, *overrides: str) -> None:
    """A run that gets SIGTERM in its `batches`-th batch."""

    class Terminate(pl.Callback):
        seen = 0

        def on_train_batch_start(self, *_: Any) -> None:
            self.seen += 1
            if self.seen == batches:
                os.kill(os.getpid(), signal.SIGTERM)

    cfg = config(cache, overrides)
    job = build.job(cfg, output)
    starting.begin(job, cfg)
    job.callbacks.append(Terminate())
    with pytest.raises(Stopped):
        run.train(job)


def test_ctrl_c_saves_although_it_reaches_the_workers_too(cache: Path, tmp_path: Path) -> None:
    folder, said = tmp_path / "run", tmp_path / "said"
    os.mkfifo(said)
    arguments = [*SMALL, "dataset.workers=2", "trainer.max_epochs=1000", "trainer.progress=true"]
    places = [f"dataset.cache_dir={cache}", f"hydra.run.dir={folder}"]
    with started(vjo_train, [*arguments, *places], said) as process:
        with said.open() as lines:
            next(line for line in lines if line.startswith("epoch 2/"))
            os.killpg(process.pid or 0, signal.SIGINT)
            rest = lines.read()
        process.join()
    assert process.exitcode == 130
    assert f"hydra.run.dir='{folder}' trainer.resume=auto goes on from here" in rest
    assert "Traceback" not in rest


def test_a_weighting_that_learns_from_held_out_images_needs_some(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset.meta_fraction: found 0, but this weighting"):
        train(cache, tmp_path, "weighting=autolambda")
    one = [word for word in SMALL if "detection" not in word] + ["heads=[classification]", "weighting=autolambda"]
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        build.job(compose("train", [*one, f"dataset.cache_dir={cache}"]), tmp_path)  # nothing to learn with one task


def test_early_stopping_without_validation_is_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer.early_stopping needs a validation split"):
        train(cache, tmp_path, "trainer.early_stopping=2", "dataset.val_split=null")


def test_a_checkpoint_of_another_network_is_named(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path
) -> None:
    last = undisturbed() / "checkpoints/last.ckpt"
    with pytest.raises(CheckpointError, match=r"another network: sharing\.neck\..* \(and \d+ more"):
        jobs.evaluate(config(cache, ["neck.channels=32"]), tmp_path, last)


FEW = ["dataset.generate.val=1", "dataset.generate.test=1"]
HELPED = ["heads=[classification,detection,rotation,masked]", "heads.masked.patch=8", "heads.masked.width=16"]
SHAPES, ROOMS = "circle,square,triangle,star,ring,cross", "wall,floor,ceiling,corridor"
SPACE = [
    *("dataset=scenes", f"dataset.classes=[{SHAPES},{ROOMS}]", "neck.finest=p2", *FEW),
    "heads=[category,classification,detection,instance,keypoints,depth,normals]",
    *(f"++heads.category.classes=[{ROOMS}]", "heads.category.dropout=0"),
    *(f"++heads.{task}.classes=[{SHAPES}]" for task in ("classification", "detection", "instance", "keypoints")),
    *(f"heads.{task}.{word}" for task in ("instance", "keypoints") for word in ("hidden=16", "proposals=20")),
    *(
        "heads.keypoints.points=4",
        "heads.keypoints.point_depth=1",
        "heads.keypoints.point_width=16",
        "heads.instance.mask_depth=1",
    ),
]
"""Depth, normals, key points and single-label classes."""


@pytest.mark.parametrize(
    "weighting",
    [["weighting=pcgrad", *FEW], META, HELPED, SPACE],
    ids=["pcgrad", "meta", "self-supervised", "in space"],
)
def test_two_ranks_are_one_process(cache: Path, tmp_path: Path, weighting: list[str]) -> None:
    """The same global batches by one process and by two; without BatchNorm, which looks at a rank's own images.

    With a single image to validate and to test, the second rank has none. Two steps: the rounding of sums in another
    order, 3e-8 after one step, grows with every further one.
    """
    exact = ["trainer.precision=32-true", "heads.classification.dropout=0"]
    common = ["backbone._target_=tests.tiny.TinyBackbone", "trainer.max_steps=2", *exact, *weighting]
    one = train(cache, tmp_path / "one", *common)
    place = [f"dataset.cache_dir={cache}", f"hydra.run.dir={tmp_path / 'two'}"]
    with started(torchrun, [*SMALL, *common, *place, "trainer.devices=2"], tmp_path / "said") as agent:
        agent.join(300)
    assert agent.exitcode == 0, [path.read_text()[-3000:] for path in tmp_path.glob("said.*")]
    a, b = weights(one), weights(tmp_path / "two")
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], atol=2e-5, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
    results = [read_results(folder / "results.json") for folder in (one, tmp_path / "two")]
    seen = [found.training["train/detection/images"] for found in results]
    assert seen[0] == seen[1] > 0
    assert results[0].metrics == pytest.approx(results[1].metrics, abs=1e-3, nan_ok=True)
    assert rows(one)[0].keys() == rows(tmp_path / "two")[0].keys()
