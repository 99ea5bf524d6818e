"""From a turn of the plan to a batch, in worker processes or in this one."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vjo_train.data import voc
from vjo_train.data.decode import check_size, read_image, read_mask
from vjo_train.data.index import Index
from vjo_train.data.plan import Draw, Turn
from vjo_train.data.transforms import Augment, Picture, letterbox, seeded
from vjo_train.data.watch import Watch
from vjo_train.errors import DataError
from vjo_train.types import Batch, Target

ALWAYS = frozenset({"classes", "boxes"})
"""What every annotation file gives."""


class TurnDataset(Dataset[Any]):
    """Loads whole batches: `dataset[turn]` is a `Batch`.

    A `DataError` is returned instead of raised, because torch prefixes what a worker raises with its traceback;
    `BatchLoader` raises it in the main process.

    Args:
        root: the folder that holds `JPEGImages/`.
        index: its annotations.
        needs: task -> the fields of `Target.labelled` that it needs. Masks are read only where a task that is on
            needs them; elsewhere the image does not count as labelled with them.
        size: side of the canvas.
        augment: None in evaluation, where `Batch.originals` is filled too.
        seed: of the augmentation.
        watch: is told which image is taken up.
    """

    def __init__(
        self,
        *,
        root: Path,
        index: Index,
        needs: Mapping[str, frozenset[str]],
        size: int,
        augment: Augment | None,
        seed: int,
        watch: Watch,
    ) -> None:
        self.watch = watch
        self.root, self.index, self.needs, self.size = root, index, needs, size
        self.augment, self.seed = augment, seed

    def __getitem__(self, turn: Turn) -> Batch | DataError:
        try:
            return self._batch(turn)
        except DataError as error:
            return error

    def _batch(self, turn: Turn) -> Batch:
        fields = frozenset[str]().union(*(self.needs[task] for task in turn.tasks))
        samples = [self._load(draw, fields) for draw in turn.draws]
        images = (
            torch.stack([image for image, _, _, _ in samples])
            if samples
            else torch.empty((0, 3, self.size, self.size), dtype=torch.uint8)
        )
        return Batch(
            images=images,
            targets=[target for _, target, _, _ in samples],
            ids=[str(self.index.ids[draw.image]) for draw in turn.draws],
            scales=torch.tensor([scale for _, _, scale, _ in samples], dtype=torch.float32),
            tasks=turn.tasks,
            originals=[original for _, _, _, original in samples if original is not None],
            step=turn.step,
            meta=None if turn.meta is None else self._batch(turn.meta),
        )

    def _load(self, draw: Draw, fields: frozenset[str]) -> tuple[Tensor, Target, float, Target | None]:
        self.watch.note(draw.image)
        annotation = self.index.annotation(draw.image)
        name = str(self.index.ids[draw.image])
        path = self.root / voc.IMAGES / f"{name}.jpg"
        image = read_image(path)
        height, width = annotation.size
        check_size(path, (image.shape[-2], image.shape[-1]), annotation.size)
        semantic = "semantic" in fields and bool(self.index.has_semantic[draw.image])
        masks = "masks" in fields and bool(self.index.has_masks[draw.image])
        maps = []
        if semantic:
            mask = self.root / voc.CLASS_MASKS / f"{name}.png"
            maps.append(read_mask(mask, annotation.size, len(self.index.classes), voc.INDICES[voc.CLASS_MASKS]))
        if masks:
            mask = self.root / voc.OBJECT_MASKS / f"{name}.png"
            maps.append(read_mask(mask, annotation.size, len(annotation.labels), voc.INDICES[voc.OBJECT_MASKS]))
        before = Picture(
            image=image,
            boxes=torch.from_numpy(annotation.boxes.copy()),
            kept=torch.arange(len(annotation.labels)),
            maps=torch.stack(maps) if maps else torch.empty((0, height, width), dtype=torch.uint8),
        )
        if self.augment is None:
            after, size, scale = letterbox(before, self.size)
        else:
            with seeded(self.seed, draw.stream, draw.round, name):
                after, size, scale = letterbox(before, self.size, self.augment)
        target = self._target(after, annotation, size, semantic, masks)
        original = self._target(before, annotation, annotation.size, semantic, masks) if self.augment is None else None
        return after.image, target, scale, original

    def _target(
        self, picture: Picture, annotation: voc.Annotation, size: tuple[int, int], semantic: bool, masks: bool
    ) -> Target:
        """Labels, flags and masks of the boxes that are left, and the classes that they show."""
        labels = torch.from_numpy(annotation.labels)[picture.kept]
        difficult = torch.from_numpy(annotation.difficult.copy())[picture.kept]
        classes = torch.full((len(self.index.classes),), -1, dtype=torch.int8)
        classes[labels[difficult]] = 0
        classes[labels[~difficult]] = 1
        labelled = ALWAYS | ({"semantic"} if semantic else set()) | ({"masks"} if masks else set())
        return Target(
            size=size,
            labelled=frozenset(labelled),
            classes=classes,
            boxes=picture.boxes,
            labels=labels,
            difficult=difficult,
            semantic=picture.maps[0] if semantic else None,
            masks=picture.maps[-1] == (picture.kept + 1).to(torch.uint8)[:, None, None] if masks else None,
        )


class BatchLoader(DataLoader[Any]):
    """Batches in the order of a sampler, the same ones with any number of workers.

    Args:
        dataset: loads a whole batch, such as a turn of the plan.
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
            worker_init_fn=_outlive_signals,
            generator=torch.Generator(),  # its own, so that starting an epoch draws nothing from the global one
        )

    def __iter__(self) -> Any:
        return _Raising(super().__iter__())


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
    """Ctrl-C and SIGTERM often reach the whole group; the main process needs its workers to finish the step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch


class Rows(Sampler[Turn]):
    """Images in their order, `batch_size` at a time; rank r of w takes `rows[r::w]`, none twice."""

    def __init__(
        self, rows: npt.NDArray[np.int64], tasks: tuple[str, ...], batch_size: int, rank: int, world: int
    ) -> None:
        draws = [Draw(int(row), "evaluation", 0) for row in rows[rank::world]]
        self._turns = [
            Turn(-1, tasks, tuple(draws[start : start + batch_size])) for start in range(0, len(draws), batch_size)
        ]

    def __iter__(self) -> Iterator[Turn]:
        return iter(self._turns)

    def __len__(self) -> int:
        return len(self._turns)
