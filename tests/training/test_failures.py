"""What brings a run down, and what is said of it: numbers, memory, disks, processes, signals."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tests.processes import run_ranks
from tests.test_files import HOLD
from tests.training.test_run import SMALL, assert_same_run, config, train
from vjo_train.cli import answer
from vjo_train.config import build
from vjo_train.errors import DataError, NumericsError, ResourceError
from vjo_train.training import run
from vjo_train.training.failures import explained
from vjo_train.training.signals import Stopped

Answer = tuple[int, str, str]


class At(pl.Callback):
    """Does something when the given batches of training begin, counted from 1."""

    def __init__(self, batches: Sequence[int], do: Callable[[pl.LightningModule], None]) -> None:
        self.batches, self.do, self.seen = list(batches), do, 0

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        self.seen += 1
        if self.seen in self.batches:
            self.do(module)


def struck(cache: Path, output: Path, *overrides: str, at: At) -> run.Job:
    job = build.job(config(cache, overrides), output)
    job.callbacks.append(at)
    return job


def told(error: Exception, tmp_path: Path) -> str:
    with pytest.raises(ResourceError) as found, explained(None, tmp_path):  # type: ignore[arg-type]
        raise error
    return str(found.value)


def test_out_of_memory_names_what_to_lower(tmp_path: Path) -> None:
    with pytest.raises(ResourceError) as found, explained(None, tmp_path):  # type: ignore[arg-type]
        torch.empty(10**15)
    assert str(found.value).startswith("The memory of the machine ran out. Lower dataset.batch_size")
    for key in ("trainer.accumulate_grad_batches", "dataset.size", "dataset.eval_batch_size", "trainer.precision"):
        assert key in str(found.value)
    assert told(MemoryError(), tmp_path) == str(found.value)
    gpu = told(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), tmp_path)
    assert re.match(r"The memory of the GPU \(at most \d+\.\d\d GiB were in use\) ran out\. Lower dataset\.batch", gpu)


def test_a_full_disk_is_told_in_one_line_and_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "metrics.csv")
    assert told(full, tmp_path).startswith("metrics.csv: could not be written (No space left on device). Make room")
    assert str(tmp_path) in told(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), tmp_path)
    for other in (PermissionError(errno.EACCES, "no"), RuntimeError("size mismatch"), ZeroDivisionError()):
        with pytest.raises(type(other)), explained(None, tmp_path):  # type: ignore[arg-type]
            raise other


def test_a_full_disk_is_told_by_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert answer.guard("vjo-data", fill) == 2
    said = "vjo-data: error: A file: could not be written (No space left on device). Make room.\n"
    assert capsys.readouterr().err == said


def test_a_disk_that_fills_up_in_a_run_costs_nothing(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second epoch on nothing can be synced; with room again, the run goes on to the same end."""
    full = tmp_path / "full"
    fsync = os.fsync

    def fail(handle: int) -> None:
        if os.path.exists(full / "checkpoints" / "last.ckpt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("vjo_train.files.os.fsync", fail)
        with pytest.raises(
            Exception, match=rf"No space left.*The last good checkpoint is {full}/checkpoints/last.ckpt"
        ):
            train(cache, full)
    assert not list(full.rglob(".*.tmp"))
    train(cache, full, "trainer.resume=auto")
    assert_same_run(undisturbed(), full)


def test_a_dead_loading_process_is_reported_with_its_image(cache: Path, tmp_path: Path) -> None:
    def kill(_: pl.LightningModule) -> None:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        time.sleep(0.5)  # until the system has told of it

    job = struck(cache, tmp_path, "dataset.workers=1", at=At([3], kill))
    with pytest.raises(ResourceError) as found:
        run.train(job)
    assert re.match(
        r"A loading process died \(is killed by signal: Killed\); the last image it took up was .*/\d+\.jpg\. .*"
        r"lower dataset\.workers .*There is no checkpoint yet\.$",
        str(found.value),
    )


def test_a_weight_that_is_not_finite_stops_and_names_the_last_good_checkpoint(cache: Path, tmp_path: Path) -> None:
    def spoil(module: pl.LightningModule) -> None:
        with torch.no_grad():
            next(module.parameters()).fill_(float("nan"))

    message = (
        r"The loss of \w+ is not finite at batch 4 \(images .*The last good checkpoint is .*/checkpoints/last.ckpt"
    )
    with pytest.raises(NumericsError, match=message):
        run.train(struck(cache, tmp_path, at=At([5], spoil)))
    kept = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in kept.values())


def test_a_file_removed_while_training_is_named(cache: Path, tmp_path: Path) -> None:
    own = ["dataset.generate.seed=9", f"dataset.cache_dir={tmp_path / 'cache'}", "trainer.accumulate_grad_batches=2"]

    def remove(_: pl.LightningModule) -> None:
        for path in (tmp_path / "cache").rglob("*.jpg"):
            path.unlink()

    with pytest.raises(DataError, match=r"\.jpg: the file is missing\."):
        run.train(struck(cache, tmp_path / "run", *own, at=At([2], remove)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_once_saves_between_two_steps_of_the_optimizer(
    cache: Path, tmp_path: Path, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    at = At([1], lambda _: os.kill(os.getpid(), number))
    with pytest.raises(Stopped):
        run.train(struck(cache, tmp_path, "trainer.accumulate_grad_batches=2", at=at))
    assert at.seen == 2, "the step that had begun was ended, with both its batches"
    kept = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert (kept["batches"], kept["global_step"]) == (2, 1)
    assert f"hydra.run.dir='{tmp_path}' trainer.resume=auto goes on from here" in caplog.text


def test_a_scheduler_has_its_turn_after_its_signal_once_the_run_is_saved(cache: Path, tmp_path: Path) -> None:
    """As submitit, which overlooks SIGTERM, and on its own signal puts the job into the queue again and exits."""
    terminated: list[int] = []

    def requeue(number: int, frame: FrameType | None) -> None:
        raise SystemExit(f"requeued with {(tmp_path / 'checkpoints/last.ckpt').is_file()}")

    def send(_: pl.LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGUSR2 if terminated else signal.SIGTERM)

    own = {signal.SIGUSR2: requeue, signal.SIGTERM: lambda number, frame: terminated.append(number)}
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    at = At([1, 2], send)
    try:
        with pytest.raises(SystemExit, match="requeued with True"):
            run.train(struck(cache, tmp_path, at=at))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (terminated, at.seen) == ([signal.SIGTERM], 2)


def test_a_signal_twice_stops_at_once(cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def twice(_: pl.LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    at, before = At([2], twice), signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped):
        run.train(struck(cache, tmp_path, at=at))
    assert at.seen == 2
    assert not (tmp_path / "checkpoints/last.ckpt").exists()
    assert "Stopped at once (SIGINT), before the first checkpoint." in caplog.text
    assert signal.getsignal(signal.SIGINT) is before, "handlers are given back"


@pytest.mark.slow
def test_one_rank_that_dies_ends_the_others(cache: Path, tmp_path: Path) -> None:
    """Without torchrun, whose agent would do it: the first process starts the second one itself."""
    words = [*SMALL, "trainer.max_epochs=1000", "trainer.devices=2", "trainer.progress=true"]
    places = [f"dataset.cache_dir={cache}", f"hydra.run.dir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "vjo_train.cli", *words, *places]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("epoch 2/"):
                break
        else:
            pytest.fail("".join(said))
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert re.search(r"Another process of this run ended|Child process .* terminated with code -9", rest), rest[-3000:]


def test_a_second_process_in_a_runs_or_a_comparisons_folder_is_refused(
    command: Callable[..., Answer], tmp_path: Path
) -> None:
    for key, words in (("run", []), ("sweep", ["-m", "experiment=compare", "compare.methods=[equal]", "seed=1"])):
        place = f"hydra.{key}.dir={tmp_path / key}"
        with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / key)], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            status, _, err = command("vjo-train", *words, place)
            other.kill()
        assert (status, f"hydra.{key}.dir: another process is at work in" in err) == (2, True), err


def set_up(rank: int, root: Path, kept: Path, folder: Path) -> None:
    """One of two processes that read the data set `root` for the first time."""
    from tests.data.test_datamodule import make

    logging.basicConfig(filename=folder / f"log{rank}", level=logging.INFO)
    data = make(root, kept)
    data.setup("fit")
    (folder / f"fingerprint{rank}").write_text(data.fingerprint("train"))


def test_two_processes_that_read_a_new_data_set_at_once_do_not_harm_each_other(cache: Path, tmp_path: Path) -> None:
    from vjo_train.data.shapes import Shapes

    root, kept = tmp_path / "set", tmp_path / "kept"
    Shapes(train=24, val=6, test=10, image_size=32).write(root)
    run_ranks(set_up, root, kept, tmp_path)
    said = [(tmp_path / f"fingerprint{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1] != ""
    logs = "".join((tmp_path / f"log{rank}").read_text() for rank in (0, 1))
    assert (logs.count("Reading the annotations"), logs.count("Looking into")) == (1, 1)
    assert not list(kept.rglob("*.tmp"))
