"""What a network says of one picture, task by task: numpy arrays in the picture's own pixels.

Pixels are 0-based: a box around the top left pixel is (0, 0, 1, 1). `classes` are the names of the data set's C
classes; class k is category k + 1 in COCO's form and in maps of classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.errors import DataError
from vjo_train.heads.classification import Classification
from vjo_train.heads.detection.coco import coco_rows, run_lengths
from vjo_train.heads.merged import Shows
from vjo_train.heads.panoptic.coco import id_colours, segment_rows
from vjo_train.heads.panoptic.segments import Segments
from vjo_train.heads.regression import Numbers
from vjo_train.types import Detections, PlacedMasks

Floats: TypeAlias = npt.NDArray[np.float32]
MOST_MASK_BYTES = 8 << 30
"""Of the masks of one picture that was cut into windows, as an array [N, H, W]."""


@dataclass(frozen=True, eq=False)
class Scores:
    """How likely each class is: of `classification`, each by itself; of `category`, with a sum of 1."""

    scores: Floats
    """[C] in 0..1; NaN for classes that the head does not have."""
    classes: tuple[str, ...]
    thresholds: Floats | None = None
    """[C]: of `classification`, the scores from which on a class is said to be there; None: 0.5."""

    @property
    def present(self) -> list[str]:
        """The classes whose score reaches their threshold, the likeliest first."""
        enough = np.full(len(self.scores), 0.5) if self.thresholds is None else self.thresholds
        said = [k for k in np.argsort(-self.scores, kind="stable").tolist() if self.scores[k] >= enough[k]]
        return [self.classes[k] for k in said]

    @property
    def best(self) -> str:
        """The likeliest class."""
        return self.classes[int(np.nanargmax(self.scores))]

    @property
    def best_score(self) -> float:
        """Its score."""
        return float(np.nanmax(self.scores))

    def by_name(self) -> dict[str, float]:
        """Class -> score, without classes that the head does not have."""
        pairs = zip(self.classes, self.scores.tolist(), strict=True)
        return {name: score for name, score in pairs if not math.isnan(score)}

    def at_least(self, threshold: float) -> dict[str, float]:
        """The classes of this score or a higher one, the likeliest first."""
        ranked = sorted(self.by_name().items(), key=lambda item: -item[1])
        return {name: score for name, score in ranked if score >= threshold}


@dataclass(frozen=True, eq=False)
class Objects:
    """N objects, the surest first: of `detection`, `instance` and `keypoints`."""

    xyxy: Floats
    """[N, 4]: left, top, right, bottom in pixels."""
    confidence: Floats
    """[N] in 0..1."""
    class_id: npt.NDArray[np.int64]
    """[N] in 0..C-1: the places of their classes in `classes`."""
    classes: tuple[str, ...]
    mask: npt.NDArray[np.bool_] | None = None
    """[N, H, W]; None where the head gives none."""
    keypoints: Floats | None = None
    """[N, K, 3]: x, y in pixels, and how sure the point is in 0..1; None where the head gives none."""

    def __len__(self) -> int:
        return len(self.confidence)

    @property
    def names(self) -> list[str]:
        """The class of each object."""
        return [self.classes[k] for k in self.class_id.tolist()]

    def at_least(self, threshold: float) -> Objects:
        """Those of this confidence or a higher one."""
        return self._only(self.confidence >= threshold)

    def of(self, *names: str) -> Objects:
        """Those of some classes."""
        return self._only(np.array([name in names for name in self.names], dtype=bool))

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO's results, as `vjo-predict` writes them: `bbox` is x, y, width, height; masks are run-length codes."""
        found = Detections(
            boxes=torch.from_numpy(self.xyxy),
            scores=torch.from_numpy(self.confidence),
            labels=torch.from_numpy(self.class_id),
            masks=None if self.mask is None else torch.from_numpy(self.mask),
            keypoints=None if self.keypoints is None else torch.from_numpy(self.keypoints),
        )
        return [{"image_id": image_id, **row} for row in coco_rows(found)]

    def to_supervision(self) -> dict[str, Any]:
        """The arguments of `supervision.Detections`: `sv.Detections(**objects.to_supervision())`."""
        return {
            "xyxy": self.xyxy,
            "confidence": self.confidence,
            "class_id": self.class_id,
            "mask": self.mask,
            "data": {"class_name": np.array(self.names, dtype=str)},
        }

    def _only(self, kept: npt.NDArray[np.bool_]) -> Objects:
        names = ("xyxy", "confidence", "class_id", "mask", "keypoints")
        parts = {name: getattr(self, name) for name in names}
        return replace(self, **{name: part[kept] for name, part in parts.items() if part is not None})


@dataclass(frozen=True, eq=False)
class ClassMap:
    """The class of every pixel: of `semantic` and `human_parts`."""

    indices: npt.NDArray[np.uint8]
    """[H, W]: 0 background, k + 1 for class k."""
    classes: tuple[str, ...]

    @property
    def present(self) -> list[str]:
        """The classes that have pixels."""
        return [self.classes[k - 1] for k in np.unique(self.indices).tolist() if 1 <= k <= len(self.classes)]

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """The pixels of a class, [H, W].

        Raises:
            ValueError: there is no such class.
        """
        return np.asarray(self.indices == self.classes.index(name) + 1)

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO's results of stuff: a run-length code for each class that has pixels."""
        return [
            {
                "image_id": image_id,
                "category_id": self.classes.index(name) + 1,
                "segmentation": run_lengths(self.mask(name)),
            }
            for name in self.present
        ]


@dataclass(frozen=True, eq=False)
class PixelMap:
    """A figure for every pixel: of `depth`, `normals`, `edges` and `saliency`."""

    values: Floats
    """[H, W]: depth in the unit of the data, or a probability in 0..1; of normals [H, W, 3], vectors of length 1."""


@dataclass(frozen=True, eq=False)
class PanopticMap:
    """S segments that do not overlap: of `merge=panoptic`."""

    ids: npt.NDArray[np.int32]
    """[H, W]: k + 1 for segment k, 0 for pixels of none."""
    class_id: npt.NDArray[np.int64]
    """[S] in 0..C-1."""
    confidence: Floats
    """[S] in 0..1; 1 for stuff."""
    is_thing: npt.NDArray[np.bool_]
    """[S]: an object; else stuff."""
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.class_id)

    @property
    def names(self) -> list[str]:
        """The class of each segment."""
        return [self.classes[k] for k in self.class_id.tolist()]

    def mask(self, segment: int) -> npt.NDArray[np.bool_]:
        """The pixels of a segment, 0..S-1: [H, W]."""
        return np.asarray(self.ids == segment + 1)

    def to_coco(self, image_id: int = 1, file_name: str = "") -> list[dict[str, Any]]:
        """One entry of COCO's panoptic format, as `vjo-predict` writes it; `file_name` is that of `to_rgb`."""
        rows = segment_rows(self._segments())
        return [{"image_id": image_id, "file_name": file_name, "segments_info": rows}]

    def to_rgb(self) -> npt.NDArray[np.uint8]:
        """[H, W, 3]: COCO's picture of the ids, R + 256 G + 65536 B."""
        return id_colours(self._segments())

    def _segments(self) -> Segments:
        return Segments(*map(torch.from_numpy, (self.ids, self.class_id, self.confidence, self.is_thing)))


@dataclass(frozen=True, eq=False)
class Values:
    """Numbers of the whole picture: of `regression`."""

    values: Floats
    """[C] in the units of the data; NaN for names that are no numbers of the head."""
    classes: tuple[str, ...]

    def by_name(self) -> dict[str, float]:
        """Name -> number, of those that the head has."""
        pairs = zip(self.classes, self.values.tolist(), strict=True)
        return {name: value for name, value in pairs if not math.isnan(value)}


@dataclass(frozen=True, eq=False)
class Other:
    """What a head of a user's own says, in its own form."""

    value: Any


Result: TypeAlias = Scores | Objects | ClassMap | PixelMap | PanopticMap | Values | Other


def result_of(prediction: Any, classes: Sequence[str], head: Shows | None = None) -> Result:
    """What a head or a merged task has published of one picture, on the CPU, as a result; memory is shared."""
    names = tuple(classes)
    if isinstance(prediction, Detections):
        return Objects(
            xyxy=prediction.boxes.numpy(),
            confidence=prediction.scores.numpy(),
            class_id=prediction.labels.numpy(),
            classes=names,
            mask=None if prediction.masks is None else _whole(prediction.masks).numpy(),
            keypoints=None if prediction.keypoints is None else prediction.keypoints.numpy(),
        )
    if isinstance(prediction, Segments):
        return PanopticMap(
            ids=prediction.ids.numpy(),
            class_id=prediction.labels.numpy(),
            confidence=prediction.scores.numpy(),
            is_thing=prediction.things.numpy(),
            classes=names,
        )
    if isinstance(prediction, Numbers):
        return Values(prediction.values.numpy(), names)
    if not isinstance(prediction, Tensor):
        return Other(prediction)
    if prediction.ndim == 1 and len(prediction) == len(names):
        known = head.known_thresholds() if isinstance(head, Classification) else None
        return Scores(prediction.numpy(), names, None if known is None else known.numpy())
    if prediction.ndim == 2 and not prediction.is_floating_point():
        return ClassMap(prediction.numpy(), names)
    if prediction.ndim in (2, 3) and prediction.is_floating_point():
        return PixelMap(prediction.numpy() if prediction.ndim == 2 else prediction.permute(1, 2, 0).numpy())
    return Other(prediction)


def _whole(masks: Tensor | PlacedMasks) -> Tensor:
    """Masks [N, H, W].

    Raises:
        DataError: they take more memory than is likely to be meant.
    """
    if isinstance(masks, Tensor):
        return masks
    count, height, width = masks.shape
    if count * height * width > MOST_MASK_BYTES:
        raise DataError(
            f"masks: {count} objects on {width} x {height} pixels take {count * height * width / 2**30:.1f} GiB; raise"
            " threshold, or let vjo-predict write them as run-length codes."
        )
    return masks.whole()
