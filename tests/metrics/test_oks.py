"""AP of keypoints: COCO's own code on the same objects, and by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import coco, cocoeval

from vjo_train.metrics.oks import FILLED, OKSAP


def scene(seed: int, images: int = 6, points: int = 17) -> tuple[list[dict[str, torch.Tensor]], ...]:
    rng = np.random.default_rng(seed)
    preds, targets = [], []
    for _ in range(images):
        n = int(rng.integers(0, 4))
        corners = rng.uniform(0, 60, (n, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(20, 60, (n, 2))], 1)
        places = corners[:, None] + rng.random((n, points, 2)) * (boxes[:, None, 2:] - boxes[:, None, :2])
        seen = rng.integers(0, 3, (n, points, 1)).astype(float)
        seen[: n // 3] = 0  # an object without points is ignored
        extra = np.concatenate([places + rng.normal(0, 2.5, places.shape), np.ones_like(seen)], 2)
        preds.append(
            {
                "boxes": torch.tensor(boxes),
                "labels": torch.zeros(n, dtype=torch.int64),
                "scores": torch.tensor(rng.random(n)),
                "points": torch.tensor(extra),
            }
        )
        truth = np.concatenate([places * (seen > 0), seen], 2)
        targets.append(
            {"boxes": torch.tensor(boxes), "labels": torch.zeros(n, dtype=torch.int64), "points": torch.tensor(truth)}
        )
    return preds, targets


def rows(items: list[dict[str, torch.Tensor]], **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for image, item in enumerate(items):
        for k, (x1, y1, x2, y2) in enumerate(item["boxes"].tolist()):
            row = {
                "image_id": image,
                "category_id": 1,
                "keypoints": item["points"][k].flatten().tolist(),
                "id": len(found) + 1,
            }
            row |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": FILLED * (x2 - x1) * (y2 - y1), "iscrowd": 0}
            row["num_keypoints"] = int((item["points"][k, :, 2] > 0).sum())
            row |= {"score": float(item["scores"][k])} if "scores" in item else {}
            found.append(row)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_it_is_cocos_own(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    preds, targets = scene(seed)
    metric = OKSAP(1, 17)
    metric.update(preds, targets)
    found = metric.compute()
    truth = coco.COCO()
    truth.dataset = {"images": [{"id": k} for k in range(6)], "categories": [{"id": 1}], "annotations": rows(targets)}
    truth.createIndex()
    answers = coco.COCO()
    answers.dataset = {**truth.dataset, "annotations": rows(preds)}
    answers.createIndex()
    reference = cocoeval.COCOeval(truth, answers, "keypoints")
    reference.params.areaRng, reference.params.areaRngLbl = [[0, 1e10]], ["all"]
    reference.evaluate()
    reference.accumulate()
    precision = reference.eval["precision"][:, :, 0, 0, 0]
    wanted = [precision.mean(), precision[0].mean(), precision[5].mean()]
    assert [float(found[name]) for name in ("map", "map50", "map75")] == pytest.approx(wanted, abs=1e-6)
    assert 0 < wanted[0] < 1


def test_a_distance_by_hand() -> None:
    """Two known points off by d: similarity exp(-d^2 / (2 a (2 sigma)^2)), here 0.7: five of ten thresholds."""
    box, sigma = torch.tensor([[0.0, 0, 10, 20]]), 0.1
    area = FILLED * 200
    distance = math.sqrt(-math.log(0.72) * 2 * area * (2 * sigma) ** 2)
    truth = torch.tensor([[[3.0, 3, 2], [6, 6, 1], [0, 0, 0]]])
    moved = truth + torch.tensor([distance, 0.0, 0])
    moved[0, 2, :2] = 1000  # it is not known, so it does not matter
    common = {"boxes": box, "labels": torch.tensor([0])}
    metric = OKSAP(1, 3, [sigma] * 3)
    metric.update([{**common, "scores": torch.tensor([0.9]), "points": moved}], [{**common, "points": truth}])
    assert float(metric.compute()["map"]) == pytest.approx(0.5)


def test_other_shapes_are_refused_and_nothing_gives_nothing() -> None:
    metric = OKSAP(2, 4)
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "points": torch.zeros(0, 4, 3)}
    metric.update([none | {"scores": torch.zeros(0)}], [none])
    assert metric.compute()["map"].isnan()
    with pytest.raises(ValueError, match=r"`targets\[0\]\.points` should be \[0, 4, 3\]"):
        metric.update([none | {"scores": torch.zeros(0)}], [none | {"points": torch.zeros(0, 3, 3)}])
