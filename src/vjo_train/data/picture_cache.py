"""Decoded pictures and masks that are kept in memory, for data sets that fit."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.data import voc
from vjo_train.data.decode import reduction
from vjo_train.data.index import Index
from vjo_train.errors import ConfigError
from vjo_train.types import Canvas

log = logging.getLogger("vjo_train")

_SHARE = 0.8
"""Of the free memory that may be taken."""
_SHARED_MEMORY = Path("/dev/shm")


class Ram:
    """Pictures as they are decoded, before augmentation, and their masks, each kept when it is first read.

    One piece of memory that the loading processes share, without a name: it goes with the last of them, however they
    end, and no other run can reach it. Each rank has its own.

    Args:
        index: the data set.
        rows: the images to keep.
        folders: whose files are kept, `voc.IMAGES` among them.
        canvas: its height and width; pictures are kept reduced, as they are decoded for it.
    """

    def __init__(self, index: Index, rows: npt.NDArray[np.int64], folders: frozenset[str], canvas: Canvas) -> None:
        self._sizes, self._canvas = index.sizes, canvas
        there = {
            voc.IMAGES: np.ones(len(index), np.bool_),
            voc.CLASS_MASKS: index.has_semantic,
            voc.OBJECT_MASKS: index.has_masks,
        }
        self._starts = {folder: np.full(len(index), -1, np.int64) for folder in folders}
        self.images, self.bytes = len(rows), 0
        for folder, starts in self._starts.items():
            chosen = rows[there[folder][rows]]
            lengths = np.array([math.prod(self._shape(row, folder)) for row in chosen.tolist()], np.int64)
            starts[chosen] = self.bytes + np.cumsum(lengths) - lengths
            self.bytes += int(lengths.sum())

    def reserve(self, ranks: int) -> None:
        """Takes the memory, which fills as files are read.

        Args:
            ranks: processes on this machine that keep as much.

        Raises:
            ConfigError: it would not fit.
        """
        free, each = _free_memory(), f" in each of {ranks} processes" if ranks > 1 else ""
        log.info("dataset.cache=ram keeps %d images in %s%s.", self.images, _gib(self.bytes), each)
        if ranks * self.bytes > _SHARE * free:
            raise ConfigError(
                f"dataset.cache: ram needs {_gib(self.bytes)} for {self.images} images{each}; found {_gib(free)} free, "
                f"of which at most {_SHARE:.0%} may be taken. Set dataset.cache=none, or make room."
            )
        self._memory = _shared(self.bytes)
        self._filled = {folder: _shared(len(self._sizes)) for folder in self._starts}

    def get(self, row: int, folder: str, read: Callable[[], Tensor]) -> Tensor:
        """What `read` gives, [3, h, w] of an image or [H, W] of a mask, kept for the next time.

        The result must not be written to. Two processes may read the same file at once; they keep the same bytes.
        """
        start = int(self._starts[folder][row]) if folder in self._starts else -1
        if start < 0:
            return read()
        shape = self._shape(row, folder)
        place = self._memory[start : start + math.prod(shape)].view(shape)
        kept = place.permute(2, 0, 1) if folder == voc.IMAGES else place
        if not self._filled[folder][row]:
            kept.copy_(read())
            self._filled[folder][row] = 1
        return kept

    def _shape(self, row: int, folder: str) -> tuple[int, ...]:
        height, width = self._sizes[row].tolist()
        if folder != voc.IMAGES:
            return height, width
        factor = reduction((height, width), self._canvas)
        return -(-height // factor), -(-width // factor), 3


def _shared(size: int) -> Tensor:
    """Zeros, uint8; they take no room until they are written to."""
    storage = torch.UntypedStorage._new_shared(max(1, size), device="cpu")  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _free_memory() -> float:
    """Bytes that shared memory may still take; infinite where the system does not tell."""
    free = [float(shutil.disk_usage(_SHARED_MEMORY).free)] if _SHARED_MEMORY.is_dir() else []
    with suppress(OSError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free += [int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable:")]
    return min(free, default=math.inf)


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"
