"""A network of a few thousand parameters and batches of drawn rectangles, for tests of the training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from vjo_train.backbones.base import Backbone
from vjo_train.backbones.neck import FPN
from vjo_train.heads.base import Head
from vjo_train.heads.classification import Classification
from vjo_train.heads.detection.fcos import FCOS
from vjo_train.heads.instance.mnc import MNC
from vjo_train.heads.parts import own_parameters
from vjo_train.heads.semantic import SemanticFPN
from vjo_train.optim.lr_schedules import Constant
from vjo_train.optim.optimizers import SGD, AdamW
from vjo_train.sharing.base import Sharing
from vjo_train.sharing.hard import HardSharing
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch, Boxes, Target
from vjo_train.weighting.base import Weighting
from vjo_train.weighting.equal import EqualWeighting

CLASSES = 3
SIZE = 64
ALL = frozenset({"classes", "boxes", "semantic", "masks"})
"""The kinds of label of an image that is labelled for all four tasks."""


class TinyBackbone(Backbone):
    """Four strided convolutions; no norm, so that an image's features do not depend on its batch."""

    def __init__(self, norm: Callable[[int], nn.Module] | None = None) -> None:
        widths = (3, 8, 8, 16, 16)
        stages = []
        for i, (a, b) in enumerate(pairwise(widths)):
            conv = nn.Conv2d(a, b, 3, stride=4 if i == 0 else 2, padding=1)
            stages.append(nn.Sequential(conv, *([] if norm is None else [norm(b)]), nn.SiLU()))
        super().__init__(stages, widths[1:], 0)


class BatchNormBackbone(TinyBackbone):
    """The same with running statistics, for whole runs."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm2d)


BACKBONE = ("~backbone", "+backbone._target_=tests.tiny.BatchNormBackbone")
"""It on a command line."""


def heads(tasks: Sequence[str], channels: dict[str, int], split: bool = False) -> dict[str, Head]:
    """The heads of `tasks`, without dropout."""
    makers: dict[str, Callable[[], Head]] = {
        "classification": lambda: Classification(channels=channels, num_classes=CLASSES, dropout=0.0),
        "detection": lambda: FCOS(channels=channels, num_classes=CLASSES, depth=1),
        "semantic": lambda: SemanticFPN(channels=channels, num_classes=CLASSES, width=8),
        "instance": lambda: mnc(channels, split_losses=split),
    }
    return {task: makers[task]() for task in tasks}


def mnc(channels: dict[str, int], **options: Any) -> MNC:
    """A small cascade whose samples take all there is, so that nothing in it is random."""
    everything = {"anchors_per_image": 10**5, "rois_per_image": 10**5, "proposals": 16, "eval_proposals": 16}
    small = {"hidden": 16, "mask_depth": 1, "mask_width": 8}
    return MNC(channels=channels, num_classes=CLASSES, **(everything | small | options))


def module(
    tasks: Sequence[str] = ("classification", "detection"),
    *,
    weighting: Weighting | None = None,
    optimizer: SGD | AdamW | None = None,
    sharing: Callable[..., Sharing] = HardSharing,
    channels_last: bool = False,
    seed: int = 0,
    split: bool = False,
) -> MultiTaskModule:
    """A tiny network; equal arguments give equal weights. With `split`, the losses of `instance` are three tasks."""
    torch.manual_seed(seed)
    backbone = TinyBackbone()
    neck = FPN(in_channels=backbone.channels, channels=16)
    channels = {**backbone.channels, **neck.channels}
    task_heads = heads(tasks, channels, split)
    return MultiTaskModule(
        sharing=sharing(backbone=backbone, neck=neck, levels={t: h.levels for t, h in task_heads.items()}),
        heads=task_heads,
        weighting=weighting or EqualWeighting(tasks=tuple(own_parameters(task_heads))),
        optimizer=optimizer or SGD(lr=0.01, momentum=0.9, weight_decay=1e-2),
        lr_schedule=Constant(),
        channels_last=channels_last,
    )


def target(generator: torch.Generator) -> Target:
    """One to three boxes of random classes on a canvas, with all kinds of label."""
    count = int(torch.randint(1, 4, (), generator=generator))
    corner = torch.rand(count, 2, generator=generator) * 32
    boxes = torch.cat([corner, corner + 8 + torch.rand(count, 2, generator=generator) * 24], 1)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    classes = torch.full((CLASSES,), -1, dtype=torch.int8)
    classes[labels] = 1
    inside, semantic = torch.zeros(count, SIZE, SIZE, dtype=torch.bool), torch.zeros(SIZE, SIZE, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2), label in zip(inside, boxes.int().tolist(), labels.tolist(), strict=True):
        mask[y1:y2, x1:x2] = True
        semantic[y1:y2, x1:x2] = label + 1
    objects = Boxes(boxes, labels, torch.zeros(count, dtype=torch.bool))
    known = {"classes": classes, "boxes": objects, "semantic": semantic, "masks": inside}
    return Target((SIZE, SIZE), known)


def batch(
    size: int = 4,
    *,
    tasks: Sequence[str] = ("classification", "detection"),
    labelled: Sequence[frozenset[str]] | None = None,
    step: int = 0,
    seed: int = 0,
) -> Batch:
    """Noise images on which each target's boxes are painted in the colour of their class."""
    generator = torch.Generator().manual_seed(1000 * seed + step)
    images = torch.randint(0, 256, (size, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    names = labelled or [frozenset({"classes", "boxes"})] * size
    whole = [target(generator) for _ in names]
    for image, known in zip(images, whole, strict=True):
        _paint(image, known["boxes"])
    targets = [known.only(kinds) for known, kinds in zip(whole, names, strict=True)]
    ids = [f"{step:03d}{i:03d}" for i in range(size)]
    return Batch(images, targets, ids, torch.ones(size), tuple(tasks), originals=targets, step=step)


def _paint(image: Tensor, objects: Boxes) -> None:
    for (x1, y1, x2, y2), label in zip(objects.xyxy.int().tolist(), objects.labels.tolist(), strict=True):
        image[:, y1:y2, x1:x2] = 0
        image[label, y1:y2, x1:x2] = 255
