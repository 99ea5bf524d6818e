"""Plain image files, without annotations, as batches: turned upright, then the way of the evaluation's images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from vjo_train.data.decode import orientation, read_image, reduction, upright
from vjo_train.data.letterbox import Picture, blank, letterbox
from vjo_train.data.loading import BatchLoader, workers_at_hand
from vjo_train.errors import DataError
from vjo_train.types import Batch, Canvas, Target


@dataclass
class Loaded:
    """What became of some files."""

    batch: Batch
    """The readable ones, in their order; may be empty. `ids` are the files' paths."""
    places: list[int]
    """Which of all files they are."""
    pictures: list[Tensor]
    """uint8 [3, H, W] as viewers show the files."""
    unreadable: dict[int, str]
    """Which files could not be read, and why."""


class Files(Dataset[Loaded]):
    """Loads whole batches: `files[places]` is what became of these files.

    Args:
        paths: of all files.
        canvas: its height and width.
        tasks: what `Batch.tasks` says.
    """

    def __init__(self, paths: Sequence[Path], *, canvas: Canvas, tasks: Sequence[str]) -> None:
        self.paths, self.canvas, self.tasks = list(paths), canvas, tuple(tasks)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, places: Sequence[int]) -> Loaded:
        pictures: dict[int, Picture] = {}
        turned: set[int] = set()
        unreadable: dict[int, str] = {}
        for place in places:
            path = self.paths[place]
            try:
                stored, turn = read_image(path), orientation(path)
                pictures[place] = Picture.bare(upright(stored, turn))
                turned |= {place} if turn != 1 else set()
            except DataError as error:
                unreadable[place] = str(error)
        images = blank(len(pictures), *self.canvas)
        placements = [
            letterbox(picture if place in turned else self._reduced(place, picture), self.canvas, pixels=pixels)
            for (place, picture), pixels in zip(pictures.items(), images, strict=True)
        ]
        batch = Batch(
            images=images,
            targets=[Target(placement.size) for placement in placements],
            ids=[str(self.paths[place]) for place in pictures],
            scales=torch.tensor([placement.scale for placement in placements], dtype=torch.float32),
            tasks=self.tasks,
            originals=[Target(picture.size) for picture in pictures.values()],
        )
        return Loaded(batch, list(pictures), [picture.image for picture in pictures.values()], unreadable)

    def _reduced(self, place: int, picture: Picture) -> Picture:
        """The picture as the evaluation would decode it, to the bit."""
        factor = reduction(picture.size, self.canvas)
        if factor == 1:
            return picture
        return Picture.bare(read_image(self.paths[place], self.canvas), picture.size, factor)

    def loader(self, batch_size: int, workers: int) -> BatchLoader:
        """All files in their order, `batch_size` at a time."""
        places = range(len(self))
        turns = [list(places[start : start + batch_size]) for start in range(0, len(self), batch_size)]
        return BatchLoader(self, turns, workers=min(workers_at_hand(workers), len(turns)), pin_memory=False)
