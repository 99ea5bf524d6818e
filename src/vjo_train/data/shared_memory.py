"""Memory for the pictures of whole batches, shared by the loading processes and used again and again.

A fresh piece of shared memory costs more than decoding what goes into it: the system hands it over page by page.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from vjo_train.types import Canvas

PER_WORKER = 4
"""Two batches wait for the main process, one is being made, one is in use."""


class Slots:
    """Canvases for `batch` pictures, `PER_WORKER` times for each loading process.

    A slot is taken by the loading process that it belongs to, and is free again when the main process has dropped the
    last tensor that lies in it. Where none is free, fresh memory serves.

    Args:
        workers: loading processes.
        batch: pictures in a slot.
        canvas: height and width in pixels.
    """

    def __init__(self, workers: int, batch: int, canvas: Canvas) -> None:
        self.batch = batch
        shape = (workers * PER_WORKER, batch, *canvas, 3)
        # Memory that nobody has written to takes no room yet.
        size = int(np.prod(shape))
        storage = torch.UntypedStorage._new_shared(size, device="cpu")  # type: ignore[no-untyped-call]
        self._memory = torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)
        self._taken = torch.zeros(len(self._memory), dtype=torch.bool).share_memory_()  # type: ignore[no-untyped-call]
        self.number = id(self)
        _OPEN[self.number] = self

    def take(self, count: int) -> Tensor | None:
        """In a loading process: `count` canvases, [count, 3, H, W], in a free slot; None where there is none."""
        worker = get_worker_info()
        if worker is None or not 0 < count <= self.batch:
            return None
        for place in range(worker.id * PER_WORKER, (worker.id + 1) * PER_WORKER):
            if not self._taken[place]:
                self._taken[place] = True
                return self._memory[place, :count].permute(0, 3, 1, 2)
        return None

    def ticket(self, images: Tensor) -> Ticket | None:
        """What to send to the main process in the place of canvases that `take` has given; None for others."""
        place, offset = divmod(images.data_ptr() - self._memory.data_ptr(), self._memory[0].numel())
        return Ticket(self.number, place, len(images)) if 0 <= place < len(self._memory) and not offset else None

    def hand_out(self, place: int, count: int) -> Tensor:
        """In the main process: what a loading process has put there; when it is dropped, the slot is free."""
        array = self._memory[place, :count].numpy().view(_Held)
        # Through numpy: a tensor that was made within inference mode, as for a test, can be changed nowhere else.
        weakref.finalize(array, self._taken.numpy().__setitem__, place, False).atexit = False
        return torch.from_numpy(array).permute(0, 3, 1, 2)


class Ticket(NamedTuple):
    """Turns into the canvases where it is unpickled, which must be the main process."""

    slots: int
    place: int
    number: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _redeem, tuple(self)


def _redeem(slots: int, place: int, count: int) -> Tensor:
    return _OPEN[slots].hand_out(place, count)


class _Held(np.ndarray[Any, Any]):
    """An array that can be watched: a tensor made of it, and all that share that tensor's memory, keep it alive."""


_OPEN: weakref.WeakValueDictionary[int, Slots] = weakref.WeakValueDictionary()
"""The slots of this process, by their number; loading processes have copies of them."""
