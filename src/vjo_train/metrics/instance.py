"""The VOC protocol of detection with masks in the place of boxes: AP^r (Hariharan, Arbelaez, Girshick, Malik 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from vjo_train.metrics.matching import Floats, Integers
from vjo_train.metrics.voc import APSetting, VOCDetectionAPs

ELEMENTS_AT_ONCE = 1 << 24
"""How many pixels of masks are held in floating point together."""


class VOCMaskAPs(VOCDetectionAPs):
    """VOC APs in several settings, where IoU is that of masks.

    The matching is that of `VOCDetectionAPs`: each detection asks for the object of its class and image with the
    greatest mask IoU, the first of equals. It needs nothing but these overlaps, so no mask is kept.

    Args:
        num_classes: C.
        settings: name -> setting; `compute` returns `map_<name>` and `ap_<name>` for each.
    """

    overlaps: list[Tensor]

    def __init__(self, num_classes: int, settings: Mapping[str, APSetting]) -> None:
        super().__init__(num_classes, settings)
        self.add_rows("overlaps", 2, torch.float64)  # IoU, object asked for by its place in the image, or -1

    def update(self, preds: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes the detections and the ground truth of some images.

        Args:
            preds: per image `boxes`, `scores`, `labels` as in `VOCDetectionAPs`, and `masks` [N, H, W] bool.
            targets: per image `boxes`, `labels`, `difficult`, and `masks` [M, H, W] bool.

        Raises:
            ValueError: an input of another form; the message names the image and what was found.
        """
        # The base checks the rest, and that there are as many of both.
        rows = [_overlaps(index, *pair) for index, pair in enumerate(zip(preds, targets, strict=False))]
        super().update(preds, targets)
        if rows:
            self.append("overlaps", torch.from_numpy(np.concatenate(rows)))

    def matches(self, image: Integers, object_image: Integers) -> tuple[Floats, Integers]:
        rows, counts = self.rows("overlaps"), self.rows("images")
        first = np.cumsum(counts[:, 2]) - counts[:, 2]  # where the objects of each image begin
        place = rows[:, 1].astype(np.int64)
        return rows[:, 0], np.where(place >= 0, np.repeat(first, counts[:, 1]) + place, -1)


def mask_iou(first: Tensor, second: Tensor) -> Floats:
    """IoU of masks [N, H, W] and [M, H, W], bool -> [N, M]; 0 where both are empty.

    Pixels are counted exactly, and the quotient of two integers is rounded correctly, so that a comparison with a
    threshold such as 0.5 or 0.7 is right.
    """
    pixels = first.shape[1] * first.shape[2]
    # Sums of ones are exact in float32 up to 2^24.
    kind = torch.float32 if pixels <= 1 << 24 else torch.float64
    flat = second.flatten(1).to(kind)
    step = max(1, ELEMENTS_AT_ONCE // max(1, pixels))
    with torch.autocast(first.device.type, enabled=False):  # the products would be rounded to 16 bits
        parts = [part.to(kind) @ flat.T for part in torch.split(first.flatten(1), step)] if len(first) else []
    common = torch.cat(parts) if parts else flat.new_zeros(0, len(second))
    areas = (mask.flatten(1).sum(1).cpu().numpy() for mask in (first, second))
    both = common.cpu().numpy().astype(np.float64)
    union = np.add.outer(*areas) - both
    iou: Floats = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return iou


def _overlaps(index: int, pred: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Floats:
    """[N, 2]: for each detection of an image the greatest IoU with an object of its class, and that object's place."""
    for name, item in (("preds", pred), ("targets", target)):
        masks = item.get("masks")
        if not isinstance(masks, Tensor) or masks.dtype != torch.bool or masks.ndim != 3:
            found = f"{masks.dtype} {list(masks.shape)}" if isinstance(masks, Tensor) else type(masks).__name__
            raise ValueError(f"`{name}[{index}].masks` should be a bool tensor [N, H, W]. Found {found}.")
        labels = item.get("labels")
        if not isinstance(labels, Tensor) or len(labels) != len(masks):
            found = str(list(labels.shape)) if isinstance(labels, Tensor) else type(labels).__name__
            raise ValueError(f"`{name}[{index}].labels` should be {len(masks)}, as the masks. Found {found}.")
    rows = np.stack([np.zeros(len(pred["masks"])), np.full(len(pred["masks"]), -1.0)], axis=1)
    if not len(pred["masks"]) or not len(target["masks"]):
        return rows
    if pred["masks"].shape[1:] != target["masks"].shape[1:]:
        sizes = list(pred["masks"].shape[1:]), list(target["masks"].shape[1:])
        raise ValueError(f"The masks of image {index} should be of one size. Found {sizes[0]} and {sizes[1]}.")
    iou = mask_iou(pred["masks"], target["masks"].to(pred["masks"].device))
    alike = pred["labels"].cpu().numpy()[:, None] == target["labels"].cpu().numpy()[None]
    iou = np.where(alike, iou, -1.0)
    best = iou.argmax(axis=1)
    greatest = iou.max(axis=1)
    rows[:, 0], rows[:, 1] = np.maximum(greatest, 0.0), np.where(greatest >= 0, best, -1)
    return rows
