"""Pooling over a picture's own cells: what its shape and its padding do not change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests import tiny
from vjo_train.heads.own_cells import covered, extent, pooled
from vjo_train.inference.export import Wanted, export
from vjo_train.inference.exporting.traced import Traced
from vjo_train.inference.runtimes.onnx import open_session
from vjo_train.types import MEAN_COLOUR, Target


def canvases(*places: tuple[int, int, int, int], side: int = 64) -> torch.Tensor:
    """Black pictures at (top, bottom, left, right) of canvases of the padding's colour."""
    images = torch.tensor(MEAN_COLOUR, dtype=torch.uint8).view(1, 3, 1, 1).repeat(len(places), 1, side, side)
    for image, (top, bottom, left, right) in zip(images, places, strict=True):
        image[:, top:bottom, left:right] = 0
    return images


def test_the_extent_is_that_of_the_picture_wherever_it_lies() -> None:
    places = [(0, 64, 0, 64), (0, 16, 0, 64), (0, 64, 0, 1), (8, 24, 32, 40), (63, 64, 63, 64)]
    found = extent(canvases(*places)) * 64
    assert found.tolist() == [list(map(float, place)) for place in places]
    assert extent(canvases((0, 0, 0, 0))).tolist() == [[0, 1, 0, 1]]  # nothing but the colour of padding


@pytest.mark.parametrize(("height", "width"), [(2, 2), (6, 4), (3, 5)])
def test_the_shares_of_the_cells_are_those_of_their_pixels(height: int, width: int) -> None:
    places = [(0, 40, 0, 60), (7, 9, 0, 60), (30, 31, 59, 60), (10, 50, 20, 23)]
    images = canvases(*places, side=60)
    inside = (images == 0).all(1).float()[:, None]
    wanted = torch.nn.functional.adaptive_avg_pool2d(inside, (height, width))[:, 0]
    torch.testing.assert_close(covered(extent(images), height, width), wanted)


def test_pooling_is_that_of_the_picture_alone() -> None:
    feature = torch.randn(2, 5, 4, 4)
    where = torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.0, 0.5, 0.25, 1.0]])
    own = feature[1:, :, :2, 1:]
    mean, greatest = pooled(feature, where, "average"), pooled(feature, where, "max")
    torch.testing.assert_close(mean[1], own.mean((2, 3))[0])
    torch.testing.assert_close(mean[0], feature[0].mean((1, 2)))
    torch.testing.assert_close(greatest[1], own.amax((2, 3))[0])
    torch.testing.assert_close(pooled(feature, None, "average"), feature.mean((2, 3)))


def wide(batch: int = 3) -> torch.Tensor:
    """Pictures that fill the top quarter of their canvases."""
    images = tiny.batch(batch).images
    images[:, :, 16:] = torch.tensor(MEAN_COLOUR, dtype=torch.uint8).view(3, 1, 1)
    return images


def test_what_lies_in_the_padding_of_the_features_does_not_count_in_training_and_evaluation() -> None:
    module, images = tiny.module(("classification",)), wide()
    for training in (True, False):
        module.train(training)
        shared = module.share(images, ("classification",)).tasks["classification"]
        noisy = {**shared, "c5": shared["c5"].clone()}
        noisy["c5"][:, :, 1:] = 1e3  # a stride of 32: the picture lies in the first row
        head = module.head("classification")
        torch.testing.assert_close(head(shared), head(noisy))
        batch = replace(tiny.batch(3), images=images, originals=[Target((16, 64))] * 3)
        assert torch.stack(module.predict(batch)["classification"]).equal(head(shared).sigmoid()) or training


def test_an_exported_file_leaves_the_padding_out_too(tmp_path: Path) -> None:
    module, images = tiny.module(("classification",)).eval(), wide()
    traced = Traced(module, ("classification",), (64, 64), decoded=False)
    export(traced, Wanted(tmp_path / "net.onnx", "onnx", "float32", {}, 1e-4, 1), None)
    (found,) = open_session(tmp_path / "net.onnx").run(["classification"], {"images": images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), module(images)["classification"], atol=1e-4, rtol=0)
