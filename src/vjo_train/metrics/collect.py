"""Collecting rows over batches and ranks: what the metrics of this package share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

FLOATS: Set[torch.dtype] = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
INTEGERS: Set[torch.dtype] = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
NUMBERS, FLAGS = FLOATS | INTEGERS, {torch.bool}


class RowMetric(Metric):
    """Keeps rows of numbers, concatenated over ranks when computed, also when a rank has none.

    Ties in score are broken by arrival, and arrival must not depend on the number of ranks. So each image carries
    its number on its rank, and images of the same number go by rank: that is the order in which one process meets
    them, if rank r of w takes `[r::w]` of each batch.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = True  # `forward` must not restart the numbering

    def __init__(self) -> None:
        super().__init__()
        self._empty: dict[str, Tensor] = {}

    def add_rows(self, name: str, columns: int | None, dtype: torch.dtype) -> None:
        """Adds the state `name`, rows of [N, columns], or of [N] if `columns` is None."""
        self.add_state(name, default=[], dist_reduce_fx="cat")
        self._empty[name] = torch.zeros((0,) if columns is None else (0, columns), dtype=dtype)

    def append(self, name: str, rows: Tensor) -> None:
        """Appends rows to the state `name`."""
        dtype = self._empty[name].dtype
        if dtype == torch.float64 and self.device.type == "mps":
            dtype = torch.float32  # all that this device has
        getattr(self, name).append(rows.detach().to(self.device, dtype))

    def rows(self, name: str) -> npt.NDArray[Any]:
        """All rows of the state `name`, in the order of ranks and, within one, of arrival."""
        state = getattr(self, name)
        tensors = [state] if isinstance(state, Tensor) else state
        empty = self._empty[name].numpy()
        return torch.cat(tensors).cpu().numpy().astype(empty.dtype, copy=False) if tensors else empty

    def arrived(self, name: str) -> int:
        """How many images this rank has taken, from the state `name`, whose first column is their numbers."""
        state = getattr(self, name)
        return int(state[-1][-1].reshape(-1)[0]) + 1 if state and len(state[-1]) else 0

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gathers the ranks' rows; a rank without any takes part with none, of the right shape and type."""
        for name, empty in self._empty.items():
            if len(getattr(self, name)) == 0:
                self.append(name, empty)
        super().sync(*args, **kwargs)


class DetectionMetric(RowMetric):
    """Collects detections and objects of images in torchmetrics' mean-average-precision format.

    Args:
        num_classes: C; labels are 0..C-1.
    """

    boxes: list[Tensor]
    scores: list[Tensor]
    labels: list[Tensor]
    object_boxes: list[Tensor]
    difficult: list[Tensor]
    object_labels: list[Tensor]
    images: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = check_classes(num_classes)
        self.add_rows("boxes", 4, torch.float64)
        self.add_rows("scores", None, torch.float64)
        self.add_rows("labels", None, torch.int64)
        self.add_rows("object_boxes", 4, torch.float64)
        self.add_rows("difficult", None, torch.bool)
        self.add_rows("object_labels", None, torch.int64)
        self.add_rows("images", 3, torch.int64)  # number on this rank, detections, objects

    def update(self, preds: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes the detections and the ground truth of some images.

        Args:
            preds: per image `boxes` [N, 4] xyxy, `scores` [N] floating, `labels` [N] integer; finite.
            targets: per image `boxes` [M, 4], `labels` [M], and `difficult` [M] bool (none is, if left out).

        Raises:
            ValueError: an input of another form; the message names the image and what was found.
        """
        for name, value in (("preds", preds), ("targets", targets)):
            if not isinstance(value, Sequence) or not all(isinstance(item, Mapping) for item in value):
                raise ValueError(f"`{name}` should be a list of dicts, one per image. Found {_form(value)}.")
        if len(preds) != len(targets):
            found = f"{len(preds)} and {len(targets)}"
            raise ValueError(f"`preds` and `targets` should be of as many images. Found {found}.")
        if not preds:
            return
        marked = [item if "difficult" in item else _none_difficult(item) for item in targets]
        answers = [_check_item("preds", index, item, "scores") for index, item in enumerate(preds)]
        there = [_check_item("targets", index, item, "difficult") for index, item in enumerate(marked)]
        detections = self._joined("preds", preds, answers, "scores")
        objects = self._joined("targets", marked, there, "difficult")
        before = self.arrived("images")
        for names, columns in (
            (("boxes", "scores", "labels"), detections),
            (("object_boxes", "difficult", "object_labels"), objects),
        ):
            for state, column in zip(names, columns, strict=True):
                if len(column):
                    self.append(state, column)
        self.append("images", torch.tensor([range(before, before + len(preds)), answers, there]).T)

    def _joined(
        self, name: str, items: Sequence[Mapping[str, Tensor]], counts: Sequence[int], mark: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes [N, 4], `mark` (scores or difficult) [N] and labels [N] of all images, their values checked."""
        some = [item for item, count in zip(items, counts, strict=True) if count]
        if not some:
            return torch.empty(0, 4), torch.empty(0), torch.empty(0)
        boxes, marks, labels = (torch.cat([item[key] for item in some]) for key in ("boxes", mark, "labels"))
        wide = torch.float32 if labels.device.type == "mps" else torch.float64  # all that this device has
        boxes, values = boxes.detach().to(wide), marks.detach().to(wide)
        least, greatest = labels.aminmax()
        # One sum is finite if all numbers are; whether all are if it is not, is looked at only then.
        if least < 0 or greatest >= self.num_classes or not math.isfinite(boxes.sum() + values.sum()):
            for index, item in enumerate(items):
                _check_values(f"{name}[{index}]", item, mark, self.num_classes)
        return boxes, marks, labels

    def image_places(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For each row of `detections` [N] and of `objects` [M], its image's place in the order of arrival."""
        images = self.rows("images")
        place = np.empty(len(images), dtype=np.int64)
        place[np.argsort(images[:, 0], kind="stable")] = np.arange(len(images))
        return np.repeat(place, images[:, 1]), np.repeat(place, images[:, 2])


def check_classes(num_classes: int) -> int:
    """Returns `num_classes`; raises ValueError unless it is a positive integer."""
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"`num_classes` should be a positive integer. Found {num_classes!r}.")
    return num_classes


def _none_difficult(item: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    labels = item.get("labels")
    return {**item, "difficult": torch.zeros_like(labels, dtype=torch.bool)} if isinstance(labels, Tensor) else item


def _check_item(name: str, index: int, item: Mapping[str, Tensor], mark: str) -> int:
    """Checks keys, shapes and types of one image; returns its number of boxes."""
    boxes, marks, labels = item.get("boxes"), item.get(mark), item.get("labels")
    if not (isinstance(boxes, Tensor) and isinstance(marks, Tensor) and isinstance(labels, Tensor)):
        key = next(key for key in ("boxes", mark, "labels") if not isinstance(item.get(key), Tensor))
        found = _form(item[key]) if key in item else f"the keys {sorted(item)}"
        raise ValueError(f"`{name}[{index}]` should have a tensor `{key}`. Found {found}.")
    shape = boxes.shape
    if shape[1:] != (4,) and shape != (0,):
        raise ValueError(f"`{name}[{index}].boxes` should have the shape [N, 4]. Found {list(shape)}.")
    count = shape[0]
    for key, value in ((mark, marks), ("labels", labels)):
        if value.shape != (count,):
            raise ValueError(f"`{name}[{index}].{key}` should have the shape [{count}]. Found {list(value.shape)}.")
    if count == 0:
        return 0  # an empty tensor may be of any type, as `torch.tensor([])` is
    for key, value, allowed in (
        ("boxes", boxes, NUMBERS),
        (mark, marks, FLAGS if mark == "difficult" else FLOATS),
        ("labels", labels, INTEGERS),
    ):
        if value.dtype not in allowed:
            raise ValueError(f"`{name}[{index}].{key}` should be {_kinds(allowed)}. Found {value.dtype}.")
    return count


def _check_values(where: str, item: Mapping[str, Tensor], mark: str, classes: int) -> None:
    """Checks that the numbers of one image are finite, and its labels of 0..C-1."""
    for key in ("boxes", mark):
        if len(wrong := item[key][~item[key].isfinite()]):
            raise ValueError(f"`{where}.{key}` should be finite. Found {wrong[0].item()}.")
    labels = item["labels"]
    if len(wrong := labels[(labels < 0) | (labels >= classes)]):
        raise ValueError(f"`{where}.labels` should be in 0..{classes - 1}. Found {wrong[0].item():.0f}.")


def _kinds(dtypes: Set[torch.dtype]) -> str:
    names = {torch.bool: "bool", torch.float32: "floating point", torch.int64: "integer"}
    return " or ".join(name for dtype, name in names.items() if dtype in dtypes)


def _form(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{type(value).__name__} of {sorted({type(v).__name__ for v in value})}"
    return type(value).__name__
