"""How a command ends: a mistake is answered in a line or two, and goes into the log of the run."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from vjo_train.errors import VjoError
from vjo_train.files import NO_SPACE

INCOMPLETE = 3
"""The exit status of a command that did its work, but not for everything that it was given."""


def say_it(command: str, text: str) -> str:
    """Tells the user of a mistake; returns what was told."""
    print(f"{command}: error: {text}", file=sys.stderr, flush=True)
    return text


def guard(command: str, run: Callable[[], None], say: Callable[[str, str], str | None] = say_it) -> int:
    """Runs a command; returns its exit status. `HYDRA_FULL_ERROR=1` keeps the traceback of a user's mistake.

    Args:
        command: its name.
        run: the command.
        say: tells the user of a mistake, by the command and the text; returns what it has told, which may be nothing.
    """
    try:
        run()
    except VjoError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        note(logging.ERROR, say(command, str(error)) or str(error))
        return 2
    except SystemExit:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # while Python ends, impatience gets no traceback
        raise
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        note(logging.WARNING, "interrupted")
        return 130
    except BrokenPipeError:  # as of `| head`: who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        note(logging.ERROR, traceback.format_exc())
        if error.errno not in NO_SPACE or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"{command}: error: {error.filename or 'A file'}: could not be written ({error.strerror}). Make room.",
              file=sys.stderr)  # fmt: skip
        return 2
    except Exception:
        note(logging.ERROR, traceback.format_exc())
        raise
    return 0


def note(level: int, text: str) -> None:
    """Puts into the run's log file what the console is told by other ways."""
    record = logging.LogRecord("vjo_train", level, __file__, 0, text, None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def keep_to_file(path: Path) -> None:
    """Lets this process log into a file of its own, made by the first record, and neither to the console nor elsewhere:
    what a further process of a run has to say, rank 0 says too.
    """
    root = logging.getLogger()
    files = [handler for handler in root.handlers if isinstance(handler, logging.FileHandler)]
    own = logging.FileHandler(path, delay=True, encoding="utf-8")
    for handler in files:
        own.setFormatter(handler.formatter)
        handler.close()
    root.handlers = [own]


def leave(status: int) -> None:
    """Ends the process where a job failed. Hydra lets SystemExit pass without a traceback."""
    if status:
        raise SystemExit(status)
