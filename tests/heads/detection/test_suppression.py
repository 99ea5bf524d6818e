"""Suppression of a batch, in PyTorch and in ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vjo_train.heads.detection.boxes import pairwise_iou
from vjo_train.heads.detection.suppression import suppress, suppress_in_onnx

GROUPS, IOU = 3, 0.4


def scene(images: int, boxes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes that overlap much, a fifth of which take no part."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(images, boxes, 2, generator=generator) * 30
    sides = 5 + torch.rand(images, boxes, 2, generator=generator) * 30
    scores = torch.randn(images, boxes, generator=generator)
    scores[torch.rand(images, boxes, generator=generator) < 0.2] = -torch.inf
    groups = torch.randint(0, GROUPS, (images, boxes), generator=generator)
    return torch.cat([corner, corner + sides], 2), scores, groups


def greedy(boxes: Tensor, scores: Tensor, groups: Tensor) -> list[bool]:
    """The definition, for one image."""
    iou = pairwise_iou(boxes, boxes)
    kept: list[int] = []
    for place in scores.argsort(descending=True).tolist():
        rivals = [k for k in kept if groups[k] == groups[place] and iou[k, place] > IOU]
        if scores[place] > -torch.inf and not rivals:
            kept.append(place)
    return [place in kept for place in range(len(scores))]


def test_it_is_greedy_within_each_group_of_each_image() -> None:
    given = scene(4, 60)
    kept = suppress(*given, GROUPS, IOU)
    assert kept.tolist() == [greedy(*(part[k] for part in given)) for k in range(4)]
    assert 20 < int(kept.sum()) < 200


def test_without_boxes() -> None:
    assert suppress(*scene(2, 0), GROUPS, IOU).shape == (2, 0)
    boxes, scores, groups = scene(2, 5)
    assert not suppress(boxes, torch.full_like(scores, -torch.inf), groups, GROUPS, IOU).any()


class Suppressed(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor, groups: Tensor) -> Tensor:
        return suppress(boxes, scores, groups, GROUPS, IOU)


def test_onnx_keeps_the_same_boxes(tmp_path: Path) -> None:
    import onnxruntime

    images = torch.export.Dim("images")
    program = torch.onnx.export(
        Suppressed(),
        scene(4, 60),
        dynamo=True,
        dynamic_shapes=({0: images},) * 3,
        input_names=["boxes", "scores", "groups"],
        opset_version=18,
        custom_translation_table={torch.ops.vjo_train.suppress.default: suppress_in_onnx},
        verbose=False,
    )
    assert program is not None
    program.save(tmp_path / "suppress.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "suppress.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        boxes, scores, groups = scene(count, 60, seed=count)
        given = {"boxes": boxes.numpy(), "scores": scores.numpy(), "groups": groups.numpy()}
        (found,) = session.run(None, given)
        np.testing.assert_array_equal(found, suppress(boxes, scores, groups, GROUPS, IOU).numpy())
