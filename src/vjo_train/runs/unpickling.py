"""What `torch.save` wrote, read as plain data: nothing in it is run."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch

from vjo_train.errors import CheckpointError

_DAMAGED = (RuntimeError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, AssertionError,
            OverflowError, struct.error)  # fmt: skip
"""What torch's own unpickler raises for bytes that are no pickle, or no whole one."""


def read_plain(path: Path) -> Any:
    """The content of a file, with tensors on the CPU.

    Raises:
        CheckpointError: damaged, or holds more than tensors, numbers, texts and their lists and dicts.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it holds more than plain data ({reason(error)}), and reading it could run code."
        ) from error
    except _DAMAGED as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint ({reason(error)}).") from error


def reason(error: Exception) -> str:
    """The line of torch's message that says what is wrong, without its advice on trusting files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    chosen = next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0])
    return chosen.partition(" was not an allowed")[0].rstrip(".")
