"""Collecting rows over batches and ranks: what the metrics of this package share."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence, Set
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

FLOATS: Set[torch.dtype] = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
INTEGERS: Set[torch.dtype] = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


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

    detections: list[Tensor]
    objects: list[Tensor]
    images: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = check_classes(num_classes)
        self.add_rows("detections", 6, torch.float64)  # box, score, label
        self.add_rows("objects", 6, torch.float64)  # box, difficult, label
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
        detections, answers = _table("preds", preds, "scores", self.num_classes)
        objects, there = _table("targets", marked, "difficult", self.num_classes)
        before = sum(len(rows) for rows in self.images)
        self.append("detections", detections)
        self.append("objects", objects)
        self.append("images", torch.tensor([range(before, before + len(preds)), answers, there]).T)

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


def _table(name: str, items: Sequence[Mapping[str, Tensor]], mark: str, classes: int) -> tuple[Tensor, list[int]]:
    """Boxes, `mark` (scores or difficult) and labels of all images as rows [N, 6] float64, and their number by image.

    On a device without float64 the rows are float32.
    """
    numbers = [_check_item(f"{name}[{index}]", item, mark) for index, item in enumerate(items)]
    labels = torch.cat([item["labels"] for item in items])
    columns = [
        torch.cat([item["boxes"].reshape(-1, 4) for item in items]),
        torch.cat([item[mark] for item in items])[:, None],
        labels[:, None],
    ]
    wide = torch.float32 if labels.device.type == "mps" else torch.float64
    rows = torch.cat([column.detach().to(wide) for column in columns], dim=1)
    bounds = list(accumulate(numbers))
    wrong = torch.stack([~rows.isfinite().all(dim=1), (labels < 0) | (labels >= classes)], dim=1).nonzero()
    if len(wrong):
        row, what = (int(number) for number in wrong[0])
        image = bisect_right(bounds, row)
        if what == 0:
            field, values = ("boxes", rows[row, :4]) if not rows[row, :4].isfinite().all() else (mark, rows[row, 4])
            raise ValueError(f"`{name}[{image}].{field}` should be finite. Found {values.tolist()}.")
        raise ValueError(f"`{name}[{image}].labels` should be in 0..{classes - 1}. Found {int(labels[row])}.")
    return rows, numbers


def _check_item(where: str, item: Mapping[str, Tensor], mark: str) -> int:
    """Checks keys, shapes and types of one image; returns its number of boxes."""
    for key in ("boxes", mark, "labels"):
        if not isinstance(item.get(key), Tensor):
            found = _form(item[key]) if key in item else f"the keys {sorted(item)}"
            raise ValueError(f"`{where}` should have a tensor `{key}`. Found {found}.")
    boxes, marks, labels = item["boxes"], item[mark], item["labels"]
    shape = boxes.shape
    if shape[1:] != (4,) and shape != (0,):
        raise ValueError(f"`{where}.boxes` should have the shape [N, 4]. Found {list(shape)}.")
    for key, value in ((mark, marks), ("labels", labels)):
        if value.shape != shape[:1]:
            raise ValueError(f"`{where}.{key}` should have the shape [{shape[0]}]. Found {list(value.shape)}.")
    if shape[0] == 0:
        return 0  # an empty tensor may be of any type, as `torch.tensor([])` is
    for key, dtype, allowed in (
        ("boxes", boxes.dtype, FLOATS | INTEGERS),
        (mark, marks.dtype, {torch.bool} if mark == "difficult" else FLOATS),
        ("labels", labels.dtype, INTEGERS),
    ):
        if dtype not in allowed:
            raise ValueError(f"`{where}.{key}` should be {_kinds(allowed)}. Found {dtype}.")
    return int(shape[0])


def _kinds(dtypes: Set[torch.dtype]) -> str:
    names = {torch.bool: "bool", torch.float32: "floating point", torch.int64: "integer"}
    return " or ".join(name for dtype, name in names.items() if dtype in dtypes)


def _form(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{type(value).__name__} of {sorted({type(v).__name__ for v in value})}"
    return type(value).__name__
