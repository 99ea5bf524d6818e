"""Who hears a signal, and what it waits for."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from vjo_train.training.interruption import Interruption, what_is_left
from vjo_train.training.signals import SIGNALS, Listener, Stopped


def listener() -> Listener:
    return Listener(lambda: ", at once.")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_at_once_where_nothing_must_end_first(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, listener():
        os.kill(os.getpid(), number)
    assert stopped.value.code == 130
    assert f"Stopped at once ({number.name}), at once." in caplog.text
    assert signal.getsignal(number) is before


def test_a_step_is_waited_for_and_a_second_signal_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    with listener() as ear:
        ear.wait = "this step"
        os.kill(os.getpid(), signal.SIGTERM)
        assert ear.asked
        assert "Stopping after this step (SIGTERM); once more to stop at once." in caplog.text
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_handler_that_takes_note_and_goes_on_is_put_aside() -> None:
    """Lightning sets one for SIGTERM whenever it starts to train or to test."""
    with listener() as ear:
        signal.signal(signal.SIGTERM, lambda *_: None)
        os.kill(os.getpid(), signal.SIGTERM)
        ear.listen()
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_waited_for_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = SimpleNamespace(reduce_boolean_decision=lambda value, all: value)
    trainer = SimpleNamespace(current_epoch=2, strategy=asked)
    with listener() as ear:
        callback = Interruption(tmp_path / "checkpoints/last.ckpt", ear)
        callback.on_train_start(trainer, None)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGTERM)
        callback.on_validation_start(trainer, None)  # type: ignore[arg-type]
        assert "Stopping after the validation that ends epoch 3; once more to stop at once." in caplog.text
        with pytest.raises(Stopped):
            callback.on_train_end(trainer, None)  # type: ignore[arg-type]
    assert f"Stopped; the same command with hydra.run.dir='{tmp_path}' trainer.resume=auto goes on" in caplog.text


def test_what_a_stopped_run_leaves(tmp_path: Path) -> None:
    assert what_is_left(tmp_path) == ", before the first checkpoint."
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.ckpt").touch()
    assert "goes on from the last checkpoint" in what_is_left(tmp_path)
    (tmp_path / "results.json").touch()
    assert f"vjo-report run='{tmp_path}' writes its page" in what_is_left(tmp_path)


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
