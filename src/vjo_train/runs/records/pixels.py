"""Records of class maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vjo_train.runs.records.base import Doubles, Figures, Integers, Records


@dataclass(frozen=True)
class Pixels(Records):
    """Semantic segmentation: every image's confusion matrix, of which only the cells that are not 0 are kept.

    Attributes:
        image: [N] the image of each cell.
        truth: [N] 0 background, k + 1 for class k.
        found: [N] the same of the prediction.
        count: [N] pixels.
        shape: [2] how many images and how many classes there are, background included.
    """

    kind: ClassVar[str] = "pixels"
    measure: ClassVar[str] = "mean IoU of the classes in the image or its prediction (0 to 1)"
    image: Integers
    truth: Integers
    found: Integers
    count: Integers
    shape: Integers

    def resampled(self, draws: Integers) -> Figures:
        """`miou` and `pixel_accuracy` on samples of the images, given how often each is drawn, [R, I]."""
        size = int(self.shape[1])
        cell = self.truth.astype(np.int64) * size + self.found
        miou, accuracy = np.empty(len(draws)), np.empty(len(draws))
        for r, drawn in enumerate(draws):
            counts = np.bincount(cell, weights=self.count * drawn[self.image], minlength=size * size)
            confusion = counts.reshape(size, size)
            hits, total = confusion.diagonal(), confusion.sum()
            union = confusion.sum(0) + confusion.sum(1) - hits
            miou[r] = (hits[union > 0] / union[union > 0]).mean() if total else np.nan
            accuracy[r] = hits.sum() / total if total else np.nan
        return {"miou": miou, "pixel_accuracy": accuracy}

    def quality(self) -> Doubles:
        """Mean IoU over the classes, background included, that an image or its prediction shows; NaN without pixels."""
        images, classes = (int(n) for n in self.shape)
        hits, truth, found = (np.zeros((images, classes)) for _ in range(3))
        np.add.at(truth, (self.image, self.truth), self.count)
        np.add.at(found, (self.image, self.found), self.count)
        right = self.truth == self.found
        np.add.at(hits, (self.image[right], self.truth[right]), self.count[right])
        union = truth + found - hits
        shown = (union > 0).sum(axis=1)
        total = np.where(union > 0, hits / np.maximum(union, 1), 0.0).sum(axis=1)
        return np.where(shown > 0, total / np.maximum(shown, 1), np.nan)

    def contents(self) -> Doubles:
        """Kinds of pixels."""
        return np.bincount(self.image, minlength=int(self.shape[0])).astype(np.float64)

    def confusion(self) -> Doubles:
        """In pixels."""
        size = int(self.shape[1])
        cells = self.truth.astype(np.int64) * size + self.found
        counts = np.bincount(cells, weights=self.count, minlength=size * size)
        return counts.astype(np.float64).reshape(size, size)
