"""Plain pictures, without annotations, as batches: turned upright, then the way of the evaluation's images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from vjo_train.data.deep_pictures import Span
from vjo_train.data.letterbox import Picture, blank, letterbox
from vjo_train.data.loading import BatchLoader, workers_at_hand
from vjo_train.errors import DataError
from vjo_train.inference.pictures import ImageFile, Readable
from vjo_train.types import Batch, Canvas, Target


@dataclass
class Loaded:
    """What became of some pictures."""

    batch: Batch
    """The readable ones, in their order; may be empty. `ids` are their names: the files' paths."""
    places: list[int]
    """Which of all pictures they are."""
    pictures: list[Tensor]
    """uint8 [3, H, W] as viewers show them."""
    unreadable: dict[int, str]
    """Which ones could not be read, and why."""


class Files(Dataset[Loaded]):
    """Loads whole batches: `files[places]` is what became of these files.

    Args:
        paths: of all files.
        canvas: its height and width.
        tasks: what `Batch.tasks` says.
        span: what is black and white in pictures of more than 8 bits a colour; None: by each picture's own values.
    """

    def __init__(
        self, paths: Sequence[Path], *, canvas: Canvas, tasks: Sequence[str], span: Span | None = None
    ) -> None:
        self.paths, self.canvas, self.tasks, self.span = list(paths), canvas, tuple(tasks), span

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, places: Sequence[int]) -> Loaded:
        chosen = {place: ImageFile(self.paths[place]) for place in places}
        return load(chosen, canvas=self.canvas, tasks=self.tasks, span=self.span)

    def loader(self, batch_size: int, workers: int) -> BatchLoader:
        """All files in their order, `batch_size` at a time; a single batch is not worth a process of its own."""
        places = range(len(self))
        turns = [list(places[start : start + batch_size]) for start in range(0, len(self), batch_size)]
        own = min(workers_at_hand(workers), len(turns)) if len(turns) > 1 else 0
        return BatchLoader(self, turns, workers=own, pin_memory=False)


def load(sources: Mapping[int, Readable], *, canvas: Canvas, tasks: Sequence[str], span: Span | None = None) -> Loaded:
    """Pictures as one batch.

    Args:
        sources: place among all pictures -> picture.
        canvas: its height and width.
        tasks: what `Batch.tasks` says.
        span: as of `Files`.
    """
    shown: dict[int, Tensor] = {}
    pictures: list[Picture] = []
    unreadable: dict[int, str] = {}
    for place, source in sources.items():
        try:
            whole, picture = source.read(canvas, span)
        except DataError as error:
            unreadable[place] = str(error)
        else:
            shown[place] = whole
            pictures.append(picture)
    images = blank(len(pictures), *canvas)
    placements = [letterbox(picture, canvas, pixels=own) for picture, own in zip(pictures, images, strict=True)]
    batch = Batch(
        images=images,
        targets=[Target(placement.size) for placement in placements],
        ids=[sources[place].name for place in shown],
        scales=torch.tensor([placement.scale for placement in placements], dtype=torch.float32),
        tasks=tuple(tasks),
        originals=[Target(picture.size) for picture in pictures],
    )
    return Loaded(batch, list(shown), list(shown.values()), unreadable)
