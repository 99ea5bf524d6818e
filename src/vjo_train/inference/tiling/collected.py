"""The objects of a picture, window by window."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vjo_train.inference.tiling.objects import Found, Integers, groups, is_cut
from vjo_train.inference.tiling.windows import Window
from vjo_train.types import Detections, PlacedMasks


class Collected:
    """Takes the objects of windows, and of the picture as a whole; gives those of the picture.

    Args:
        size: (height, width) of the picture.
        tile: height and width of a window.
        nms_threshold: as in the detection head.
    """

    def __init__(self, size: tuple[int, int], tile: tuple[int, int], nms_threshold: float) -> None:
        self.size, self._tile, self._threshold = size, tile, nms_threshold
        self._views: list[Window] = []
        self._found: list[Detections] = []

    def add(self, window: Window, found: Detections) -> None:
        """Takes the objects of a window, in its pixels."""
        self._views.append(window)
        self._found.append(_moved(found.to("cpu"), window, self.size))

    def add_whole(self, found: Detections) -> None:
        """Takes those of the picture as a whole that no window can hold."""
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        down, across = self._tile
        long = (sides[:, 0] > across) | (sides[:, 1] > down)
        names = ("boxes", "scores", "labels", "masks", "keypoints")
        parts = {name: part[long] for name in names if (part := getattr(found, name)) is not None}
        self.add(Window(0, 0, *self.size), Detections(**parts))

    def merged(self) -> Detections:
        """The objects of the picture, best score first."""
        views = np.array([(view.left, view.top, view.right, view.bottom) for view in self._views], np.float64)
        view = np.repeat(np.arange(len(views)), [len(found.boxes) for found in self._found])
        boxes = torch.cat([found.boxes for found in self._found])
        scores = torch.cat([found.scores for found in self._found])
        labels = torch.cat([found.labels for found in self._found])
        corners = boxes.double().numpy()
        chosen = groups(
            Found(
                boxes=corners,
                scores=scores.double().numpy(),
                labels=labels.numpy(),
                view=view,
                cut=is_cut(corners, views[view], self.size),
                seen=views[view],
            ),
            self._threshold,
        )
        best = torch.tensor([int(own[0]) for own in chosen], dtype=torch.int64)
        return Detections(
            boxes=torch.stack([_around(boxes[own]) for own in chosen]) if chosen else boxes[:0],
            scores=scores[best],
            labels=labels[best],
            masks=self._masks(chosen),
            keypoints=self._points(chosen),
        )

    def _masks(self, chosen: list[Integers]) -> PlacedMasks | None:
        """The masks of groups of pieces: where one of them is."""
        if any(found.masks is None for found in self._found):
            return None
        parts, corners = list[Tensor](), list[Tensor]()
        for found in self._found:
            assert isinstance(found.masks, PlacedMasks)
            parts += found.masks.parts
            corners += found.masks.corners.unbind()
        joined = [_joined([parts[k] for k in own], [corners[k] for k in own]) for own in chosen]
        places = torch.stack([corner for _, corner in joined]) if joined else torch.zeros(0, 2, dtype=torch.int64)
        return PlacedMasks([part for part, _ in joined], places, self.size)

    def _points(self, chosen: list[Integers]) -> Tensor | None:
        """The points of groups of pieces: each where a piece is surest of it."""
        rows = [found.keypoints for found in self._found if found.keypoints is not None]
        if len(rows) < len(self._found):
            return None
        points = torch.cat(rows)
        surest = [points[own, :, 2].argmax(0) for own in chosen]
        number = torch.arange(points.shape[1])
        best = [points[own][which, number] for own, which in zip(chosen, surest, strict=True)]
        return torch.stack(best) if best else points[:0]


def _moved(found: Detections, window: Window, size: tuple[int, int]) -> Detections:
    """From a window to the picture."""
    shift = torch.tensor([window.left, window.top], dtype=torch.float32)
    points = found.keypoints
    if points is not None:
        points = torch.cat([points[..., :2] + shift, points[..., 2:]], dim=-1)
    masks = None
    if found.masks is not None:
        assert isinstance(found.masks, PlacedMasks), "pieces hold masks small"
        masks = PlacedMasks(found.masks.parts, found.masks.corners + shift.flip(0).long(), size)
    return Detections(found.boxes + shift.repeat(2), found.scores, found.labels, masks, points)


def _joined(parts: list[Tensor], corners: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The union of masks that lie at `corners` (top, left), and where it lies."""
    if len(parts) == 1:
        return parts[0], corners[0]
    tops = torch.stack(corners)
    ends = tops + torch.tensor([part.shape for part in parts])
    first = tops.amin(0)
    out = parts[0].new_zeros((ends.amax(0) - first).tolist())
    for part, (top, left) in zip(parts, (tops - first).tolist(), strict=True):
        out[top : top + part.shape[0], left : left + part.shape[1]] |= part
    return out, first


def _around(boxes: Tensor) -> Tensor:
    """[N, 4] -> [4]: the least box around all."""
    return torch.cat([boxes[:, :2].amin(0), boxes[:, 2:].amax(0)])
