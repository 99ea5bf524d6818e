"""Which image a loading process has, for the message if it dies."""

from __future__ import annotations

import os

import torch
from torch.utils.data import get_worker_info


class Watch:
    """A few numbers that the loading processes of one loader share with the main process.

    Args:
        workers: how many there are.
    """

    def __init__(self, workers: int) -> None:
        self._slots = torch.full((workers, 2), -1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def note(self, image: int) -> None:
        """In a loading process: it takes up an image. Elsewhere nothing."""
        if (worker := get_worker_info()) is not None:
            self._slots.numpy()[worker.id] = os.getpid(), image

    def image_of(self, pid: int) -> int | None:
        """The last image that the process `pid` took up; None where it is none of this loader's, or had none yet."""
        return next((image for process, image in self._slots.tolist() if process == pid), None)
