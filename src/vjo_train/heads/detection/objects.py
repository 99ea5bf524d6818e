"""The ground truth of a batch as padded tensors, so that assignment needs no loop over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vjo_train.types import Boxes, Keypoints, Target


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
    keypoints: list[Keypoints | None] = field(default_factory=list)
    """Of each image, in the same way."""
    unknown: Tensor | None = None
    """[B, C] bool: the classes whose objects are not annotated in the image; None: none in any."""

    @classmethod
    def of(
        cls,
        targets: Sequence[Target],
        labelled: Sequence[bool],
        device: torch.device | str = "cpu",
        unknown: Tensor | None = None,
    ) -> Objects:
        """Pads the targets, which lie on `device`; those not `labelled` count as without objects."""
        none = Boxes.none().to(device)
        known: list[Boxes] = [target["boxes"] if flag else none for target, flag in zip(targets, labelled, strict=True)]
        difficult = _pad([one.difficult for one in known])
        present = _pad([torch.ones_like(one.difficult) for one in known])
        return cls(
            boxes=_pad([one.xyxy.float() for one in known]),
            classes=_pad([one.labels for one in known]),
            real=present & ~difficult,
            difficult=difficult,
            labelled=torch.tensor(labelled, device=device),
            sizes=torch.tensor([target.size for target in targets], dtype=torch.float32, device=device),
            masks=_given("masks", targets, labelled),
            keypoints=_given("keypoints", targets, labelled),
            unknown=unknown,
        )


def _given(kind: str, targets: Sequence[Target], labelled: Sequence[bool]) -> list[Any]:
    return [target.labels.get(kind) if flag else None for target, flag in zip(targets, labelled, strict=True)]


def _pad(rows: list[Tensor]) -> Tensor:
    padded = pad_sequence(rows, batch_first=True)
    if padded.shape[1]:
        return padded
    return padded.new_zeros(padded.shape[0], 1, *padded.shape[2:])
