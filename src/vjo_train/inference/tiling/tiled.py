"""The network on large pictures: on windows of them, a batch at a time, and on each as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from vjo_train.data.letterbox import Picture, blank, letterbox
from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head
from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.pixels.base import PixelHead
from vjo_train.inference.reading import PIECES, WHOLE, ByImage, Reading
from vjo_train.inference.tiling.collected import Collected
from vjo_train.inference.tiling.mosaic import Mosaic
from vjo_train.inference.tiling.windows import Tiling, Window, windows
from vjo_train.types import Batch, Canvas, Target

Computed: TypeAlias = Callable[[Batch, Reading], Mapping[str, ByImage]]
"""A network: a batch -> task -> what a reading makes of its outputs."""


@dataclass(frozen=True)
class Tiled:
    """Predictions for pictures of any size, in their own pixels and the heads' own classes.

    * Of every pixel (semantic, depth, ...): the maps of the windows, blended before they are finished.
    * Of objects: those of the windows, put together, and of the picture as a whole those that no window can hold.
    * Of the picture (classification, ...), and heads that are neither: of the picture as a whole, as without tiles.

    A picture that fits into a window is not cut: its predictions are those without tiles.

    Args:
        network: what computes.
        heads: task -> head.
        tiling: how pictures are cut.
        canvas: its height and width.
        batch_size: windows per step.

    Raises:
        ConfigError: no head says anything of a place.
    """

    network: Computed
    heads: Mapping[str, Head]
    tiling: Tiling
    canvas: Canvas
    batch_size: int

    def __post_init__(self) -> None:
        if not any(isinstance(head, PixelHead | DetectionHead) for head in self.heads.values()):
            raise ConfigError(
                f"tile: {', '.join(self.heads)} say nothing of a place in the picture, so that there is nothing to cut"
                " it for; leave tile out."
            )

    def found(self, batch: Batch, pictures: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
        """Task -> prediction, picture by picture.

        Args:
            batch: the pictures as wholes, scaled to fit the canvas.
            pictures: the same, uint8 [3, H, W] each.
        """
        if all(self.tiling.spares(picture.shape[-2:]) for picture in pictures):
            found = self.network(batch, WHOLE)
            yield from ({task: own(k) for task, own in found.items()} for k in range(len(batch)))
            return
        for k, picture in enumerate(pictures):
            one = batch.part(slice(k, k + 1))
            if self.tiling.spares(picture.shape[-2:]):
                yield {task: own(0) for task, own in self.network(one, WHOLE).items()}
            else:
                yield self._of(picture, one)

    def _of(self, picture: Tensor, whole: Batch) -> dict[str, Any]:
        """Of a picture that is cut; `whole` is a batch of it alone."""
        size = int(picture.shape[-2]), int(picture.shape[-1])
        mosaics, objects = dict[str, Mosaic](), dict[str, Collected]()
        for task, head in self.heads.items():
            if isinstance(head, PixelHead):
                mosaics[task] = Mosaic(size, self.tiling.shared, head.finished)
            elif isinstance(head, DetectionHead):
                objects[task] = Collected(size, self.tiling.tile, head.nms_threshold)
        views = windows(size, self.tiling)
        for start in range(0, len(views), self.batch_size):
            some = views[start : start + self.batch_size]
            batch = self._cut(picture, some, whole)
            found = self.network(batch, PIECES)
            for k, window in enumerate(some):
                for task, mosaic in mosaics.items():
                    mosaic.add(window, found[task](k))
                for task, collected in objects.items():
                    collected.add(window, found[task](k))
        predictions: dict[str, Any] = {task: mosaic.whole() for task, mosaic in mosaics.items()}
        if len(mosaics) < len(self.heads):
            found = self.network(whole, PIECES)
            for task, collected in objects.items():
                collected.add_whole(found[task](0))
                predictions[task] = collected.merged()
            predictions |= {task: found[task](0) for task in self.heads if task not in predictions}
        return {task: predictions[task] for task in self.heads}

    def _cut(self, picture: Tensor, some: Sequence[Window], whole: Batch) -> Batch:
        """Windows as a batch: each scaled to fit the canvas, as a picture of its own."""
        images = blank(len(some), *self.canvas)
        cut = [Picture.bare(picture[:, window.rows, window.columns]) for window in some]
        placed = [letterbox(part, self.canvas, pixels=own) for part, own in zip(cut, images, strict=True)]
        return Batch(
            images=images,
            targets=[Target(placement.size) for placement in placed],
            ids=[f"{whole.ids[0]}@{window.left},{window.top}" for window in some],
            scales=torch.tensor([placement.scale for placement in placed], dtype=torch.float32),
            tasks=whole.tasks,
            originals=[Target(window.size) for window in some],
        )
