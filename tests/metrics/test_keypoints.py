"""COCO's AP of key points: hand-made cases, and COCO's own evaluation of the same files."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faster_coco_eval.core.cocoeval import Params
from pycocotools import coco
from pycocotools.cocoeval import COCOeval

from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.keypoints import Keypoints
from vjo_train.data.placement import Unmoved
from vjo_train.data.sources.coco.source import COCO
from vjo_train.heads.detection.coco import coco_rows
from vjo_train.heads.keypoints import person
from vjo_train.heads.keypoints.metrics import KeypointMetrics
from vjo_train.metrics.keypoints import KeypointAP
from vjo_train.types import Detections, Target

SIGMAS = (0.1, 0.1)
BOX = [0.0, 0.0, 20.0, 20.0]


def case(
    found: list[Any], there: list[Any], sigmas: tuple[float, ...] = (0.1, 0.1), classes: int = 1
) -> dict[str, Any]:
    """Of one image: (score, points) found, and (points, difficult) there; all boxes are alike."""

    def points(rows: list[Any]) -> torch.Tensor:
        return torch.tensor(rows, dtype=torch.float32).reshape(len(rows), 2, 3)

    first, second = (torch.zeros(len(rows), dtype=torch.int64) for rows in (found, there))
    answers = {
        "boxes": torch.tensor([BOX] * len(found)).reshape(-1, 4),
        "scores": torch.tensor([score for score, _ in found]),
        "labels": first,
        "keypoints": points([rows for _, rows in found]),
    }
    truth = {
        "boxes": torch.tensor([BOX] * len(there)).reshape(-1, 4),
        "labels": second,
        "difficult": torch.tensor([difficult for _, difficult in there], dtype=torch.bool),
        "areas": torch.full((len(there),), 100.0),
        "keypoints": points([rows for rows, _ in there]),
    }
    metric = KeypointAP(1, SIGMAS)
    metric.update([answers], [truth])
    return metric.compute()


def shifted(distance: float) -> list[list[float]]:
    return [[5 + distance, 5, 1], [15, 15 + distance, 1]]


TRUTH = [[5, 5, 2], [15, 15, 1]]


def test_the_similarity_is_that_of_the_formula() -> None:
    """Area 100 and sigma 0.1: exp(-d^2 / (2 * 100 * 0.2^2))."""
    for wanted, passed in ((0.99, 10), (0.76, 6), (0.5001, 1), (0.4999, 0)):
        distance = math.sqrt(-8 * math.log(wanted))
        values = case([(0.9, shifted(distance))], [(TRUTH, False)])
        assert values["map"].item() == pytest.approx(passed / 10, abs=1e-9)
        assert values["map_50"].item() == pytest.approx(float(passed > 0), abs=1e-9)
        assert values["map_75"].item() == pytest.approx(float(passed > 5), abs=1e-9)


def test_unknown_points_do_not_count() -> None:
    found = [[5, 5, 0.1], [99, 99, 0.9]]
    assert case([(0.9, found)], [([[5, 5, 2], [0, 0, 0]], False)])["map"].item() == pytest.approx(1)
    assert case([(0.9, found)], [(TRUTH, False)])["map_75"].item() == 0


def test_difficult_objects_and_those_without_points_are_ignored() -> None:
    nothing = [[0, 0, 0], [0, 0, 0]]
    there = [(TRUTH, False), (nothing, False)]
    found = [(0.9, [[8, 8, 1], [9, 9, 1]]), (0.8, TRUTH)]
    assert case(found, there)["map"].item() == pytest.approx(1), "taken by the object whose points nobody knows"
    crowd = [([[50, 5, 2], [60, 15, 2]], True), (TRUTH, False)]
    several = [(0.9, [[50, 5, 1], [60, 15, 1]])] * 3
    assert case([*several, (0.8, TRUTH)], crowd)["map"].item() == pytest.approx(1), "a crowd takes any number"
    assert math.isnan(case(found, [(nothing, False)])["map"].item())
    assert case([], [(TRUTH, False)])["map"].item() == 0


def test_inputs_of_another_form_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"`preds\[0\].keypoints` should have the shape \[1, 3, 3\]. Found \[1, 2, 3\]"
    ):
        KeypointAP(1, [0.1] * 3).update(
            [{"boxes": torch.tensor([BOX]), "scores": torch.ones(1), "labels": torch.zeros(1, dtype=torch.int64),
              "keypoints": torch.zeros(1, 2, 3)}], [{}])  # fmt: skip
    with pytest.raises(ValueError, match=r"`preds\[0\].keypoints` should be finite. Found nan"):
        case([(0.9, [[math.nan, 5, 1], [15, 15, 1]])], [(TRUTH, False)])


def test_the_person_has_cocos_constants() -> None:
    np.testing.assert_allclose(person.sigmas(17), Params("keypoints").kpt_oks_sigmas)
    assert person.sigmas(4) == [0.25] * 4
    assert person.edges(4) == []


def guessed(target: Target, rng: np.random.Generator) -> Detections:
    """Points near and far from the truth, objects that are missed or found twice, and some that are not there."""
    points, boxes = target["keypoints"].points, target["boxes"].xyxy
    chosen = [k for k in range(len(points)) for _ in range(rng.choice(3, p=[0.1, 0.8, 0.1]))]
    spread = boxes[chosen, 2:] - boxes[chosen, :2]
    noise = torch.from_numpy(rng.normal(0, 1, (len(chosen), 17, 2)) * 10 ** rng.uniform(-3, -1.5, (len(chosen), 1, 1)))
    near = points[chosen, :, :2] + noise.float() * spread[:, None]
    false = torch.from_numpy(rng.uniform(0, 300, (2, 17, 2))).float()
    places = torch.cat([near, false])
    frames = torch.cat([boxes[chosen], torch.tensor([[5.0, 5.0, 90.0, 120.0]] * 2)])
    # Scores that differ by more than the files round them.
    scores = torch.from_numpy(rng.permutation(1000)[: len(places)] / 1000 + 0.0005).float()
    labels = torch.zeros(len(places), dtype=torch.int64)
    order = scores.argsort(descending=True)
    known = torch.cat([places, torch.ones(len(places), 17, 1)], dim=-1)
    return Detections(frames[order], scores[order], labels, keypoints=known[order])


@pytest.mark.parametrize("split", ["train", "val"])
def test_figures_are_those_of_cocos_own_evaluation_of_the_same_files(split: str, tmp_path: Path) -> None:
    if "VJO_SHARED" not in os.environ:
        pytest.skip("VJO_SHARED is not set")
    root = Path(os.environ["VJO_SHARED"]) / "coco_mini"
    file = root / f"annotations/person_keypoints_{split}2017.json"
    source = COCO()
    index = source.read_index(root, ["person"])
    devkit, rng = coco.COCO(file), np.random.default_rng(0)
    metrics = KeypointMetrics(1, person.SIGMAS)
    rows: list[dict[str, Any]] = []
    for image in sorted(devkit.dataset["images"], key=lambda one: one["id"]):  # equal scores go by arrival
        row = int(index.rows([image["file_name"][:-4]])[0])
        placement = Unmoved(index.size(row), len(index.objects(row)))
        kinds = {kind.name: kind for kind in (Boxes(), Keypoints())}
        known = {name: kind.place(source.read(root, index, row, name), placement) for name, kind in kinds.items()}
        target = Target(index.size(row), known)
        found = guessed(target, rng)
        metrics.update([found], [target])
        rows += [{"image_id": image["id"], **one} for one in coco_rows(found)]
    (tmp_path / "found.json").write_text(json.dumps(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(devkit, devkit.loadRes(str(tmp_path / "found.json")), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ours = metrics.compute()
    assert 0.2 < ours["map_oks"] < 0.9
    assert [ours[name].item() for name in ("map_oks", "ap50_oks", "ap75_oks")] == pytest.approx(
        evaluation.stats[:3].tolist(), abs=1e-6
    )


def test_classes_that_are_nowhere_have_no_figure() -> None:
    """Of three classes one object of the second is found, and nothing else is there."""
    box = {"boxes": torch.tensor([[0.0, 0, 10, 20]]), "labels": torch.tensor([1])}
    points = torch.tensor([[[3.0, 3, 2], [6, 6, 1]]])
    metric = KeypointAP(3, [0.1, 0.1])
    truth = {**box, "keypoints": points, "areas": torch.tensor([100.0]), "difficult": torch.tensor([False])}
    metric.update([{**box, "scores": torch.tensor([0.9]), "keypoints": points}], [truth])
    found = metric.compute()
    assert found["ap"][1] == pytest.approx(1)
    assert found["ap"][[0, 2]].isnan().all()
    assert found["map"] == pytest.approx(1)
