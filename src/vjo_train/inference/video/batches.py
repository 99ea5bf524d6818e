"""Frames as batches of the network: the way of picture files, from memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vjo_train.data.decode import reduction
from vjo_train.data.letterbox import Picture, blank, letterbox
from vjo_train.inference.video.reading import Frame
from vjo_train.types import Batch, Canvas, Target


@dataclass
class FrameBatch:
    """Some frames that follow each other."""

    frames: list[Frame]
    batch: Batch
    """`ids` are the frames' numbers."""


def batches(frames: Iterable[Frame], size: int, canvas: Canvas, tasks: Sequence[str]) -> Iterator[FrameBatch]:
    """All frames in their order, `size` at a time."""
    some: list[Frame] = []
    for frame in frames:
        some.append(frame)
        if len(some) == size:
            yield as_batch(some, canvas, tasks)
            some = []
    if some:
        yield as_batch(some, canvas, tasks)


def as_batch(frames: list[Frame], canvas: Canvas, tasks: Sequence[str]) -> FrameBatch:
    """Lays frames on canvases, as the evaluation would lay the same pictures in PNG files, to the bit."""
    images = blank(len(frames), *canvas)
    pictures = [_reduced(frame.image, canvas) for frame in frames]
    placements = [letterbox(picture, canvas, pixels=pixels) for picture, pixels in zip(pictures, images, strict=True)]
    batch = Batch(
        images=images,
        targets=[Target(placement.size) for placement in placements],
        ids=[str(frame.number) for frame in frames],
        scales=torch.tensor([placement.scale for placement in placements], dtype=torch.float32),
        tasks=tuple(tasks),
        originals=[Target(picture.size) for picture in pictures],
    )
    return FrameBatch(frames, batch)


def _reduced(image: Tensor, canvas: Canvas) -> Picture:
    height, width = image.shape[-2:]
    factor = reduction((height, width), canvas)
    if factor == 1:
        return Picture.bare(image)
    pixels = np.array(Image.fromarray(image.permute(1, 2, 0).numpy()).reduce(factor))
    return Picture.bare(torch.from_numpy(pixels).permute(2, 0, 1), (height, width), factor)
