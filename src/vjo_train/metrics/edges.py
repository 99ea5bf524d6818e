"""Edges with a tolerance: an edge that lies a few pixels off is right."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from vjo_train.metrics.binary import STEPS
from vjo_train.metrics.collect import RowMetric
from vjo_train.runs.records.thresholds import best_of_images, best_of_set
from vjo_train.types import IGNORE


class NearEdges(RowMetric):
    """`ods_f` and `ois_f`: the best F1 at one threshold for the whole set, and at the best one of every image.

    A predicted pixel is right within a distance of a true one, a true pixel is found within that distance of a
    predicted one. The measure of the field (Martin, Fowlkes, Malik 2004; BSDS) matches pixels one to one, after
    thinning the prediction; here several may share a partner and nothing is thinned, so thick edges within the
    distance cost nothing, and figures are as high as the field's or higher.

    Args:
        tolerance: the distance, by the picture's diagonal; 0.0075 is usual.
    """

    counts: list[Tensor]
    numbers: list[Tensor]

    def __init__(self, tolerance: float = 0.0075) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.add_rows("counts", 3 * (STEPS + 1), torch.int32)
        self.add_rows("numbers", 1, torch.int64)

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Takes one image: probabilities [H, W], and 1, 0 or 255 of each pixel."""
        self.append("numbers", torch.tensor([[self.arrived("numbers")]]))
        counts = near_counts(prediction, truth, self.tolerance * math.hypot(*truth.shape))
        self.append("counts", counts.flatten()[None])

    def compute(self) -> dict[str, Tensor]:
        """The figures, float64; NaN where no pixel is an edge, neither in the truth nor in the prediction."""
        counts = self.rows("counts").reshape(-1, 3, STEPS + 1).astype(np.float64)
        ones = np.ones((1, len(counts)))
        values = {"ods_f": best_of_set(ones, counts), "ois_f": best_of_images(ones, counts)}
        return {name: torch.tensor(float(value[0]), dtype=torch.float64) for name, value in values.items()}

    def by_image(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        """[I, 3, T + 1]: every image's counts, of all ranks, as `runs.records.Thresholds.near` has them."""
        with self.sync_context():
            order = np.argsort(self.rows("numbers")[:, 0], kind="stable")
            return self.rows("counts")[order].reshape(-1, 3, STEPS + 1)


def near_counts(prediction: Tensor, truth: Tensor, distance: float) -> Tensor:
    """[3, STEPS + 1]: predicted pixels that are wrong, and right, and true ones, by the step of their probability.

    That of a true pixel is the greatest within the distance. Pixels of 255 count neither way, and help no other.
    """
    counted = (truth != IGNORE).cpu().numpy()
    edges = (truth == 1).cpu().numpy()
    steps = (prediction.double() * STEPS).floor().clamp(0, STEPS).cpu().numpy().astype(np.uint8)
    steps[~counted] = 0
    disc = _disc(distance)
    near = cv2.dilate(edges.astype(np.uint8), disc, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    reached = cv2.dilate(steps, disc, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    parts = (steps[counted & ~near], steps[counted & near], reached[edges])
    return torch.from_numpy(np.stack([np.bincount(part, minlength=STEPS + 1) for part in parts]))


def _disc(distance: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The pixels at most so far away."""
    reach = int(distance)
    along = np.arange(-reach, reach + 1)
    return (along[:, None] ** 2 + along**2 <= distance**2).astype(np.uint8)
