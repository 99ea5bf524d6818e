from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.heads.detection import cases as detection
from tests.heads.instance import cases
from vjo_train.heads.instance.metrics import InstanceMetrics
from vjo_train.types import Detections, Target

torch.set_num_threads(1)


def exact(target: Target) -> Detections:
    known = target["boxes"]
    masks = target.labels.get("masks", torch.zeros(len(known), *target.size, dtype=torch.bool))
    return Detections(known.xyxy, torch.linspace(0.9, 0.5, len(known)), known.labels, masks)


def test_perfect_masks_have_perfect_figures() -> None:
    targets = cases.mixed()[:4]
    collector = InstanceMetrics(detection.CLASSES)
    collector.update([exact(target) for target in targets], targets)
    values = collector.compute()
    for name in ("map_r50", "map_r70", "map_coco"):
        assert values[name] == pytest.approx(1)
    for name, mean in collector.per_class.items():
        assert values[name].shape == (detection.CLASSES,)
        assert values[name].nanmean() == pytest.approx(float(values[mean]))


def test_two_thirds_of_an_object_count_at_one_half_alone() -> None:
    known = cases.target([[10, 10, 70, 70]], [0])
    known["masks"][:] = False
    known["masks"][:, 10:70, 10:70] = True
    found = exact(known)
    assert found.masks is not None
    part = found.masks.clone()
    part[:, 50:] = False
    collector = InstanceMetrics(detection.CLASSES)
    collector.update([replace(found, masks=part)], [known])
    values = collector.compute()
    assert values["map_r50"] == 1
    assert values["map_r70"] == 0
    assert values["map_coco"] == pytest.approx(0.4)  # at 0.5, 0.55, 0.6 and 0.65


def test_images_without_masks_count_neither_way() -> None:
    targets = cases.mixed()[:5]
    collector = InstanceMetrics(detection.CLASSES)
    collector.update([exact(target) for target in targets], targets)
    assert collector.compute()["map_r50"] == pytest.approx(1)
    collector.reset()
    collector.update([exact(targets[4])], [targets[4]])
    assert bool(collector.compute()["map_r50"].isnan())
    assert bool(collector.compute()["map_coco"].isnan())


def test_objects_without_pixels_are_no_instances() -> None:
    hidden = cases.mixed()[5]
    found = exact(hidden)
    keep = torch.tensor([1])
    assert found.masks is not None
    seen = Detections(found.boxes[keep], found.scores[keep], found.labels[keep], found.masks[keep])
    collector = InstanceMetrics(detection.CLASSES)
    collector.update([seen], [hidden])
    values = collector.compute()
    assert values["map_r50"] == values["map_coco"] == 1
    assert values["ap_r50"].isnan().tolist() == [True, True, False]
