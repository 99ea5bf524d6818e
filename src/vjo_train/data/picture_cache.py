"""Decoded pictures and maps of labels that are kept in memory, for data sets that fit."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.data.decode import reduction
from vjo_train.data.index import Index
from vjo_train.errors import ConfigError
from vjo_train.types import Canvas

log = logging.getLogger("vjo_train")

_SHARE = 0.8
"""Of the free memory that may be taken."""
_SHARED_MEMORY = Path("/dev/shm")

PICTURE = "picture"
"""What `Ram` keeps beside maps of labels."""


class Ram:
    """Pictures as they are decoded, before augmentation, and their maps, each kept when it is first read.

    One piece of memory that the loading processes share, without a name: it goes with the last of them, however they
    end, and no other run can reach it. Each rank has its own.

    Args:
        index: the data set.
        rows: the images to keep.
        maps: kind of label -> the type of its maps [H, W], which are kept beside the pictures.
        canvas: its height and width; pictures are kept reduced, as they are decoded for it.
    """

    def __init__(
        self, index: Index, rows: npt.NDArray[np.int64], maps: Mapping[str, torch.dtype], canvas: Canvas
    ) -> None:
        self._sizes, self._canvas = index.sizes, canvas
        self._types = {PICTURE: torch.uint8, **maps}
        self._starts = {what: np.full(len(index), -1, np.int64) for what in self._types}
        self.images, self.bytes = len(rows), 0
        for what, starts in self._starts.items():
            chosen = rows if what == PICTURE else rows[index.labelled[what][rows]]
            lengths = np.array([self._length(row, what) for row in chosen.tolist()], np.int64)
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
        self._filled = {what: _shared(len(self._sizes)) for what in self._starts}

    def get(self, row: int, what: str, read: Callable[[], Tensor]) -> Tensor:
        """What `read` gives, kept for the next time: [3, h, w] of a `PICTURE`, or the map [H, W] of a kind of label.

        The result must not be written to. A map of another type than was said is read every time. Two processes may
        read the same file at once; they keep the same bytes.
        """
        start = int(self._starts[what][row]) if what in self._starts else -1
        if start < 0:
            return read()
        shape, kind = self._shape(row, what), self._types[what]
        place = self._memory[start : start + math.prod(shape) * kind.itemsize].view(kind).view(shape)
        kept = place.permute(2, 0, 1) if what == PICTURE else place
        if not self._filled[what][row]:
            value = read()
            if value.dtype != kind:  # such as an object mask of 16 bits
                return value
            kept.copy_(value)
            self._filled[what][row] = 1
        return kept

    def _length(self, row: int, what: str) -> int:
        """In bytes, so that what follows begins where numbers may begin."""
        return -(-math.prod(self._shape(row, what)) * self._types[what].itemsize // 8) * 8

    def _shape(self, row: int, what: str) -> tuple[int, ...]:
        height, width = self._sizes[row].tolist()
        if what != PICTURE:
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
