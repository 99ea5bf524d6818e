"""The ground truth of a batch as padded tensors, so that assignment needs no loop over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vjo_train.types import Target


@dataclass
class Objects:
    """The objects of B images, padded to N >= 1 per image. Images without labels have none."""

    boxes: Tensor
    """[B, N, 4] float32 xyxy, canvas pixels; 0 in the padding."""
    classes: Tensor
    """[B, N] int64; 0 in the padding."""
    real: Tensor
    """[B, N] bool: an object to be found, neither difficult nor padding."""
    difficult: Tensor
    """[B, N] bool: an object to be ignored."""
    labelled: Tensor
    """[B] bool: whether the objects of the image are known."""
    sizes: Tensor
    """[B, 2] float32: heights and widths of the images on their canvases."""
    masks: list[Tensor | None] = field(default_factory=list)
    """[n, S, S] bool of each image, in the order of its boxes, without padding; None where there are none."""

    @classmethod
    def of(cls, targets: Sequence[Target], labelled: Sequence[bool]) -> Objects:
        """Pads the targets; those not `labelled` count as without objects."""
        counts = [len(target.boxes) if known else 0 for target, known in zip(targets, labelled, strict=True)]
        cut = list(zip(targets, counts, strict=True))
        boxes = _pad([target.boxes[:count].float() for target, count in cut])
        classes = _pad([target.labels[:count] for target, count in cut])
        difficult = _pad([target.difficult[:count] for target, count in cut])
        present = _pad([torch.ones_like(target.difficult[:count]) for target, count in cut])
        device = boxes.device
        sizes = torch.tensor([target.size for target in targets], dtype=torch.float32, device=device)
        known = torch.tensor(labelled, device=device)
        masks = [target.masks for target in targets]
        return cls(boxes, classes, present & ~difficult, difficult, known, sizes, masks)


def _pad(rows: list[Tensor]) -> Tensor:
    padded = pad_sequence(rows, batch_first=True)
    if padded.shape[1]:
        return padded
    return padded.new_zeros(padded.shape[0], 1, *padded.shape[2:])
