"""COCO's average precision of keypoints, by faster-coco-eval."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from faster_coco_eval import COCO, COCOeval_faster
from torch import Tensor

from vjo_train.metrics.coco import COCO_LARGEST, coco_annotations, mean_precision
from vjo_train.metrics.collect import DetectionMetric
from vjo_train.runs.average_precision import mean_over_defined

_log = logging.getLogger(__name__)

COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""Of the 17 points of COCO's people, from the nose to the right ankle."""
FILLED = 0.53
"""The share of its box that an object fills, on the average of COCO's people; the area that similarity goes by."""


class OKSAP(DetectionMetric):
    """Mean AP over similarities of 0.5, 0.55 .. 0.95 and 101 recalls, at most 20 objects per image and class.

    The similarity of two objects is the mean of exp(-d^2 / (2 a (2 sigma)^2)) over the points that are known in the
    truth, of distances d and an area a (Lin et al. 2014). COCO takes a from the object's outline; here it is `FILLED`
    of its box. Objects without a known point are ignored.

    Args:
        num_classes: C.
        points: K of each object.
        sigmas: [K]; None: `COCO_SIGMAS` for K = 17, else 1 / K.
    """

    detection_points: list[Tensor]
    object_points: list[Tensor]

    def __init__(self, num_classes: int, points: int, sigmas: Sequence[float] | None = None) -> None:
        super().__init__(num_classes)
        self.points = points
        own = COCO_SIGMAS if points == len(COCO_SIGMAS) else (1 / points,) * points
        self.sigmas = np.array(own if sigmas is None else sigmas)
        self.add_rows("detection_points", 3 * points, torch.float64)
        self.add_rows("object_points", 3 * points, torch.float64)

    def update(self, preds: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Tensor]]) -> None:
        """As of `COCODetectionAP`, with `points` [N, K, 3] each: x, y, and above 0 where a point is known.

        Raises:
            ValueError: an input of another form; the message names the image and what was found.
        """
        for name, items in (("preds", preds), ("targets", targets)):
            for index, item in enumerate(items):
                shape = (len(item["labels"]), self.points, 3)
                if item["points"].shape != shape:
                    found = list(item["points"].shape)
                    raise ValueError(f"`{name}[{index}].points` should be {list(shape)}. Found {found}.")
        super().update(preds, targets)
        for state, items in (("detection_points", preds), ("object_points", targets)):
            for item in items:
                self.append(state, item["points"].flatten(1))

    def compute(self) -> dict[str, Tensor]:
        """`map`, `map50`, `map75` (scalars) and `ap` [C], float64; NaN for classes without an object that counts."""
        precision = self._precision()
        ap = np.array([mean_precision(precision[:, c]) for c in range(self.num_classes)])
        values: dict[str, Any] = {"map": mean_over_defined(ap), "ap": ap}
        for name, threshold in (("map50", 0), ("map75", 5)):
            values[name] = mean_over_defined(np.array([mean_precision(p) for p in precision[threshold]]))
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        return {name: torch.as_tensor(value, dtype=kind).to(self.device) for name, value in values.items()}

    def _precision(self) -> npt.NDArray[np.float64]:
        """[10 thresholds, C, 101 recalls]; -1 for classes without positives."""
        image, object_image = self.image_places()
        if not len(self.rows("images")):
            return np.full((10, self.num_classes, 101), -1.0)
        objects, labels = self.rows("object_points"), self.rows("object_labels")
        truth = coco_annotations(object_image, self.rows("object_boxes"), labels, ignore=np.zeros(len(labels)))
        found = coco_annotations(image, self.rows("boxes"), self.rows("labels"), score=self.rows("scores"))
        for annotation, points in zip(truth, objects, strict=True):
            annotation["keypoints"], annotation["area"] = points.tolist(), FILLED * annotation["area"]
            annotation["num_keypoints"] = int((points[2::3] > 0).sum())
        for annotation, points in zip(found, self.rows("detection_points"), strict=True):
            annotation["keypoints"] = points.tolist()
        images = [{"id": n, "height": 0, "width": 0} for n in range(len(self.rows("images")))]
        categories = [{"id": c} for c in range(self.num_classes)]
        evaluation = COCOeval_faster(
            *(
                COCO({"images": images, "categories": categories, "annotations": a}, print_function=_log.debug)
                for a in (truth, found)
            ),
            iouType="keypoints",
            print_function=_log.debug,
        )
        evaluation.params.kpt_oks_sigmas = self.sigmas
        evaluation.params.catIds, evaluation.params.imgIds = list(range(self.num_classes)), list(range(len(images)))
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, COCO_LARGEST]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
        precision: npt.NDArray[np.float64] = evaluation.eval["precision"][:, :, :, 0, -1]
        return precision.transpose(0, 2, 1)
