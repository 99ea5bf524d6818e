"""What is exported: the network from uint8 pixels to the heads' outputs, raw or decoded, as tensors by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from vjo_train.data.shape_scene import draw
from vjo_train.heads.outputs import check_exported, named_tensors, output_kind
from vjo_train.heads.pixels.base import PixelHead, upsample
from vjo_train.inference.exporting import resizing
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Canvas, Frames

TRACED_WITH = 4
"""Images of the batch that a network is traced with; a file takes any number."""


class Traced(nn.Module):
    """The network with its outputs as a tuple of tensors, in the order of `names`.

    Args:
        module: with its weights; goes to the CPU and into evaluation mode.
        tasks: the heads to export.
        canvas: (H, W).
        decoded: whether decoding is a part of it.
        resize: whether it takes pictures of any size, and says all of it in their pixels; takes `decoded`.

    Attributes:
        names: of the outputs, as `named_tensors` and `Head.decoded` name them.

    Raises:
        ConfigError: a head that cannot be exported so.
    """

    def __init__(
        self, module: MultiTaskModule, tasks: Sequence[str], canvas: Canvas, decoded: bool, resize: bool = False
    ) -> None:
        super().__init__()
        for task in tasks:
            check_exported(task, module.head(task), decoded)
        self.module, self.tasks, self.canvas = module, tuple(tasks), canvas
        self.decoded, self.resize = decoded, resize
        self.cpu().eval()
        with torch.no_grad():
            self.names = list(self._outputs(**self.example(1)))

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        return tuple(self._outputs(images, sizes).values())

    def example(self, count: int = TRACED_WITH) -> dict[str, Tensor]:
        """Inputs by name; the same ones each time."""
        if self.resize:
            shape = shapes(self.canvas)[count % 4]
            return {"images": sample_images(count, shape)}
        images = sample_images(count, self.canvas)
        return {"images": images, "sizes": sample_sizes(count, self.canvas)} if self.decoded else {"images": images}

    def dynamic(self) -> tuple[dict[int, torch.export.Dim], ...]:
        """Which sizes of the inputs a file leaves open: the batch, and with `resize` those of the pictures."""
        batch = {0: torch.export.Dim("batch")}
        if self.resize:
            return ({**batch, 2: torch.export.Dim("height"), 3: torch.export.Dim("width")},)
        return (batch,) * len(self.example(1))

    def _outputs(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, Tensor]:
        if self.resize:
            return self._of_pictures(images)
        found = self.module(images, self.tasks)
        named: dict[str, Tensor] = {}
        for task in self.tasks:
            head = self.module.head(task)
            if output_kind(head) is not None:
                named |= named_tensors(task, found[task])
            if sizes is not None:
                own = head.decoded(found[task], Frames.of_files(sizes, (images.shape[-2], images.shape[-1])))
                named |= {f"{task}.{name}": tensor for name, tensor in own.items()}
        return named

    def _of_pictures(self, pictures: Tensor) -> dict[str, Tensor]:
        frames = resizing.frames_of(pictures, self.canvas)
        found = self.module(resizing.on_canvas(pictures, frames), self.tasks)
        named: dict[str, Tensor] = {}
        for task in self.tasks:
            head = self.module.head(task)
            if isinstance(head, PixelHead):
                full = upsample(found[task].float(), head.stride)
                maps = resizing.to_pictures(full, frames, pictures.shape[2], pictures.shape[3])
                named[f"{task}.map"] = head.finished(maps)
            else:
                own = head.decoded(found[task], frames)
                named |= {f"{task}.{name}": tensor for name, tensor in own.items()}
        return named


def sample_images(count: int, canvas: Canvas) -> Tensor:
    """Parts of drawn scenes that fill the canvas, uint8 [count, 3, H, W]; the same ones each time."""
    height, width = canvas
    scenes = (draw(np.random.default_rng([count, k]), max(canvas), 0.5).image for k in range(count))
    drawn = [scene[:height, :width] for scene in scenes]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()


def sample_sizes(count: int, canvas: Canvas) -> Tensor:
    """Heights and widths of picture files in several shapes, int64 [count, 2]; the same ones each time."""
    own = shapes(canvas)
    return torch.tensor([own[k % len(own)] for k in range(count)])


def shapes(canvas: Canvas) -> list[Canvas]:
    """Heights and widths of pictures: as the canvas, larger, narrow, smaller."""
    height, width = canvas
    return [canvas, (round(1.5 * height), 2 * width - 1), (height, width // 2), (height // 3, width // 2)]
