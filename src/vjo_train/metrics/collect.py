"""Collecting rows over batches and ranks: what the metrics of this package share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from functools import wraps
from itertools import repeat
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

FLOATS: Set[torch.dtype] = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
INTEGERS: Set[torch.dtype] = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
NUMBERS = FLOATS | INTEGERS


class ShapedMetric(Metric):
    """Gives what `compute` does: torchmetrics takes the dimension from tensors of one element."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._shapes: dict[str, torch.Size] = {}
        super().__init__(*args, **kwargs)

    def _wrap_compute(self, compute: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
        def noting() -> dict[str, Tensor]:
            values = compute()
            self._shapes = {name: value.shape for name, value in values.items()}
            return values

        whole = super()._wrap_compute(wraps(compute)(noting))

        @wraps(compute)
        def shaped() -> dict[str, Tensor]:
            return {name: value.reshape(self._shapes[name]) for name, value in whole().items()}

        return shaped


class RowMetric(ShapedMetric):
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
        """Appends rows to the state `name`; float32 is kept as it is, at half the memory, until ranks are joined."""
        dtype = self._empty[name].dtype
        if dtype == torch.float64 and (rows.dtype == torch.float32 or self.device.type == "mps"):
            dtype = torch.float32  # all that the latter has
        getattr(self, name).append(rows.detach().to(self.device, dtype))

    def rows(self, name: str) -> npt.NDArray[Any]:
        """All rows of the state `name`, in the order of ranks and, within one, of arrival."""
        return self.kept(name).astype(self._empty[name].numpy().dtype, copy=False)

    def kept(self, name: str) -> npt.NDArray[Any]:
        """The same, of float32 where all of a state of float64 arrived as such."""
        state = getattr(self, name)
        tensors = [state] if isinstance(state, Tensor) else state
        kept: npt.NDArray[Any] = torch.cat(tensors).cpu().numpy() if tensors else self._empty[name].numpy()
        return kept

    def arrived(self, name: str) -> int:
        """How many images this rank has taken, from the state `name`, whose first column is their numbers."""
        state = getattr(self, name)
        return int(state[-1][-1].reshape(-1)[0]) + 1 if state and len(state[-1]) else 0

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gathers the ranks' rows; a rank without any takes part with none, of the right shape and type."""
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        for name, empty in self._empty.items():
            own = getattr(self, name)
            if isinstance(own, list) and not (alone and own):
                whole = empty.dtype if empty.dtype != torch.float64 or self.device.type != "mps" else torch.float32
                setattr(self, name, [rows.to(whole) for rows in own] or [empty.to(self.device, whole)])
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
            if not isinstance(value, Sequence) or not (
                {*map(type, value)} == {dict} or all(isinstance(item, Mapping) for item in value)
            ):
                raise ValueError(f"`{name}` should be a list of dicts, one per image. Found {_form(value)}.")
        if len(preds) != len(targets):
            found = f"{len(preds)} and {len(targets)}"
            raise ValueError(f"`preds` and `targets` should be of as many images. Found {found}.")
        if not preds:
            return
        marked = [item if "difficult" in item else _none_difficult(item) for item in targets]
        answers = _joined("preds", preds, "scores", self.num_classes)
        there = _joined("targets", marked, "difficult", self.num_classes)
        before = self.arrived("images")
        for state, rows in (
            *zip(("boxes", "scores", "labels"), answers.columns, strict=False),
            *zip(("object_boxes", "difficult", "object_labels"), there.columns, strict=False),
        ):
            self.append(state, rows)
        numbers = [[*range(before, before + len(preds))], answers.counts, there.counts]
        self.append("images", torch.from_numpy(np.array(numbers).T))

    def image_places(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For each detection [N] and each object [M], its image's place in the order of arrival."""
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


class _Joined(NamedTuple):
    """The boxes [N, 4], marks [N] and labels [N] of several images, one after the other."""

    counts: list[int]
    """Boxes of each image."""
    columns: tuple[Tensor, ...]
    """None if there are no boxes."""


def _joined(name: str, items: Sequence[Mapping[str, Tensor]], mark: str, classes: int) -> _Joined:
    """Joins `boxes`, `mark` (scores or difficult) and `labels`, checked first all at once, and one by one in doubt."""
    keys = ("boxes", mark, "labels")
    found = _usual(items, mark)
    if found is None:
        counts = [_check_item(f"{name}[{index}]", item, mark) for index, item in enumerate(items)]
        if not any(counts):
            return _Joined(counts, ())
        # Empty tensors may be of any type, and would make the whole one of it.
        columns = [[item[key] for item, count in zip(items, counts, strict=True) if count] for key in keys]
        found = _Joined(counts, tuple(map(torch.cat, columns)))
    boxes, marks, labels = found.columns
    if not len(labels):
        return _Joined(found.counts, ())
    least, greatest = (int(label) for label in labels.aminmax())
    # A sum of finite numbers is finite; what is wrong if it is not, is looked for only then.
    total = float(boxes.sum()) + (0.0 if mark == "difficult" else float(marks.sum()))
    if least < 0 or greatest >= classes or not math.isfinite(total):
        for index, item in enumerate(items):
            _check_values(f"{name}[{index}]", item, mark, classes)
    return found


def _usual(items: Sequence[Mapping[str, Tensor]], mark: str) -> _Joined | None:
    """The images joined, where all have boxes [N, 4], marks [N] and labels [N] of the types that they should be of.

    None in doubt. Each look goes through all images at once: there are thousands, with a few boxes each.
    """
    try:
        columns = [*zip(*map(itemgetter("boxes", mark, "labels"), items), strict=True)]
    except KeyError:
        return None
    for column, allowed, dim in zip(columns, (NUMBERS, _marks(mark), INTEGERS), (2, 1, 1), strict=True):
        plain = {*map(type, column)} == {Tensor} and {*map(Tensor.dim, column)} == {dim}
        if not plain or not {*map(_dtype, column)} <= allowed:
            return None
    boxes, marks, labels = columns
    counts = [*map(Tensor.numel, labels)]
    there = [*map(Tensor.numel, boxes)] == [4 * count for count in counts] and [*map(Tensor.numel, marks)] == counts
    if not there or {*map(Tensor.size, boxes, repeat(1))} != {4}:
        return None
    return _Joined(counts, tuple(map(torch.cat, columns)))


_dtype: Callable[[Tensor], torch.dtype] = attrgetter("dtype")


def _check_item(where: str, item: Mapping[str, Tensor], mark: str) -> int:
    """Checks keys, shapes and types of one image; returns its number of boxes."""
    boxes, marks, labels = item.get("boxes"), item.get(mark), item.get("labels")
    if not (isinstance(boxes, Tensor) and isinstance(marks, Tensor) and isinstance(labels, Tensor)):
        key = next(key for key in ("boxes", mark, "labels") if not isinstance(item.get(key), Tensor))
        found = _form(item[key]) if key in item else f"the keys {sorted(item)}"
        raise ValueError(f"`{where}` should have a tensor `{key}`. Found {found}.")
    shape = boxes.shape
    if shape[1:] != (4,) and shape != (0,):
        raise ValueError(f"`{where}.boxes` should have the shape [N, 4]. Found {list(shape)}.")
    count = shape[0]
    for key, value in ((mark, marks), ("labels", labels)):
        if value.shape != (count,):
            raise ValueError(f"`{where}.{key}` should have the shape [{count}]. Found {list(value.shape)}.")
    if count == 0:
        return 0  # an empty tensor may be of any type, as `torch.tensor([])` is
    for key, value, allowed in (
        ("boxes", boxes, NUMBERS),
        (mark, marks, _marks(mark)),
        ("labels", labels, INTEGERS),
    ):
        if value.dtype not in allowed:
            raise ValueError(f"`{where}.{key}` should be {_kinds(allowed)}. Found {value.dtype}.")
    return count


def _check_values(where: str, item: Mapping[str, Tensor], mark: str, classes: int) -> None:
    """Checks that the numbers of one image are finite, and its labels of 0..C-1."""
    for key in ("boxes", mark):
        if len(wrong := item[key][~item[key].isfinite()]):
            raise ValueError(f"`{where}.{key}` should be finite. Found {wrong[0].item()}.")
    labels = item["labels"]
    if len(wrong := labels[(labels < 0) | (labels >= classes)]):
        raise ValueError(f"`{where}.labels` should be in 0..{classes - 1}. Found {wrong[0].item():.0f}.")


def _marks(mark: str) -> Set[torch.dtype]:
    return {torch.bool} if mark == "difficult" else FLOATS


def _kinds(dtypes: Set[torch.dtype]) -> str:
    names = {torch.bool: "bool", torch.float32: "floating point", torch.int64: "integer"}
    return " or ".join(name for dtype, name in names.items() if dtype in dtypes)


def _form(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{type(value).__name__} of {sorted({type(v).__name__ for v in value})}"
    return type(value).__name__
