"""From the plan of a batch to the batch, in worker processes or in this one."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from vjo_train.data.decode import read_image, reduction
from vjo_train.data.deep_pictures import Span
from vjo_train.data.index import Index
from vjo_train.data.letterbox import Layout, blank, lay_out
from vjo_train.data.picture_cache import PICTURE, Ram
from vjo_train.data.placement import Placement, Unmoved
from vjo_train.data.plan import BatchPlan
from vjo_train.data.rounds import Sample
from vjo_train.data.shared_memory import Slots
from vjo_train.data.sources.base import Source
from vjo_train.data.transforms import Augment, generator
from vjo_train.data.worker_watch import Watch
from vjo_train.errors import DataError
from vjo_train.types import Batch, Canvas, Target

log = logging.getLogger("vjo_train")

STOPPING = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
"""The signals that ask a run to stop."""
LARGEST_LETTER = 4 << 20
"""Bytes of a tensor that is sent as a part of the message; above, in shared memory of its own."""


class BatchDataset(Dataset[Any]):
    """Loads whole batches: `dataset[plan]` is a `Batch`.

    A `DataError` is returned instead of raised, because torch prefixes what a worker raises with its traceback;
    `BatchLoader` raises it in the main process.

    Args:
        source: reads the labels.
        root: of the data set.
        index: its annotations.
        needs: task -> the kinds of label that it needs. Only what a task that is on needs is read; the image does not
            count as labelled with other kinds.
        canvas: its height and width.
        augment: None in evaluation, where `Batch.originals` is filled too.
        seed: of the augmentation.
        watch: is told which image is taken up.
        slots: where loading processes put their pictures; None: in memory that is asked for each time.
        ram: decoded pictures and maps that are kept; None: every one is read from its file each time.
        span: what is black and white in pictures of more than 8 bits a colour; None: by each file's own values.
        kept: task -> [I] bool: the images whose label it may see; a task that is not there may see all.
    """

    def __init__(
        self,
        *,
        source: Source,
        root: Path,
        index: Index,
        needs: Mapping[str, frozenset[str]],
        canvas: Canvas,
        augment: Augment | None,
        seed: int,
        watch: Watch,
        slots: Slots | None = None,
        ram: Ram | None = None,
        span: Span | None = None,
        kept: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    ) -> None:
        self.watch, self.slots, self.ram, self.kept, self.span = watch, slots, ram, kept or {}, span
        self.source, self.root, self.index = source, root, index
        self.needs, self.canvas = needs, canvas
        self.augment, self.seed = augment, seed

    def __getitem__(self, plan: BatchPlan) -> Batch | DataError:
        try:
            batch = self._batch(plan)
        except DataError as error:
            return error
        if get_worker_info() is None:
            return batch
        slots = self.slots
        light = batch._map(lambda tensor: (slots and slots.ticket(tensor)) or _travelling(tensor))
        assert isinstance(light, Batch)
        return light

    def _batch(self, plan: BatchPlan) -> Batch:
        kinds = frozenset[str]().union(*(self.needs[task] for task in plan.tasks))
        images = None if self.slots is None else self.slots.take(len(plan.samples))
        if images is None:
            images = blank(len(plan.samples), *self.canvas)
        # First what is drawn for all, then all pixels, then all labels: a picture leaves no code in the processor's
        # cache, and what is run right behind one takes several times as long.
        rows = [sample.image for sample in plan.samples]
        layouts = [self._lay_out(sample) for sample in plan.samples]
        for row, layout, pixels in zip(rows, layouts, images, strict=True):
            layout.draw(self._picture(row), pixels)
        known = [self._labels(row, kinds, layout.placement) for row, layout in zip(rows, layouts, strict=True)]
        return Batch(
            images=images,
            targets=[target for target, _ in known],
            ids=[str(self.index.ids[row]) for row in rows],
            scales=torch.tensor([layout.placement.scale for layout in layouts], dtype=torch.float32),
            tasks=plan.tasks,
            originals=[original for _, original in known if original is not None],
            step=plan.step,
            meta=None if plan.meta is None else self._batch(plan.meta),
            unlabelled=None if plan.unlabelled is None else self._batch(plan.unlabelled),
            pictures=None if plan.pictures is None else self._batch(plan.pictures),
            hidden={task: [not self.kept[task][row] for row in rows] for task in plan.tasks if task in self.kept},
        )

    def _lay_out(self, sample: Sample) -> Layout:
        row, index = sample.image, self.index
        size, rng = index.size(row), None
        if self.augment is not None:
            rng = generator(self.seed, sample.stream, sample.round, str(index.ids[row]))
        return lay_out(size, index.objects(row).boxes, self.canvas, reduction(size, self.canvas), self.augment, rng)

    def _picture(self, row: int) -> Tensor:
        self.watch.note(row)
        path, size = self.index.image(self.root, row), self.index.size(row)
        return self._kept(row, PICTURE, partial(read_image, path, self.canvas, size, self.span))

    def _labels(self, row: int, kinds: frozenset[str], placement: Placement) -> tuple[Target, Target | None]:
        """What is known on the canvas, and, in evaluation, in the file's pixels."""
        self.watch.note(row)
        index = self.index
        raw = {kind: self._raw(row, kind) for kind in sorted(kinds) if index.labelled[kind][row]}
        known = {kind: self.source.annotated(index, row, kind) for kind in raw}
        annotated = {kind: classes for kind, classes in known.items() if classes is not None}
        original = None
        if self.augment is None:
            original = self._target(raw, annotated, Unmoved(index.size(row), len(index.objects(row))))
        return self._target(raw, annotated, placement), original

    def _raw(self, row: int, kind: str) -> Any:
        read = partial(self.source.read, self.root, self.index, row, kind)
        return self._kept(row, kind, read) if kind in self.source.maps else read()

    def _kept(self, row: int, what: str, read: Callable[[], Tensor]) -> Tensor:
        return read() if self.ram is None else self.ram.get(row, what, read)

    def _target(self, raw: Mapping[str, Any], annotated: dict[str, npt.NDArray[np.bool_]], at: Placement) -> Target:
        known = {kind: self.source.kind(kind).place(value, at) for kind, value in raw.items()}
        return Target(at.size, known, dict(annotated))


def _travelling(tensor: Tensor) -> Tensor | Travelling:
    return tensor if tensor.nbytes > LARGEST_LETTER else Travelling(tensor)


class Travelling:
    """A tensor that goes to another process as a part of the message, and is a tensor again when it gets there.

    torch sends each tensor as a file of its own, which for a box or a mask takes far longer than its few bytes; truth
    values go eight to a byte.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __reduce__(self) -> tuple[Any, ...]:
        array = self._tensor.numpy()
        if array.dtype == np.bool_:
            return _unpacked, (np.packbits(array), array.shape)
        return torch.from_numpy, (np.ascontiguousarray(array).reshape(array.shape),)  # a single number stays one


def _unpacked(bits: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> Tensor:
    count = int(np.prod(shape))
    return torch.from_numpy(np.unpackbits(bits, count=count).view(np.bool_).reshape(shape))


def workers_at_hand(wanted: int) -> int:
    """`wanted`, or the number of CPUs that this process may use, if that is less: more processes only wait for them.

    What is loaded does not depend on the number.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if wanted > cpus:
        log.debug("dataset.workers: %d, but there are %d CPUs; %d processes load.", wanted, cpus, cpus)
    return min(wanted, cpus)


class BatchLoader(DataLoader[Any]):
    """Batches in the order of a sampler, the same ones with any number of workers.

    Args:
        dataset: loads a whole batch, such as the plan of a batch.
        sampler: what to ask it for.
        workers: processes; 0 loads in this one.
        pin_memory: put the batches in memory that a GPU copies from quickly.

    Raises:
        DataError: while iterating, where a file is broken.
    """

    def __init__(self, dataset: Dataset[Any], sampler: Iterable[Any], *, workers: int, pin_memory: bool) -> None:
        super().__init__(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            # What a launcher's processes, or a newer Python, start others by would pickle the data set.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            worker_init_fn=_outlive_signals,
            generator=torch.Generator(),  # its own, so that starting an epoch draws nothing from the global one
        )

    def __iter__(self) -> Any:
        batches = super().__iter__()
        if self.num_workers:
            _AT_WORK.add(batches)
        return _Raising(batches)


_AT_WORK: weakref.WeakSet[Any] = weakref.WeakSet()
"""torch's iterators that have loading processes."""


@atexit.register
def _stop_workers() -> None:
    """Python would wait for ever for processes that outlive the SIGTERM that it ends them with."""
    for batches in list(_AT_WORK):
        batches._shutdown_workers()


class _Raising:
    """Raises the errors among the batches."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches

    def __iter__(self) -> _Raising:
        return self

    def __next__(self) -> Any:
        batch = next(self._batches)
        if isinstance(batch, DataError):
            # A new one: raising `batch` itself would tie it to this frame in a cycle, which keeps the workers alive.
            raise DataError(str(batch))
        return batch


def _outlive_signals(worker: int) -> None:
    """What asks a run to stop often reaches the whole group; the main process needs its workers to finish the step."""
    for name in STOPPING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch


class Rows(Sampler[BatchPlan]):
    """Images in their order, `batch_size` at a time; rank r of w takes `rows[r::w]`, none twice.

    A further rank for which there is none takes one batch without images: all must meet where figures are summed.
    """

    def __init__(
        self, rows: npt.NDArray[np.int64], tasks: tuple[str, ...], batch_size: int, rank: int, world: int
    ) -> None:
        draws = [Sample(int(row), "evaluation", 0) for row in rows[rank::world]]
        self._turns = [
            BatchPlan(-1, tasks, tuple(draws[start : start + batch_size])) for start in range(0, len(draws), batch_size)
        ]
        if rank and not draws:
            self._turns = [BatchPlan(-1, tasks, ())]

    def __iter__(self) -> Iterator[BatchPlan]:
        return iter(self._turns)

    def __len__(self) -> int:
        return len(self._turns)
