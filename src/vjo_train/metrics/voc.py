"""The exact PASCAL VOC protocol for detection and classification.

After the development kit of 2007 (VOCevaldet, VOCevalcls) and the challenge's paper: Everingham, Van Gool, Williams,
Winn, Zisserman, "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.metrics.collect import FLOATS, INTEGERS, DetectionMetric, RowMetric, check_classes
from vjo_train.metrics.matching import Floats, Integers, best_objects, judge
from vjo_train.metrics.ranking import ranking
from vjo_train.runs.average_precision import (
    Interpolation,
    average_precision,
    check_interpolation,
    mean_over_defined,
)
from vjo_train.runs.records import Matches, Scores


class APSetting(NamedTuple):
    """One way of reading the same detections."""

    iou_threshold: float = 0.5
    """The least IoU with an object that makes a detection right, in 0..1, above 0."""
    interpolation: Interpolation = "11point"


class VOCDetectionAPs(DetectionMetric):
    """VOC detection APs in several settings, from one matching.

    Per class, the detections of all images are taken in order of score. Each asks for the object of its class and
    image with the greatest IoU on inclusive pixels (a width is x2 - x1 + 1), the first of equals, taken or difficult
    ones included. If the IoU reaches the threshold: a difficult object makes the detection count neither way, however
    often; a free one makes it right; a taken one wrong. Otherwise it is wrong. Difficult objects are no positives.

    Equal scores keep the order of arrival: by image as updated, then by place in the image. With w ranks, the i-th
    image of rank r stands for the (i w + r)-th, so that one process and w give the same if rank r takes `[r::w]` of
    the images. Without equal scores the order is without effect.

    Args:
        num_classes: C.
        settings: name -> setting; `compute` returns `map_<name>` and `ap_<name>` for each.

    Raises:
        ValueError: an unknown interpolation, a threshold out of range; in `update`, inputs of another form.
    """

    def __init__(self, num_classes: int, settings: Mapping[str, APSetting]) -> None:
        super().__init__(num_classes)
        for setting in settings.values():
            check_interpolation(setting.interpolation)
            if not 0 < setting.iou_threshold <= 1:
                raise ValueError(f"`iou_threshold` should be above 0 and at most 1. Found {setting.iou_threshold}.")
        self.settings = dict(settings)

    def compute(self) -> dict[str, Tensor]:
        """`map_<name>` (scalar) and `ap_<name>` [C], float64 (float32 where the device has no float64).

        The AP of a class without positives (no object that is not difficult) is NaN; `map` is the mean over the
        others, NaN if there are none.
        """
        out: dict[str, Tensor] = {}
        for name, ap in self._aps().items():
            out |= {f"map_{name}": _tensor(mean_over_defined(ap), self.device), f"ap_{name}": _tensor(ap, self.device)}
        return out

    def _aps(self) -> dict[str, npt.NDArray[np.float64]]:
        known = self._matched()
        aps = {}
        for setting, (name, (_, interpolation)) in enumerate(self.settings.items()):
            classes = [(known.ranked(c, setting)[0], known.positives(c)) for c in range(self.num_classes)]
            aps[name] = np.array([average_precision(hits, number, interpolation) for hits, number in classes])
        return aps

    def records(self) -> Matches:
        """The verdict on every detection of all ranks, from which the APs follow; images number as they arrived."""
        with self.sync_context():
            return self._matched()

    def _matched(self) -> Matches:
        image, object_image = self.image_places()
        scores, labels, object_labels = self.kept("scores"), self.rows("labels"), self.rows("object_labels")
        difficult, images = self.rows("difficult"), len(self.rows("images"))
        iou, best = self.matches(image, object_image)
        order = ranking(labels, scores, image)
        verdicts = [judge(iou, best, difficult, setting[0], order) for setting in self.settings.values()]
        cell = object_image[~difficult] * self.num_classes + object_labels[~difficult]
        return Matches(
            image=image.astype(np.int32)[order],
            label=labels.astype(np.int16)[order],
            score=scores.astype(np.float32)[order],
            hits=np.stack([hits for hits, _ in verdicts]),
            counted=np.stack([counted for _, counted in verdicts]),
            objects=np.bincount(cell, minlength=images * self.num_classes).reshape(images, self.num_classes),
            metrics=[f"map_{name}" for name in self.settings],
            interpolations=[setting.interpolation for setting in self.settings.values()],
        )

    def matches(self, image: Integers, object_image: Integers) -> tuple[Floats, Integers]:
        """For each detection the greatest IoU with an object of its image and class, and that object's row.

        Args:
            image: [N] the image of each detection.
            object_image: [M] the image of each object.
        """
        return best_objects(
            self.kept("boxes"),
            image * self.num_classes + self.rows("labels"),
            self.rows("object_boxes"),
            object_image * self.num_classes + self.rows("object_labels"),
        )


class VOCDetectionAP(VOCDetectionAPs):
    """VOC detection AP in one setting; the protocol and the order of ties stand at `VOCDetectionAPs`.

    Args:
        num_classes: C.
        iou_threshold: the least IoU that makes a detection right, in 0..1, above 0.
        interpolation: `11point` (VOC 2007) or `area` (VOC 2010 and later).
    """

    def __init__(self, num_classes: int, iou_threshold: float = 0.5, interpolation: Interpolation = "11point") -> None:
        super().__init__(num_classes, {"": APSetting(iou_threshold, interpolation)})

    def compute(self) -> dict[str, Tensor]:
        """`ap` [C], NaN for a class without positives, and `map`, the mean over the classes that have some.

        Both are float64 (float32 where the device has no float64).
        """
        (ap,) = self._aps().values()
        return {"map": _tensor(mean_over_defined(ap), self.device), "ap": _tensor(ap, self.device)}


class VOCClassificationAP(RowMetric):
    """VOC multi-label classification AP.

    Per class, the images are taken in order of score; those labelled 0 (only difficult objects) count neither way.
    Equal scores keep the order of arrival, as in `VOCDetectionAPs`.

    Args:
        num_classes: C.
        interpolation: `11point` (VOC 2007) or `area` (VOC 2010 and later).

    Raises:
        ValueError: an unknown interpolation; in `update`, inputs of another form.
    """

    scores: list[Tensor]
    labels: list[Tensor]
    numbers: list[Tensor]

    def __init__(self, num_classes: int, interpolation: Interpolation = "11point") -> None:
        super().__init__()
        check_interpolation(interpolation)
        self.num_classes, self.interpolation = check_classes(num_classes), interpolation
        self.add_rows("scores", num_classes, torch.float64)
        self.add_rows("labels", num_classes, torch.int8)
        self.add_rows("numbers", None, torch.int64)

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """Takes some images.

        Args:
            scores: [B, C] floating, any increasing function of the probability; finite.
            labels: [B, C] integer: 1 present, -1 absent, 0 counts neither way.

        Raises:
            ValueError: an input of another form; the message says what was found.
        """
        for name, value in (("scores", scores), ("labels", labels)):
            if not isinstance(value, Tensor):
                raise ValueError(f"`{name}` should be a tensor. Found {type(value).__name__}.")
            if value.ndim != 2 or value.shape[1] != self.num_classes:
                raise ValueError(
                    f"`{name}` should have the shape [images, {self.num_classes}]. Found {list(value.shape)}."
                )
        if len(scores) != len(labels):
            raise ValueError(f"`scores` and `labels` should be of as many images. Found {len(scores)}, {len(labels)}.")
        if scores.dtype not in FLOATS:
            raise ValueError(f"`scores` should be floating point. Found {scores.dtype}.")
        if labels.dtype not in INTEGERS:
            raise ValueError(f"`labels` should be integer: 1, 0 or -1. Found {labels.dtype}.")
        if len(wrong := scores[~scores.isfinite()]):
            raise ValueError(f"`scores` should be finite. Found {wrong[0].item()}.")
        if len(wrong := labels[(labels < -1) | (labels > 1)]):
            raise ValueError(f"`labels` should be 1, 0 or -1. Found {wrong[0].item()}.")
        before = self.arrived("numbers")
        self.append("scores", scores)
        self.append("labels", labels)
        self.append("numbers", torch.arange(before, before + len(scores)))

    def compute(self) -> dict[str, Tensor]:
        """`ap` [C], NaN for a class without positives, and `map`, the mean over the classes that have some.

        Both are float64 (float32 where the device has no float64).
        """
        known = self._scored()
        ap = np.array(
            [
                average_precision(known.ranked(c)[0], known.positives(c), self.interpolation)
                for c in range(self.num_classes)
            ]
        )
        return {"map": _tensor(mean_over_defined(ap), self.device), "ap": _tensor(ap, self.device)}

    def records(self) -> Scores:
        """The scores and labels of the images of all ranks, as they arrived."""
        with self.sync_context():
            return self._scored()

    def _scored(self) -> Scores:
        arrival = np.argsort(self.rows("numbers"), kind="stable")
        return Scores(self.rows("scores")[arrival], self.rows("labels")[arrival])


def _tensor(value: float | npt.NDArray[np.float64], device: torch.device) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32 if device.type == "mps" else torch.float64).to(device)
