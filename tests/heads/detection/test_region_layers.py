"""Layers and anchors of detectors with two stages, beside torchvision's."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RPNHead

from vjo_train.heads.detection.anchors import RATIOS, grid_anchors
from vjo_train.heads.detection.region_layers import ProposalLayers, TwoLayers


@pytest.mark.parametrize(("own", "peer"), [(ProposalLayers(8, 3), RPNHead(8, 3)), (TwoLayers(8, 4), TwoMLPHead(8, 4))])
def test_layers_have_the_names_and_answers_of_torchvision(own: torch.nn.Module, peer: torch.nn.Module) -> None:
    own.load_state_dict(peer.state_dict(), strict=True)
    given = [torch.randn(2, 8, 3, 5)] if isinstance(own, ProposalLayers) else torch.randn(2, 8, 1, 1)
    torch.testing.assert_close(own(given), peer(given), rtol=0, atol=0)


def test_layers_start_as_those_of_torchvision() -> None:
    torch.manual_seed(0)
    own = ProposalLayers(8, 3).state_dict()
    torch.manual_seed(0)
    assert all(torch.equal(own[name], weight) for name, weight in RPNHead(8, 3).state_dict().items())


def test_cornered_anchors_are_those_of_torchvision() -> None:
    shapes, strides, sizes = [(5, 7), (3, 4)], [8, 16], (4.0, 5.04)
    own = grid_anchors(shapes, strides, sizes, torch.device("cpu"), "cornered")
    sides = tuple(tuple(int(size * stride) for size in sizes) for stride in strides)
    peer = AnchorGenerator(sides, (RATIOS,) * 2)
    images = ImageList(torch.zeros(1, 3, 40, 56), [(40, 56)])
    (theirs,) = peer(images, [torch.zeros(1, 8, *shape) for shape in shapes])
    torch.testing.assert_close(torch.cat(own), theirs, rtol=0, atol=0)
