"""The contract of a head that says something of every pixel."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.heads.base import Head
from vjo_train.heads.pixels.image_by_image import image_losses
from vjo_train.heads.pseudo_labels import labelled_with, right_pixels
from vjo_train.types import Batch, Features, Frames, Target

AT_ONCE = 2**22
"""The numbers at full size that are looked at together for a loss; one image at the least."""
AT_ONCE_ON_GPU = 2**26


def upsample(maps: Tensor, factor: int) -> Tensor:
    """[B, C, h, w] -> [B, C, factor * h, factor * w], bilinear; cells keep their places on the canvas."""
    return F.interpolate(maps, scale_factor=float(factor), mode="bilinear", align_corners=False)


class PixelHead(Head):
    """Maps on a coarse grid, brought to the pixels by bilinear interpolation.

    Args:
        stride: canvas pixels per cell of the maps.

    Attributes:
        label: the one kind of label that it needs.
    """

    label: ClassVar[str]

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """The pyramid -> maps [B, K, h, w] at `stride`."""

    @abstractmethod
    def image_losses(self, maps: Tensor, truth: Tensor) -> Tensor:
        """The loss of each of some labelled images, from their counted pixels.

        Args:
            maps: [B, K, H, W] float32 on the canvas.
            truth: [B, ..., H, W]: the labels as their kind gives them.

        Returns:
            [B]; 0 where no pixel counts.
        """

    def judged(self, maps: Tensor, targets: list[Target]) -> Tensor:
        """The maps [B, K, H, W] of some labelled images as `image_losses` takes them: as they are."""
        return maps

    @abstractmethod
    def finished(self, maps: Tensor) -> Tensor:
        """Maps [B, K, H, W] float32 -> what is predicted of each pixel, [B, ..., H, W]."""

    def loss(self, outputs: Tensor, targets: list[Target]) -> Tensor:
        places = [i for i, target in enumerate(targets) if self.labelled(target)]
        losses = outputs.new_zeros(len(targets), dtype=torch.float32)
        if not places:
            return losses
        known = [targets[i] for i in places]
        index = torch.tensor(places, device=outputs.device)

        def at_full_size(maps: Tensor, some: slice) -> Tensor:
            truth = torch.stack([target[self.label] for target in known[some]])
            full = upsample(maps, self.stride)[..., : truth.shape[-2], : truth.shape[-1]]
            return self.image_losses(self.judged(full, known[some]), truth)

        pixels = outputs.shape[1:].numel() * self.stride**2
        together = max(1, (AT_ONCE if outputs.is_cpu else AT_ONCE_ON_GPU) // pixels)
        with torch.autocast(outputs.device.type, enabled=False):
            # Only the labelled images are brought to full size: with partial labels they are few.
            own = image_losses(outputs[index].float(), at_full_size, together)
        return losses.index_copy(0, index, own)

    def sure_label(self, maps: Tensor, size: tuple[int, int], sure: float) -> Tensor | None:
        """Maps [K, H, W] float32 of a canvas -> a label of what is sure; None where nothing is.

        Args:
            maps: of one image.
            size: (height, width) of the picture on the canvas.
            sure: least probability.
        """
        raise NotImplementedError

    def taught(self, outputs: Tensor, batch: Batch, sure: float) -> list[Target]:
        height, width = batch.images.shape[-2:]
        with torch.autocast(outputs.device.type, enabled=False):
            full = upsample(outputs.float(), self.stride)[..., :height, :width]
        said = [self.sure_label(maps, target.size, sure) for maps, target in zip(full, batch.targets, strict=True)]
        return labelled_with(self.label, said, batch)

    def agreement(self, taught: Target, truth: Target) -> tuple[int, int]:
        return right_pixels(taught[self.label], truth[self.label])

    @torch.no_grad()
    def decode(self, outputs: Tensor, batch: Batch) -> list[Tensor]:
        """What is predicted of each pixel of each image file, [..., H, W]."""
        return [self.finished(self.maps_of(outputs, batch, k))[0] for k in range(len(outputs))]

    @torch.no_grad()
    def maps_of(self, outputs: Tensor, batch: Batch, place: int) -> Tensor:
        """The maps of one image at the pixels of its file, [1, K, H, W] float32, as `finished` takes them."""
        height, width = batch.targets[place].size
        with torch.autocast(outputs.device.type, enabled=False):
            full = upsample(outputs[place, None].float(), self.stride)[..., :height, :width]
            return F.interpolate(full, size=batch.originals[place].size, mode="bilinear", align_corners=False)

    def decoded(self, outputs: Tensor, frames: Frames) -> dict[str, Tensor]:
        """`map` [B, ..., H, W]: what is predicted of each pixel of the canvas; of no meaning in the padding.

        Files differ in size, so that their own maps do not fit into one tensor.
        """
        full = upsample(outputs.float(), self.stride)[..., : frames.canvas[0], : frames.canvas[1]]
        return {"map": self.finished(full)}


def mean_of(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of the counted values of each image: [B, H, W] and bool of that shape -> [B]; 0 where none counts."""
    total = torch.where(counted, values, 0.0).sum((1, 2))
    return total / counted.sum((1, 2)).clamp(min=1)
