"""Who hears Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 while a run trains, tests or writes."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from vjo_train.data.loading import STOPPING

log = logging.getLogger("vjo_train")

SIGNALS = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
"""SIGUSR1 is what `sbatch --signal=USR1@120` sends before a job's time is over, SIGUSR2 what submitit has sent then;
Windows has neither."""
REQUEUED = "SIGUSR2"
"""After this signal, what listened to it before the block has its turn once the run has stopped."""


PATIENCE = 5.0
"""Seconds that a run has to end in peace once it has stopped."""


class Stopped(SystemExit):
    """The run stopped as asked, with a checkpoint to go on from where there is one; exit status 130."""


class Listener:
    """Hears the signals in its `with` block, from the main thread.

    A signal stops the run at once. Where `wait` says what must end first, the first signal is only noted in `asked`,
    and a second one stops at once. While the run is stopping, further ones are heard again after `PATIENCE`.

    Args:
        there: a sentence's end that says, once it has stopped, what there is to go on from.

    Raises:
        Stopped: in the block.
    """

    def __init__(self, there: Callable[[], str]) -> None:
        self.wait: str | None = None
        self.asked = False
        self._there = there
        self._since: float | None = None
        self._previous: dict[int, Any] = {}
        self._requeue: Callable[[], None] | None = None

    def __enter__(self) -> Listener:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Hears the signals alone, also where Lightning has put a handler of its own since the block began."""
        scheduled = any(signal.Signals(n).name == REQUEUED and callable(h) for n, h in self._previous.items())
        for number, before in self._previous.items():
            # A scheduler that warns by a signal of its own has SIGTERM sent first, which would end the run too soon.
            theirs = scheduled and number == signal.SIGTERM and callable(before)
            signal.signal(number, before if theirs else self._hear)

    def stop(self, message: str) -> None:
        """Ends the run.

        Raises:
            Stopped: always.
        """
        self._since = time.monotonic()
        log.warning(message)
        if self._requeue is not None:
            self._requeue()
        raise Stopped(130)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._since is not None:
            # Loading processes end, files are closed: one more error in the midst of it would only be a traceback.
            if time.monotonic() - self._since > PATIENCE:
                raise Stopped(130)
            return
        before = self._previous.get(number)
        if name == REQUEUED and callable(before):  # submitit puts the job into the queue again, and ends it
            self._requeue = partial(before, number, frame)
        if self.asked or self.wait is None:
            self.stop(f"Stopped at once ({name}){self._there()}")
        self.asked = True
        log.warning("Stopping after %s (%s); once more to stop at once.", self.wait, name)
