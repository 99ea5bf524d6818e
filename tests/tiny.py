"""A network of a few thousand parameters and batches of drawn rectangles, for tests of the training step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from vjo_train.backbones.base import Backbone
from vjo_train.backbones.neck import FPN
from vjo_train.heads.base import Head
from vjo_train.heads.classification import Classification
from vjo_train.heads.detection.fcos import FCOS
from vjo_train.lr_schedules import Constant
from vjo_train.module import MultiTaskModule
from vjo_train.optimizers import SGD, AdamW
from vjo_train.sharing.hard import HardSharing
from vjo_train.types import Batch, Target
from vjo_train.weighting.base import Weighting
from vjo_train.weighting.equal import EqualWeighting

CLASSES = 3
SIZE = 64


class TinyBackbone(Backbone):
    """Four strided convolutions; no norm, so that an image's features do not depend on its batch."""

    def __init__(self) -> None:
        widths = (3, 8, 8, 16, 16)
        stages = [
            nn.Sequential(nn.Conv2d(a, b, 3, stride=4 if i == 0 else 2, padding=1), nn.SiLU())
            for i, (a, b) in enumerate(pairwise(widths))
        ]
        super().__init__(stages, widths[1:], 0)


def heads(tasks: Sequence[str], channels: dict[str, int]) -> dict[str, Head]:
    """The heads of `tasks`, without dropout."""
    makers = {
        "classification": lambda: Classification(channels=channels, num_classes=CLASSES, dropout=0.0),
        "detection": lambda: FCOS(channels=channels, num_classes=CLASSES, depth=1),
    }
    return {task: makers[task]() for task in tasks}


def module(
    tasks: Sequence[str] = ("classification", "detection"),
    *,
    weighting: Weighting | None = None,
    optimizer: SGD | AdamW | None = None,
    seed: int = 0,
) -> MultiTaskModule:
    """A tiny network; equal arguments give equal weights."""
    torch.manual_seed(seed)
    backbone = TinyBackbone()
    neck = FPN(in_channels=backbone.channels, channels=16)
    task_heads = heads(tasks, {**backbone.channels, **neck.channels})
    return MultiTaskModule(
        sharing=HardSharing(backbone=backbone, neck=neck, levels={t: h.levels for t, h in task_heads.items()}),
        heads=task_heads,
        weighting=weighting or EqualWeighting(tasks=tasks),
        optimizer=optimizer or SGD(lr=0.01, momentum=0.9, weight_decay=1e-2),
        lr_schedule=Constant(),
        channels_last=False,
    )


def target(generator: torch.Generator, labelled: frozenset[str]) -> Target:
    """One to three boxes of random classes on a canvas."""
    count = int(torch.randint(1, 4, (), generator=generator))
    corner = torch.rand(count, 2, generator=generator) * 32
    boxes = torch.cat([corner, corner + 8 + torch.rand(count, 2, generator=generator) * 24], 1)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    classes = torch.full((CLASSES,), -1, dtype=torch.int8)
    classes[labels] = 1
    return Target((SIZE, SIZE), labelled, classes, boxes, labels, torch.zeros(count, dtype=torch.bool))


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
    targets = [target(generator, name) for name in names]
    for image, known in zip(images, targets, strict=True):
        _paint(image, known)
    ids = [f"{step:03d}{i:03d}" for i in range(size)]
    return Batch(images, targets, ids, torch.ones(size), tuple(tasks), originals=targets, step=step)


def _paint(image: Tensor, known: Target) -> None:
    for (x1, y1, x2, y2), label in zip(known.boxes.int().tolist(), known.labels.tolist(), strict=True):
        image[:, y1:y2, x1:x2] = 0
        image[label, y1:y2, x1:x2] = 255
