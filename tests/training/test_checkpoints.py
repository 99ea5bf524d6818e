"""Checkpoints as input: damaged, hostile or of another network; and as output on a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import tiny
from tests.training.test_module import fit
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs import run_folder
from vjo_train.training import checkpoints
from vjo_train.training.signals import Stopped
from vjo_train.weighting.adatask import AdaTask
from vjo_train.weighting.dbmtl import DBMTL
from vjo_train.weighting.excess import ExcessMTL
from vjo_train.weighting.moco import MoCo

GOOD = {"state_dict": {"weight": torch.arange(6.0).view(2, 3)}, "batches": 3, "name": "good"}


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def save(path: Path, content: Any = GOOD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.write(content, path)
    return path


@pytest.mark.parametrize("form", ["torch", "old torch", "pickle"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, form: str) -> None:
    trace, path = tmp_path / "it ran", tmp_path / "hostile.ckpt"
    content = {**GOOD, "callbacks": Hostile(trace)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(CheckpointError, match=r"hostile\.ckpt (is refused: it holds more than plain data|is damaged)"):
        checkpoints.read(path)
    with pytest.raises(CheckpointError, match=r"hostile\.ckpt"):
        checkpoints.resumed(str(path), tmp_path)
    assert not trace.exists()
    pickle.loads(path.read_bytes()) if form == "pickle" else torch.load(path, weights_only=False)
    assert trace.exists(), "the test's pickle must be hostile indeed"


def test_every_damage_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "last.ckpt")
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[whole.index(GOOD["state_dict"]["weight"].numpy().tobytes())] ^= 1  # a single bit of a weight
    for content in (bytes(changed), b"", whole[:1], whole[: len(whole) // 2], whole[:-1], b"\0" * len(whole)):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged"):
            checkpoints.read(path)


def test_whatever_is_read_is_whole(tmp_path: Path) -> None:
    """Random damage: a CheckpointError, or, where it hit what does not count, the very same content."""
    path = save(tmp_path / "last.ckpt")
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        path.write_bytes(changed[: rng.choice([len(changed), rng.randrange(len(changed))])])
        with contextlib.suppress(CheckpointError):
            assert torch.equal(checkpoints.read(path)["state_dict"]["weight"], GOOD["state_dict"]["weight"])


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_hostile_bytes_under_right_checksums_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "x.ckpt")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    rng, told = random.Random(0), []
    for _ in range(300):
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in parts.items():
                changed = bytearray(part)
                if name.endswith("data.pkl"):
                    for _ in range(rng.randint(1, 3)):
                        changed[rng.randrange(len(changed))] = rng.randrange(256)
                    del changed[rng.choice([len(changed), rng.randrange(len(changed))]) :]
                archive.writestr(name, bytes(changed))
        try:
            checkpoints.read(path)
        except CheckpointError as error:
            told.append(str(error))
    assert len(told) > 200
    assert all(message.startswith(f"{path} is ") for message in told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1, 2], "it holds no state_dict"),
        ({"weights": torch.zeros(1)}, "it holds no state_dict"),
        ({"state_dict": {"weight": torch.zeros(1)}}, "it holds no batches"),
        ({"state_dict": {"weight": 1}, "batches": 3}, "weight in its state_dict is no tensor"),
    ],
)
def test_a_file_of_another_program(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(CheckpointError, match=f"is no checkpoint of vjo-train: {told}"):
        checkpoints.read(save(tmp_path / "x.ckpt", content))


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last, previous = run_folder.last_checkpoints(tmp_path)
    save(last, {**GOOD, "name": "first"})
    save(last, {**GOOD, "name": "second"})
    found = checkpoints.resumed("auto", tmp_path)
    assert found is not None
    assert (found[0], found[1]["name"]) == (last, "second")
    os.truncate(last, 100)
    found = checkpoints.resumed("auto", tmp_path)
    assert found is not None
    assert (found[0], found[1]["name"]) == (previous, "first")
    assert f"{last} is damaged" in caplog.text
    assert "Taking the one before it." in caplog.text
    checkpoints.set_aside_damaged(tmp_path, previous)
    assert sorted(path.name for path in last.parent.iterdir()) == ["last-damaged.ckpt", "last-previous.ckpt"]
    save(last, {**GOOD, "name": "third"})
    checkpoints.set_aside_damaged(tmp_path, last)
    assert [checkpoints.read(path)["name"] for path in (last, previous)] == ["third", "first"], "no good one is lost"
    last.unlink()  # killed between the two renamings
    found = checkpoints.resumed(str(tmp_path), tmp_path / "elsewhere")
    assert found is not None
    assert found[0] == previous
    os.truncate(previous, 100)
    with pytest.raises(CheckpointError, match=r"last-previous\.ckpt is damaged"):
        checkpoints.resumed("auto", tmp_path)


def test_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert checkpoints.resumed(None, tmp_path) is None
    assert checkpoints.resumed("auto", tmp_path) is None
    with pytest.raises(CheckpointError, match=r"trainer\.resume: '.*' holds no checkpoints/last\.ckpt"):
        checkpoints.resumed(str(tmp_path), tmp_path)
    with pytest.raises(ConfigError, match=r"trainer\.resume: found 'nowhere'"):
        checkpoints.resumed("nowhere", tmp_path)


def failing_after(bytes_left: int, error: BaseException) -> Callable[..., Any]:
    """An `os.fdopen` whose files raise once so many bytes are written."""
    fdopen = os.fdopen

    def opened(handle: int, mode: str) -> Any:
        file = fdopen(handle, mode, buffering=0)
        write, left = file.write, bytes_left

        class Failing:
            def write(self, content: Any) -> int:
                nonlocal left
                left -= len(content)
                if left < 0:
                    raise error
                return write(content)

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def __enter__(self) -> Failing:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

        return Failing()

    return opened


@pytest.mark.parametrize("room", [0, 100, 1000])
def test_a_full_disk_leaves_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    last, previous = run_folder.last_checkpoints(tmp_path)
    for name in ("first", "second"):
        save(last, {**GOOD, "name": name})
    with monkeypatch.context() as patch:
        patch.setattr(
            "vjo_train.files.os.fdopen", failing_after(room, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        )
        with pytest.raises(CheckpointError) as told:
            save(last, {**GOOD, "name": "third"})
    assert str(told.value) == (
        f"{last} could not be written (No space left on device). The last good checkpoint is {last}."
    )
    assert [checkpoints.read(path)["name"] for path in (last, previous)] == ["second", "first"]
    assert sorted(path.name for path in last.parent.iterdir()) == ["last-previous.ckpt", "last.ckpt"]
    save(last, {**GOOD, "name": "third"})
    assert [checkpoints.read(path)["name"] for path in (last, previous)] == ["third", "second"]


DIED = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")


@pytest.mark.parametrize("asked", [Stopped(130), KeyboardInterrupt(), DIED], ids=["signal", "keyboard", "worker"])
def test_ended_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: BaseException) -> None:
    last, _ = run_folder.last_checkpoints(tmp_path)
    save(last)
    monkeypatch.setattr("vjo_train.files.os.fdopen", failing_after(1000, asked))
    with pytest.raises(type(asked), match=re.escape(str(asked))):
        save(last)
    assert checkpoints.read(last)["name"] == "good"
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("kind", [AdaTask, DBMTL, ExcessMTL, MoCo])
def test_a_network_is_used_without_what_its_weighting_keeps_for_each_parameter(tmp_path: Path, kind: Any) -> None:
    """Training makes room for it; who tests, predicts or exports has none."""
    trained, used = (tiny.module(weighting=kind(tasks=("classification", "detection")), seed=k) for k in (0, 1))
    fit(trained, [tiny.batch(step=k) for k in range(2)], tmp_path)
    path = save(tmp_path / "own.ckpt", {"state_dict": trained.state_dict(), "batches": 2})
    checkpoints.restore(used, path)
    for name, value in trained.state_dict().items():
        assert name.startswith("weighting.") or torch.equal(value, used.state_dict()[name]), name
    with pytest.raises(CheckpointError, match=r"weighting\.\w+ is \(2, \d+\), here \(0,\)"):
        checkpoints.compare(used, trained.state_dict(), path)
    used.weighting.prepare(used.trained_together())
    used.load_state_dict(trained.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(trained.weighting.buffers(), used.weighting.buffers(), strict=True))


def test_another_network_is_told_by_its_first_difference(tmp_path: Path) -> None:
    path = save(tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"another network: bias is missing \(and 1 more differences\)"):
        checkpoints.restore(nn.Linear(4, 2), path)
    linear = nn.Linear(3, 2, bias=False)
    checkpoints.restore(linear, path)
    assert torch.equal(linear.weight, GOOD["state_dict"]["weight"])
    with pytest.raises(CheckpointError, match=r"weight is \(2, 3\), here \(2, 4\)"):
        checkpoints.restore(nn.Linear(4, 2, bias=False), path)
