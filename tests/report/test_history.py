"""`metrics.csv`, throughput and progress, with a real trainer on a network of one weight."""

import io
import re

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from rich.console import Console
from torch.utils.data import DataLoader

from vjo_train.errors import CheckpointError
from vjo_train.report.history import History
from vjo_train.report.progress import Progress, clock_text
from vjo_train.report.throughput import Throughput
from vjo_train.runs.epochs import LAST, columns, read_history, rows_before
from vjo_train.training.step_log import StepLog
from vjo_train.types import Batch

pytestmark = pytest.mark.filterwarnings("ignore")


class Clock:
    """Time passes each time it is asked, one second by default."""

    def __init__(self):
        self.now, self.step = 0.0, 1.0

    def __call__(self):
        self.now += self.step
        return self.now


class Net(StepLog):
    """Two tasks; task b is on in even epochs only."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, batch_idx):
        loss = (self.weight * batch.images.float().mean()).square().sum()
        self.log("train/a/loss", loss, on_step=True, on_epoch=True, batch_size=len(batch))
        self.log("train/a/weight", 1.0, on_step=True, on_epoch=True, batch_size=1)
        if self.current_epoch % 2 == 0:
            self.log("train/b/loss", 2 * loss, on_step=True, on_epoch=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/a/loss", self.weight.sum() + batch_idx, batch_size=len(batch))

    def on_validation_epoch_end(self):
        self.log("val/monitor", self.weight.sum())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def batch(k, size=2):
    images = torch.full((size, 3, 2, 2), k + 1, dtype=torch.uint8)
    return Batch(images, [], [str(i) for i in range(size)], torch.ones(size), ("a",))


def fit(folder, epochs, resume=None, callbacks=(), **options):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    speed = Throughput(Clock())
    data = DataLoader([batch(0), batch(1), batch(2, size=1)], batch_size=None)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=bool(callbacks),
        check_val_every_n_epoch=2,
        callbacks=[
            speed,
            History(folder / "metrics.csv", speed),
            *(callback(speed) for callback in callbacks),
            ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_last=True),
        ],
        **options,
    )
    trainer.fit(Net(), data, data, ckpt_path=resume)
    return trainer, speed


def without_times(path):
    return [{k: v for k, v in row.items() if k not in LAST} for row in read_history(path)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    fit(folder, 4)
    return folder


def test_a_row_per_epoch_with_times_last(whole):
    header = (whole / "metrics.csv").read_text().splitlines()[0].split(",")
    assert header == [
        "epoch", "step", "train/lr", "train/a/loss", "train/a/weight", "train/b/loss",
        "val/a/loss", "val/monitor", "images_per_second", "data_wait", "seconds",
    ]  # fmt: skip
    rows = read_history(whole / "metrics.csv")
    assert [(row["epoch"], row["step"]) for row in rows] == [("0", "3"), ("1", "6"), ("2", "9"), ("3", "12")]
    assert rows[0]["train/lr"] == "0.01"


def test_cells_are_empty_where_an_epoch_has_no_such_figure(whole):
    rows = read_history(whole / "metrics.csv")
    assert ["train/b/loss" in row for row in rows] == [True, False, True, False]
    assert ["val/monitor" in row for row in rows] == [False, True, False, True]
    assert all(float(row["train/b/loss"]) == pytest.approx(2 * float(row["train/a/loss"])) for row in rows[::2])


def test_a_resumed_run_ends_with_the_same_rows(whole, tmp_path):
    fit(tmp_path, 3)
    # Stopped in epoch 2 after its row was written, but only epoch 1's checkpoint is there to go on from.
    fit(tmp_path, 4, resume=tmp_path / "epoch=1.ckpt")
    assert without_times(tmp_path / "metrics.csv") == without_times(whole / "metrics.csv")


def test_a_fresh_run_starts_a_fresh_file(whole, tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,old\n0,1\n7,2\n")
    fit(tmp_path, 1)
    rows = read_history(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["0"]
    assert "old" not in rows[0]


def test_a_strange_file_is_refused_on_resume(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step\n0,1\nx,2\n")
    with pytest.raises(CheckpointError, match=r"metrics\.csv, line 3"):
        read_history(path)
    path.write_text("epoch,step\n0,1\n1,2\n10,3\n")
    assert [row["step"] for row in rows_before(read_history(path), 10)] == ["1", "2"]


def test_the_order_of_columns_does_not_depend_on_who_came_first():
    names = ["val/a/map", "train/b/loss", "train/a/loss", "gradients/cosine"]
    expected = ["train/a/loss", "train/b/loss", "val/a/map", "gradients/cosine"]
    assert columns(names)[3:-3] == columns(reversed(names))[3:-3] == expected


def test_throughput_counts_images_and_waiting(tmp_path):
    _, speed = fit(tmp_path, 2)
    assert speed.run.images == 10
    assert speed.epoch.images == 5
    # Each step: one tick until it starts, one until it ends.
    assert speed.epoch.data_wait == pytest.approx(0.5)
    assert speed.epoch.images_per_second == pytest.approx(5 / 6)
    before = speed.run.seconds
    assert before == pytest.approx(12)
    _, speed = fit(tmp_path, 3, resume=tmp_path / "last.ckpt")
    assert speed.run.images == 15
    assert speed.run.seconds == pytest.approx(18)
    assert speed.wall_seconds == speed.wall_seconds  # stands still once training is over


def test_a_line_per_epoch_where_there_is_no_terminal(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    fit(tmp_path, 2, callbacks=[lambda speed: Progress(["a", "b"], speed, console, Clock())])
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert re.match(r"epoch 1/2 · a \S+ x1\.00 · b \S+ · lr 1\.00e-02 · 0\.8 images/s · data wait 50% · \d+s", lines[0])
    assert "val 0" in lines[1]


def test_a_log_file_is_not_silent_for_minutes(tmp_path):
    """A step of half a minute is asked for the time at least once."""
    console, clock = Console(file=io.StringIO(), width=80), Clock()
    clock.step = 40.0
    fit(tmp_path, 1, callbacks=[lambda speed: Progress(["a", "b"], speed, console, clock)])
    lines = console.file.getvalue().splitlines()
    assert any(re.match(r"epoch 1/1, [23] of 3 batches, \S+ images/s", line) for line in lines)
    assert lines[-1].startswith("epoch 1/1 · a")


def test_the_live_display_shows_tasks_and_speed_and_vanishes(tmp_path):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    fit(tmp_path, 2, callbacks=[lambda speed: Progress(["a", "b"], speed, console, Clock())])
    text = console.file.getvalue()
    for piece in ("epoch 1/2", "1/3", "images/s", "data wait 50%", "loss", "weight 1.00", "weight -", "validation"):
        assert piece in text
    assert text.count("epoch 2/2 ·") == 1
    assert text.rstrip().endswith("\x1b[2K") or "\x1b[?25h" in text  # cursor and screen are given back


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "3s"), (187, "3:07"), (3723, "1:02:03")])
def test_durations(seconds, text):
    assert clock_text(seconds) == text
