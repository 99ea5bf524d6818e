"""RoIAlign over a pyramid (He, Gkioxari, Dollar, Girshick 2017): features pooled in regions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from vjo_train.heads.detection.boxes import area

SAMPLES = 2
"""Samples per cell along each axis."""


def pool_regions(
    features: Sequence[Tensor],
    strides: Sequence[int],
    regions: Tensor,
    image: Tensor,
    resolution: int,
    centred: bool = True,
) -> Tensor:
    """Pools each region on the level of its size (Lin et al. 2017a); no gradient to the regions.

    On a CPU, torchvision's kernel takes eight times as long, and with its backward nine times: it computes every
    channel's samples anew.

    Args:
        features: [B, channels, h, w] of each level.
        strides: of the levels, finest first; a region of 224 pixels goes to stride 16, one of half the side to stride
            8, and so on.
        regions: [M, 4] xyxy in canvas pixels.
        image: [M] int64: the image of each region.
        resolution: cells per side that a region is pooled into.
        centred: whether a pixel of a level stands for its middle; if not, for its corner, and regions count as at least
            a pixel of their level wide and high (torchvision's `aligned=False`).

    Returns:
        [M, channels, resolution, resolution] float32.
    """
    regions = regions.detach()
    wanted = torch.floor(4 + torch.log2(area(regions).clamp(min=0).sqrt() / 224 + 1e-6))
    bounds = wanted.new_tensor([math.log2(stride) for stride in strides[1:]])
    place = (wanted[:, None] >= bounds).sum(1)
    # What is exported is an operator that ONNX knows.
    pool = by_rows if features[0].is_cpu and not torch.compiler.is_exporting() else by_torchvision
    return pool(features, strides, regions, image, place, resolution, centred)


def by_torchvision(
    features: Sequence[Tensor],
    strides: Sequence[int],
    regions: Tensor,
    image: Tensor,
    place: Tensor,
    resolution: int,
    centred: bool = True,
) -> Tensor:
    """Regions [M, 4] of the images [M], each on the level at its place [M], by torchvision's kernel."""
    boxes = torch.cat([image[:, None].to(regions), regions], dim=1)
    places = [(place == at).nonzero()[:, 0] for at in range(len(features))]
    pooled = [
        roi_align(feature.float(), boxes[here], resolution, 1 / step, sampling_ratio=SAMPLES, aligned=centred)
        for step, feature, here in zip(strides, features, places, strict=True)
    ]
    return torch.cat(pooled)[torch.cat(places).argsort()]


def by_rows(
    features: Sequence[Tensor],
    strides: Sequence[int],
    regions: Tensor,
    image: Tensor,
    place: Tensor,
    resolution: int,
    centred: bool = True,
) -> Tensor:
    """The same: a cell is a weighted sum of rows of a table that has a pixel's features in each row."""
    heights, widths = (torch.tensor([f.shape[axis] for f in features], device=image.device)[place] for axis in (2, 3))
    sizes = torch.tensor([len(f) * f.shape[2] * f.shape[3] for f in features], device=image.device)
    first = (sizes.cumsum(0) - sizes)[place] + image * heights * widths
    scaled = regions / regions.new_tensor(strides)[place, None]
    if centred:
        scaled = scaled - 0.5
    else:
        scaled = torch.cat([scaled[:, :2], torch.maximum(scaled[:, 2:], scaled[:, :2] + 1)], dim=1)
    columns, across = _taps(scaled[:, 0], scaled[:, 2], widths, resolution)
    rows, down = _taps(scaled[:, 1], scaled[:, 3], heights, resolution)
    lines = first[:, None, None] + rows * widths[:, None, None]
    indices = lines[:, :, None, :, None] + columns[:, None, :, None, :]
    weights = down[:, :, None, :, None] * across[:, None, :, None, :]
    table = torch.cat([f.movedim(1, -1).flatten(0, -2) for f in features]).float()
    sums = F.embedding_bag(indices.flatten(0, 2).flatten(1), table, mode="sum",
                           per_sample_weights=weights.flatten(0, 2).flatten(1))  # fmt: skip
    return sums.view(len(regions), resolution, resolution, table.shape[1]).movedim(-1, 1)


def _taps(low: Tensor, high: Tensor, length: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Where the samples of each cell lie along one axis.

    Args:
        low: [M] where the regions begin, in pixels of their level whose centres are whole numbers.
        high: [M] where they end.
        length: [M] int64: pixels of the level.
        resolution: cells of a region, R.

    Returns:
        [M, R, T] int64: the pixels that a cell looks at, two for each sample; and [M, R, T]: their weights, 0 for
        samples that are more than a pixel outside.
    """
    steps = (torch.arange(resolution * SAMPLES, device=low.device) + 0.5) / (resolution * SAMPLES)
    samples = low[:, None] + (high - low)[:, None] * steps
    last = length[:, None] - 1
    inside = (samples >= -1) & (samples <= length[:, None])
    # Of a network that has diverged, samples may be NaN: what comes of that is for the check of the loss to say.
    samples = torch.where(inside, samples, 0.0).clamp(min=0).minimum(last.to(samples))
    before = samples.floor()
    share = samples - before
    pixels = torch.stack([before.long(), torch.minimum(before.long() + 1, last)], dim=-1)
    weights = torch.stack([1 - share, share], dim=-1) * inside[..., None] / SAMPLES
    shape = (len(low), resolution, 2 * SAMPLES)
    return pixels.view(shape), weights.view(shape)
