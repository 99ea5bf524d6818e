"""Between masks of an image and small square masks of boxes; no weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from vjo_train.heads.detection.dense import sum_per_image
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.regions import Regions
from vjo_train.types import PlacedMasks

ELEMENTS_AT_ONCE = 1 << 24
"""How many pixels of pasted masks are held in floating point together (64 MiB)."""


def crop_masks(masks: Tensor, picked: Tensor, boxes: Tensor, size: int) -> Tensor:
    """What lies in a box, on a grid of `size` x `size` cells: the share of each cell that the mask covers.

    It is measured at 2 x 2 places of a cell, between pixels by bilinear interpolation.

    Args:
        masks: [N, H, W] bool.
        picked: [M] int64: the mask that is looked at in each box.
        boxes: [M, 4] in the masks' pixels.
        size: cells per side.

    Returns:
        [M, size, size] float32 in 0..1.
    """
    table = torch.cat([picked[:, None].to(boxes), boxes], dim=1)
    cells: Tensor = roi_align(masks[:, None].float(), table, size, 1.0, sampling_ratio=2, aligned=True)
    return cells[:, 0]


def paste_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5) -> Tensor:
    """The inverse of `crop_masks`: small masks, stretched over their boxes by bilinear interpolation.

    A pixel is part of the mask if its centre lies in the box and the value there reaches the threshold.

    Args:
        masks: [N, m, m] float32: probabilities.
        boxes: [N, 4] in the picture's pixels.
        size: (height, width) of the picture.
        threshold: least probability of a pixel of the object.

    Returns:
        [N, height, width] bool: N * height * width bytes.
    """
    height, width = size
    out = torch.empty(len(masks), height, width, dtype=torch.bool, device=masks.device)
    # Bilinear interpolation on a grid is a product of two small matrices per mask.
    step = max(1, ELEMENTS_AT_ONCE // (height * width))
    for start in range(0, len(masks), step):
        part = slice(start, start + step)
        rows = _places(boxes[part, 1], boxes[part, 3], height, masks.shape[1])
        columns = _places(boxes[part, 0], boxes[part, 2], width, masks.shape[2])
        out[part] = rows @ masks[part] @ columns.mT >= threshold
    return out


def place_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5) -> PlacedMasks:
    """The same pixels as of `paste_masks`, of each mask no more than lies in its box; on the CPU."""
    height, width = size
    masks, boxes = masks.cpu(), boxes.cpu()
    first = boxes[:, :2].floor().long().clamp(min=0)
    last = torch.minimum(boxes[:, 2:].ceil().long(), torch.tensor([width, height]))
    parts = []
    for mask, box, (left, top), (right, bottom) in zip(masks, boxes, first.tolist(), last.tolist(), strict=True):
        rows = _places(box[None, 1], box[None, 3], max(bottom, top), mask.shape[0], top)[0]
        columns = _places(box[None, 0], box[None, 2], max(right, left), mask.shape[1], left)[0]
        parts.append(rows @ mask @ columns.T >= threshold)
    return PlacedMasks(parts, first.flip(1), size)


def _places(low: Tensor, high: Tensor, pixels: int, cells: int, first: int = 0) -> Tensor:
    """[N, pixels - first, cells]: how much each cell between `low` and `high` [N] gives to each pixel; 0 outside."""
    centres = torch.arange(first, pixels, device=low.device) + 0.5
    low, high = low[:, None], high[:, None]
    inside = (centres >= low) & (centres < high)
    # Beyond the centre of the first and the last cell, these go on.
    place = ((centres - low) / (high - low).clamp(min=1e-6) * cells - 0.5).clamp(0, cells - 1)
    weights = 1 - (place[..., None] - torch.arange(cells, device=low.device)).abs()
    return weights.clamp(min=0) * inside[..., None]


def with_pixels(objects: Objects) -> Tensor:
    """[B, N] bool: the objects whose mask has pixels (all may be hidden, or void)."""
    out = torch.zeros_like(objects.real)
    for row, masks in zip(out, objects.masks, strict=True):
        if masks is not None:
            row[: len(masks)] = masks.flatten(1).any(1)
    return out & objects.real


def mask_targets(masks: Sequence[Tensor | None], picked: Tensor, boxes: Tensor, image: Tensor, size: int) -> Tensor:
    """`crop_masks` of each box's object in its image.

    Args:
        masks: [N, S, S] bool of each image; None for images that no box lies in.
        picked: [M] int64: the object in its image.
        boxes: [M, 4].
        image: [M] int64, in rising order.
        size: cells per side.

    Returns:
        [M, size, size] float32 in 0..1.
    """
    parts = [boxes.new_zeros(0, size, size)]
    for index in sorted(set(image.tolist())):
        own, here = masks[index], image == index
        assert own is not None, "an image that is labelled `masks` carries them"
        parts.append(crop_masks(own, picked[here], boxes[here], size))
    return torch.cat(parts)


def mask_loss(logits: Tensor, regions: Regions, trained: Tensor, objects: Objects) -> Tensor:
    """[B]: binary cross-entropy, the mean over the cells of a mask and then over an image's masks; 0 without any.

    The truth of a cell is the share of it that the object covers.

    Args:
        logits: [P, m, m] of the regions that are true in `trained`.
        regions: M of them.
        trained: [M] bool: which regions have a mask to learn.
        objects: what they are matched with.
    """
    image, picked = regions.image[trained], regions.objects[trained]
    truth = mask_targets(objects.masks, picked, regions.boxes[trained], image, logits.shape[-1])
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2))
    where = torch.zeros_like(regions.chosen).masked_scatter(regions.chosen, trained)
    return sum_per_image(entropy, where) / where.sum(1).clamp(min=1)
