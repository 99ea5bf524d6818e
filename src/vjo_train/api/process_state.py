"""What a run changes in the process that trains it, put back as it was."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""Variables of the environment that Lightning sets with the seed."""


@contextmanager
def kept_process() -> Iterator[None]:
    """Puts back what a run changes: logging, warnings, random numbers, handlers of signals, determinism."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    signals = _handlers()
    seeds = {name: os.environ.get(name) for name in SEEDS}
    numbers = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for handler in [own for own in root.handlers if own not in handlers]:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for number, before in signals.items():
            if signal.getsignal(number) is not before:
                signal.signal(number, before)
        for name, value in seeds.items():
            os.environ.pop(name, None)
            os.environ |= {} if value is None else {name: value}
        random.setstate(numbers[0])
        np.random.set_state(numbers[1])
        torch.set_rng_state(numbers[2])
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        torch.backends.cudnn.benchmark = benchmark


def _handlers() -> dict[signal.Signals, Any]:
    """Those that Python can set again; no thread but the main one may."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: own for number in signal.valid_signals() if (own := signal.getsignal(number)) is not None}
