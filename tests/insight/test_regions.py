"""Maps of the regions that each task used: for every way of sharing and every head."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from tests import tiny
from tests.heads.detection import cases
from tests.heads.detection.test_base import Given, GivenBoxes
from tests.heads.instance import cases as instance
from tests.sharing import ways
from vjo_train.heads.base import Head
from vjo_train.heads.semantic import DeepLabV3, SemanticFPN
from vjo_train.insight.regions import Regions, overlay_heat, task_maps
from vjo_train.training.module import MultiTaskModule


def network(way: str = "hard", tasks: tuple[str, ...] = ways.ALL) -> MultiTaskModule:
    return tiny.module(tasks, sharing=ways.BUILD[way]).eval()


def batch(size: int = 2) -> tiny.Batch:
    return tiny.batch(size, tasks=ways.ALL, labelled=[tiny.ALL] * size)


@pytest.mark.parametrize("way", ways.BUILD)
def test_every_task_has_a_map_and_nothing_else_changes(way: str) -> None:
    module = network(way)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    random = torch.get_rng_state()
    maps = task_maps(module, batch())
    assert list(maps) == list(ways.ALL)
    for task, values in maps.items():
        assert values.shape == (2, tiny.SIZE, tiny.SIZE)
        assert bool((values >= 0).all())
        if task != "semantic":  # an untrained network may see nothing but background
            assert bool((values.amax((1, 2)) > 0).any()), task
    assert all(p.grad is None for p in module.parameters())
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_a_map_is_that_of_the_image_alone() -> None:
    module, both = network(), batch()
    maps = task_maps(module, both)
    for task, values in task_maps(module, both.first(1)).items():
        torch.testing.assert_close(values[0], maps[task][0], rtol=1e-3, atol=1e-5)


def test_a_frozen_network_has_maps_too() -> None:
    module = network(tasks=("classification",))
    wanted = task_maps(module, batch())
    module.requires_grad_(False)
    assert torch.equal(task_maps(module, batch())["classification"], wanted["classification"])


def test_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="training mode"):
        task_maps(network().train(), batch())


def dense(kind: str) -> tuple[Head, dict[str, Tensor]]:
    maps = cases.features(2)
    if kind in instance.KINDS:
        return instance.head(kind), maps
    if kind == "semantic_fpn":
        return SemanticFPN(channels=cases.CHANNELS, num_classes=3, width=16), maps
    if kind == "deeplab":
        return DeepLabV3(channels=cases.CHANNELS, num_classes=3, level="p3", width=16), maps
    return cases.head(kind), maps


@pytest.mark.parametrize("kind", ["fcos", "retinanet", "faster_rcnn", *instance.KINDS, "semantic_fpn", "deeplab"])
def test_the_score_of_an_image_depends_on_its_features_alone(kind: str) -> None:
    head, maps = dense(kind)
    head.eval()
    for level in maps.values():
        level.requires_grad_()
    targets = [cases.target(), cases.target()]
    given = cases.batch(targets, [1.0, 1.0], targets)
    score = head.explained(head(maps), given)
    assert score is not None
    assert score.shape == (2,)
    found = torch.autograd.grad(score[0], [maps[level] for level in head.levels], allow_unused=True)
    assert any(bool(slope[0].any()) for slope in found if slope is not None)
    assert not any(bool(slope[1].any()) for slope in found if slope is not None)


def test_of_boxes_the_sure_ones_that_nms_leaves_count() -> None:
    """Two boxes on top of each other, one elsewhere, and one that is far less sure than the best."""

    def explained(scores: Tensor, boxes: Tensor) -> Tensor:
        return GivenBoxes().explained(Given(scores, boxes), cases.batch(targets, [1.0], targets))

    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 11], [20, 20, 40, 40], [50, 50, 60, 60]]])
    scores = torch.tensor([[[0.8], [0.7], [0.5], [0.3]]], requires_grad=True)
    targets = [cases.target()]
    score = explained(scores, boxes)
    torch.testing.assert_close(score, torch.logit(torch.tensor([0.8])) + torch.logit(torch.tensor([0.5])))
    (slope,) = torch.autograd.grad(score.sum(), scores)
    assert (slope.flatten() > 0).tolist() == [True, False, True, False]
    assert explained(scores[:, :0], boxes[:, :0]).tolist() == [0.0]


def test_the_heat_is_the_pictures_own_where_it_is_nothing() -> None:
    image = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    heat = torch.zeros(4, 4)
    assert torch.equal(overlay_heat(image, heat), image)
    heat[1, 2] = 1e-9
    changed = (overlay_heat(image, heat) != image).any(0)
    assert changed.nonzero().tolist() == [[1, 2]]


def test_a_test_leaves_a_picture(tmp_path: Path) -> None:
    module = network()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[Regions(output=tmp_path / "new", images=3)],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.test(module, DataLoader([batch(), batch()], batch_size=None), verbose=False)  # type: ignore[arg-type]
    with Image.open(tmp_path / "new" / "regions.png") as picture:
        assert picture.width > 5 * 240  # the image and four maps
        assert picture.height > 2 * 240  # both images of the first batch
    assert all(p.grad is None for p in module.parameters())
