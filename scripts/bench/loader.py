"""The loader with two processes against what it cannot beat, and against torchvision's reference pipeline.

The pictures are those of `$VJO_SHARED/VOCdevkit` where that variable is set, else drawn shapes with as many pixels as
500 x 375; the canvas has 512. The limit is decoding and resizing alone, in as many processes, with nothing sent back:
by the functions of vjo-train, and with torchvision's resizing in the place of its own.
The reference is the augmentation of torchvision's detection reference (Pillow, then transforms v2: distortion of
colours, zoom out, crop by IoU, flip) with the probabilities of `dataset=voc2007`, resized and padded to the canvas.
The result beside the seconds is how many images a visit loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from bench.sides import Aim, Section, now
from vjo_train.config import build
from vjo_train.data.datamodule import DataModule
from vjo_train.data.decode import read_image
from vjo_train.data.loading import BatchLoader
from vjo_train.data.resizing import resize
from vjo_train.data.transforms import Augment
from vjo_train.types import MEAN_COLOUR

SIDE = 433
"""Of a drawn picture: 433 x 433 has the pixels of 500 x 375."""
DRAWN = [
    *("dataset=shapes", f"dataset.generate.image_size={SIDE}", "dataset.generate.train=128", "dataset.val_split=null"),
    *("dataset.generate.val=1", "dataset.generate.test=1", "dataset.augment.zoom_out=0.5", "dataset.augment.crop=0.5"),
    *("dataset.augment.jitter=0.5", "dataset.augment.jitter_strength=0.5", "dataset.augment.zoom_out_max=3"),
]
IMAGES = 640
LIMIT, TORCHVISION_LIMIT = "decode and resize", "decode and resize, torchvision"
OURS, KEPT, REFERENCE = "vjo-train", "vjo-train cache=ram", "torchvision reference"


def section(overrides: Sequence[str], folder: Path) -> Section:
    """Compares seconds per image over at least `IMAGES` images a visit, in one go."""
    shared = os.environ.get("VJO_SHARED")
    data = ["dataset=voc2007", f"dataset.root={shared}/VOCdevkit"] if shared else DRAWN
    fixed = [*data, "dataset.size=512", "dataset.workers=2", f"dataset.cache_dir={folder}", "backbone=resnet10"]
    loaders = {}
    for name, cache in ((OURS, "none"), (KEPT, "ram")):
        with initialize_config_module("vjo_train.conf", version_base="1.3"):
            cfg = compose("train", [*fixed, *overrides, f"dataset.cache={cache}"])
        module = _data(cfg, folder)
        steps = -(-IMAGES // module.batch_size)
        turns = [module.batch_plan(step) for step in range(steps)]
        dataset = module.train_dataloader().dataset
        loaders[name] = BatchLoader(dataset, turns, workers=module.workers, pin_memory=False)
    rows = [[draw.image for draw in turn.samples] for turn in turns]
    for name, dataset in (
        (LIMIT, _Limit(module, resize_ours)),
        (TORCHVISION_LIMIT, _Limit(module, resize_torchvision)),
        (REFERENCE, _Reference(module, module.augment)),
    ):
        loaders[name] = DataLoader(
            dataset, sampler=rows, batch_size=None, num_workers=module.workers, persistent_workers=module.workers > 0
        )
    return Section(
        unit="image",
        result="images",
        sides={name: partial(all_of, loaders[name]) for name in (LIMIT, TORCHVISION_LIMIT, OURS, KEPT, REFERENCE)},
        aims=[
            Aim(OURS, LIMIT, round(1 / 0.85, 3)),
            Aim(OURS, TORCHVISION_LIMIT, round(1 / 0.85, 3)),
            Aim(OURS, REFERENCE, round(1 / 1.5, 3)),
            Aim(KEPT, REFERENCE, round(1 / 3, 3)),
        ],
        settings={
            "pictures": f"{len(module.train_rows)} {'of VOC 2007' if shared else 'drawn'}",
            "canvas": list(module.canvas),
            "batch": module.batch_size,
            "processes": module.workers,
            "overrides": list(overrides),
        },
    )


def _data(cfg: DictConfig, folder: Path) -> DataModule:
    data = build.job(cfg, folder).data
    data.prepare_data()
    data.setup("fit")
    return data


def all_of(loader: Iterable[Any]) -> tuple[float, float]:
    """All batches."""
    start = now()
    count = sum(batch if isinstance(batch, int) else len(batch) for batch in loader)
    return (now() - start) / count, count


def resize_ours(image: Tensor, side: int) -> None:
    """To `side` at most, as pictures are laid on their canvas."""
    scale = side / max(image.shape[1:])
    height, width = (max(1, round(length * scale)) for length in image.shape[1:])
    place = np.empty((height, width, 3), np.uint8)
    resize(image.permute(1, 2, 0).numpy(), place, (height / image.shape[1], width / image.shape[2]))


def resize_torchvision(image: Tensor, side: int) -> None:
    """To `side` at most."""
    F.resize(image, None, max_size=side, antialias=True)


class _Limit(Dataset[int]):
    """Decodes and resizes, and says how many."""

    def __init__(self, data: DataModule, resized: Callable[[Tensor, int], None]) -> None:
        self.paths = [data.root / "JPEGImages" / f"{name}.jpg" for name in data.index.ids]
        self.side, self.resized = data.canvas[0], resized

    def __getitem__(self, rows: Sequence[int]) -> int:
        for row in rows:
            self.resized(read_image(self.paths[row]), self.side)
        return len(rows)


class _Reference(Dataset[Tensor]):
    """Pillow and transforms v2, one image at a time; a batch is stacked."""

    def __init__(self, data: DataModule, augment: Augment) -> None:
        self.data = data
        fill: dict[type | str, Any] = {tv_tensors.Image: MEAN_COLOUR, Image.Image: MEAN_COLOUR, "others": 0}
        self.augment = v2.Compose(
            [
                v2.RandomPhotometricDistort(p=augment.jitter),
                v2.RandomZoomOut(fill=fill, side_range=(1.0, augment.zoom_out_max), p=augment.zoom_out),
                v2.RandomApply([v2.RandomIoUCrop()], p=augment.crop),
                v2.RandomHorizontalFlip(p=augment.flip),
                v2.Resize(size=None, max_size=data.canvas[0]),
                v2.PILToTensor(),
                v2.SanitizeBoundingBoxes(),
            ]
        )

    def __getitem__(self, rows: Sequence[int]) -> Tensor:
        return torch.stack([self._load(row) for row in rows])

    def _load(self, row: int) -> Tensor:
        known, name = self.data.index.objects(row), self.data.index.ids[row]
        image = Image.open(self.data.root / "JPEGImages" / f"{name}.jpg").convert("RGB")
        size = self.data.index.size(row)
        boxes = tv_tensors.BoundingBoxes(torch.from_numpy(known.boxes.copy()), format="XYXY", canvas_size=size)
        image, _ = self.augment(image, {"boxes": boxes, "labels": torch.from_numpy(known.labels)})
        height, width = image.shape[1:]
        padded: Tensor = F.pad(
            image, [0, 0, self.data.canvas[1] - width, self.data.canvas[0] - height], fill=list(MEAN_COLOUR)
        )
        return padded
