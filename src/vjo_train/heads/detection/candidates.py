"""The pairs of box and class that may become detections, image after image in one list."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Pairs:
    """M pairs of box and class of B images, ordered by image."""

    image: Tensor
    """[M] int64."""
    row: Tensor
    """[M] int64: the box's place among the R of its image."""
    label: Tensor
    """[M] int64: the class."""
    score: Tensor
    """[M] float32."""

    def __getitem__(self, which: Tensor) -> Pairs:
        return Pairs(self.image[which], self.row[which], self.label[which], self.score[which])

    def places(self, images: int) -> Tensor:
        """[M] int64: the place of each pair among those of its image, of which there are `images`."""
        counts = self.image.new_zeros(images).index_add(0, self.image, torch.ones_like(self.image))
        starts = counts.cumsum(0) - counts
        return torch.arange(self.image.shape[0], device=self.image.device) - starts[self.image]


def pairs_above(scores: Tensor, threshold: float) -> Pairs:
    """The pairs of [B, R, C] scores above a threshold."""
    index = (scores > threshold).flatten().nonzero()[:, 0]
    place = index // scores.shape[2]
    rows = max(1, scores.shape[1])
    return Pairs(place // rows, place % rows, index % scores.shape[2], scores.flatten()[index].float())


def likely_pairs(logits: Tensor, threshold: float) -> Pairs:
    """The pairs of [B, R, C] logits whose probability is above a threshold, and a few more: no sigmoid of the rest.

    Some more, because a logit of 16 bits may lie on the other side of the bound's rounding.
    """
    bound = math.log(threshold / (1 - threshold)) if threshold > 0 else -math.inf
    pairs = pairs_above(logits, bound - 0.01 * (1 + abs(bound)))
    pairs.score = pairs.score.sigmoid()
    return pairs


def best_pairs(pairs: Pairs, images: int, count: int) -> Pairs:
    """At most `count` pairs of each of the images, those with the best scores."""
    if torch.compiler.is_exporting():  # a graph for another program has no loops
        pairs = pairs[pairs.score.argsort(descending=True)]
        pairs = pairs[pairs.image.argsort()]  # ONNX's TopK, which it becomes, keeps the order of equals
        return pairs[pairs.places(images) < count]
    counts = pairs.image.bincount(minlength=images).tolist()
    if max(counts, default=0) <= count:
        return pairs
    starts = [sum(counts[:image]) for image in range(images)]
    parts = torch.split(pairs.score, counts)
    return pairs[
        torch.cat([start + part.topk(min(count, len(part))).indices for start, part in zip(starts, parts, strict=True)])
    ]
