"""Panoptic figures, from the labels of objects and of pixels."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.panoptic.segments import Segments
from vjo_train.runs.records import Segments as Records
from vjo_train.types import IGNORE, Target

KINDS = frozenset({"semantic", "boxes", "masks"})


class PanopticMetrics(TaskMetrics):
    """See `PanopticFigures`. Images without object masks or a class map are left out.

    Background where a class is found that is unknown in the image is void. Crowds, difficult objects, are no objects to
    find; what is found of their own class and lies mostly on them, or on void, is forgiven.

    Args:
        things: [C] bool: the classes of objects.
        background: whether 0 in a class map is a background, on which every segment is wrong; else it is void.
    """

    per_class: ClassVar[dict[str, str]] = {"pq_class": "pq"}

    def __init__(self, things: Tensor, background: bool) -> None:
        from vjo_train.metrics.panoptic import PanopticFigures

        super().__init__()
        self.things, self.background = things, background
        self.figures = PanopticFigures(things)

    def update(self, predictions: list[Segments], targets: list[Target]) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            if target.labelled >= KINDS:
                found = predicted(prediction, len(self.things))
                known = self._forgiven(truth(target, self.things, self.background), found, target)
                self.figures.update(without_crowds(found, known, target, len(self.things))[None], known[None])

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

    def records(self) -> Records:
        return self.figures.records()


def predicted(segments: Segments, classes: int) -> Tensor:
    """[H, W, 2]: the class of each pixel, C where there is no segment, and its segment."""
    # Never void, which would be forgiven: the panoptic API counts an object that nothing covers as missed.
    table = torch.cat([segments.labels.new_tensor([classes]), segments.labels])
    ids = segments.ids.long()
    return torch.stack([table[ids], ids], dim=-1)


def truth(target: Target, things: Tensor, background: bool) -> Tensor:
    """[H, W, 2]: class and object of each pixel of a labelled image.

    Objects are those of the masks, the first on top; difficult ones are background (see `without_crowds`), and pixels
    of a class of objects that belong to none are void.
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
        labels[mask] = classes if difficult else label
        numbers[mask] = 0 if difficult else number
    return torch.stack([labels, numbers], dim=-1)


def without_crowds(found: Tensor, truth: Tensor, target: Target, classes: int) -> Tensor:
    """`found` without segments that crowds of their own class forgive, as COCO's panoptic code forgives them.

    Such a segment matches no object, and more than half of it lies on void or on difficult objects of its class.

    Args:
        found: [H, W, 2], as `predicted` gives it.
        truth: [H, W, 2].
        target: of the image; its difficult objects are the crowds.
        classes: C, which stands for no segment.
    """
    boxes = target["boxes"]
    if not bool(boxes.difficult.any()):
        return found
    kept, masks = found.clone(), target["masks"].to(found.device)
    truth = truth.to(found.device)
    void = truth[..., 0] == classes + 1
    for label in sorted(set(boxes.labels[boxes.difficult].tolist())):
        crowd = masks[((boxes.labels == label) & boxes.difficult).to(masks.device)].any(0) & (truth[..., 0] == classes)
        for number in sorted(set(found[..., 1][(found[..., 0] == label) & crowd].tolist())):
            own = (found[..., 0] == label) & (found[..., 1] == number)
            if 2 * int((own & (void | crowd)).sum()) > int(own.sum()) and not _matches(own, truth, label, void):
                kept[own] = kept.new_tensor([classes, 0])
    return kept


def _matches(own: Tensor, truth: Tensor, label: int, void: Tensor) -> bool:
    """Whether a segment [H, W] of a class has an IoU above a half with an object of it; void counts in no union."""
    numbers = truth[..., 1].where(truth[..., 0] == label, -1)
    for number in set(numbers[own & (numbers >= 0)].tolist()):
        there = numbers == number
        if 2 * int((own & there).sum()) > int(((own & ~void) | there).sum()):
            return True
    return False
