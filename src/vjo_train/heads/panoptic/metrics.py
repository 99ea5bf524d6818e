"""Panoptic figures, from the labels of objects and of pixels."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.panoptic.segments import Segments
from vjo_train.metrics.panoptic import PanopticFigures
from vjo_train.types import IGNORE, Target

KINDS = frozenset({"semantic", "boxes", "masks"})


class PanopticMetrics(TaskMetrics):
    """See `PanopticFigures`. Images without object masks or a class map are left out.

    Background where a class is found that is unknown in the image is void.

    Args:
        things: [C] bool: the classes of objects.
        background: whether 0 in a class map is a background, on which every segment is wrong; else it is void.
    """

    per_class: ClassVar[dict[str, str]] = {"pq_class": "pq"}

    def __init__(self, things: Tensor, background: bool) -> None:
        super().__init__()
        self.things, self.background = things, background
        self.figures = PanopticFigures(things)

    def update(self, predictions: list[Segments], targets: list[Target]) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            if target.labelled >= KINDS:
                found = predicted(prediction, len(self.things))
                known = truth(target, self.things, self.background)
                self.figures.update(found[None], self._forgiven(known, found, target)[None])

    def _forgiven(self, truth: Tensor, found: Tensor, target: Target) -> Tensor:
        """The truth with void for background where a class is found that is unknown in the image."""
        of_objects, of_stuff = target.unknown(["boxes", "masks"]), target.unknown(["semantic"])
        if of_objects is None and of_stuff is None:
            return truth
        none = torch.zeros_like(self.things)
        objects, stuff = (none if unknown is None else unknown.cpu() for unknown in (of_objects, of_stuff))
        unknown = F.pad(torch.where(self.things, objects, stuff), (0, 1)).to(found.device)
        void = (truth[..., 0] == len(self.things)) & unknown[found[..., 0]].to(truth.device)
        return torch.where(void[..., None], truth.new_tensor([len(self.things) + 1, 0]), truth)

    def compute(self) -> dict[str, Tensor]:
        return self.figures.compute()

    def reset(self) -> None:
        self.figures.reset()


def predicted(segments: Segments, classes: int) -> Tensor:
    """[H, W, 2]: the class of each pixel, C where there is no segment, and its segment."""
    # Never void, which would be forgiven: the panoptic API counts an object that nothing covers as missed.
    table = torch.cat([segments.labels.new_tensor([classes]), segments.labels])
    ids = segments.ids.long()
    return torch.stack([table[ids], ids], dim=-1)


def truth(target: Target, things: Tensor, background: bool) -> Tensor:
    """[H, W, 2]: class and object of each pixel of a labelled image.

    Objects are those of the masks, the first on top; difficult ones are void, and so are pixels of a class of objects
    that belong to none.
    """
    semantic, classes = target["semantic"].long(), len(things)
    void = classes + 1
    of_map = torch.full((256,), void, device=semantic.device)
    of_map[1 : classes + 1] = torch.where(things, void, torch.arange(classes)).to(semantic.device)
    of_map[0] = classes if background else void
    of_map[IGNORE] = void
    labels, numbers = of_map[semantic], torch.zeros_like(semantic)
    boxes = target["boxes"]
    rows = zip(target["masks"], boxes.labels.tolist(), boxes.difficult.tolist(), strict=True)
    for number, (mask, label, difficult) in reversed(list(enumerate(rows, 1))):
        labels[mask] = void if difficult else label
        numbers[mask] = number
    return torch.stack([labels, numbers], dim=-1)
