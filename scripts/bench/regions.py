"""RoIAlign of a pyramid's features in regions, against torchvision's kernel.

Four images of 320 px, 256 channels, the 256 regions an image that Mask R-CNN is trained on by default, pooled into
7 x 7 cells from the level of their size: forward alone, and with the gradient of the features. The figure beside the
seconds is the mean magnitude of what is pooled, or of the gradient.
"""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor

from bench.sides import Aim, Section, now
from vjo_train.heads.detection import pooling

IMAGES, SIDE, REGIONS, CHANNELS, CELLS = 4, 320, 256, 256, 7
STRIDES = (8, 16, 32)


def section() -> Section:
    """Compares seconds per image; on a GPU both sides are torchvision's kernel."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    features = [
        torch.randn(IMAGES, CHANNELS, side, side, device=device).to(memory_format=torch.channels_last).requires_grad_()
        for side in (SIDE // 8, SIDE // 16, SIDE // 32)
    ]
    count = IMAGES * REGIONS
    corner, size = torch.rand(count, 2) * SIDE / 2, torch.exp(torch.rand(count, 2) * 3 + 2.3)
    regions = torch.cat([corner, corner + size], dim=1).to(device)
    image = torch.arange(IMAGES, device=device).repeat_interleave(REGIONS)
    return Section(
        unit="image",
        result="mean magnitude",
        sides={
            f"{name}{', with gradient' if trained else ''}": partial(
                visit, torchvision, trained, features, regions, image
            )
            for trained in (False, True)
            for name, torchvision in (("torchvision", True), ("vjo-train", False))
        },
        aims=[
            Aim("vjo-train", "torchvision", 0.6),
            Aim("vjo-train, with gradient", "torchvision, with gradient", 0.6),
        ],
        settings={"images": IMAGES, "canvas": SIDE, "regions an image": REGIONS, "channels": CHANNELS, "cells": CELLS},
    )


def visit(
    torchvision: bool, trained: bool, features: list[Tensor], regions: Tensor, image: Tensor
) -> tuple[float, float]:
    """Pools all regions once."""
    kernel = pooling.by_torchvision if torchvision else pooling.by_rows
    with patch.object(pooling, "by_rows", kernel), torch.set_grad_enabled(trained):
        start = now()
        found = pooling.pool_regions(features, STRIDES, regions, image, CELLS)
        if trained:
            (found, *_) = torch.autograd.grad(found, features, torch.ones_like(found))
        seconds = now() - start
    return seconds / IMAGES, float(found.abs().mean())
