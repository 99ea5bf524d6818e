"""ResNets of output stride 16 and 8: DeepLab's, and what can be built on them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.segmentation import deeplabv3_resnet50
from torchvision.ops import roi_align

from tests.config.test_conf import compose
from vjo_train.backbones.neck import FPN
from vjo_train.backbones.torchvision import TorchvisionBackbone
from vjo_train.config import build, networks
from vjo_train.errors import ConfigError
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.semantic import DeepLabV3, SemanticFPN
from vjo_train.sharing.hierarchical import Hierarchical
from vjo_train.sharing.mtan import MTAN
from vjo_train.types import Frames


def backbone(stride: int, **options: Any) -> TorchvisionBackbone:
    return TorchvisionBackbone(name="resnet50", output_stride=stride, **options)  # type: ignore[arg-type]


@torch.no_grad()
def test_stride_8_is_the_backbone_of_torchvisions_deeplab_with_the_same_file(tmp_path: Path) -> None:
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True).backbone.eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    ours = backbone(8, weights=str(tmp_path / "weights.pth")).eval()
    images = torch.randn(1, 3, 96, 160)
    expected, found = theirs(images), ours(images)
    for level, name in (("c4", "aux"), ("c5", "out")):
        torch.testing.assert_close(found[level], expected[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("stride", [8, 16, 32])
@torch.no_grad()
def test_levels_have_the_strides_that_the_backbone_says(stride: int) -> None:
    network = backbone(stride).eval()
    features = network(torch.zeros(1, 3, 96, 160))
    assert network.strides == {level: min(usual, stride) for level, usual in zip(features, (4, 8, 16, 32), strict=True)}
    for level, step in network.strides.items():
        assert features[level].shape == (1, network.channels[level], 96 // step, 160 // step)
    assert network.state_dict().keys() == backbone(32).state_dict().keys()


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_networks_without_dilation_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"backbone.output_stride: found 16, but {name} cannot be dilated"):
        TorchvisionBackbone(name=name, output_stride=16)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["detection", "detection_retinanet", "detection_faster_rcnn", "instance"])
def test_heads_are_built_for_the_strides_of_the_backbone(kind: str) -> None:
    """The cells of c5 at stride 8 have their centres where eight pixels of the canvas have theirs."""
    cfg = compose("backbone=resnet50", "backbone.output_stride=8", f"heads=[{kind}]")
    (task,) = cfg.heads
    for key in {"levels", "roi_levels"} & set(cfg.heads[task]):
        cfg.heads[task][key] = ["c5"]
    with torch.device("meta"):
        assert build.model(cfg).tasks == (task,)
    channels, strides = {"c5": 16}, {"c5": 8}
    outputs = networks.heads(cfg, channels, strides, [task])[task].eval()({"c5": torch.zeros(1, 16, 3, 5)})
    x, y = torch.meshgrid(8 * torch.arange(5) + 4.0, 8 * torch.arange(3) + 4.0, indexing="xy")
    wanted = {tuple(point) for point in torch.stack([x, y], dim=-1).reshape(-1, 2).tolist()}
    assert {tuple(point) for point in centres(kind, outputs).tolist()} == wanted


def centres(kind: str, outputs: Any) -> Tensor:
    """[N, 2], x and y: where the cells of a head's outputs lie on the canvas."""
    if kind == "detection":
        points: Tensor = outputs.locations.points
        return points
    anchors = outputs.anchors if kind == "detection_retinanet" else outputs.proposals.anchors[0]
    return (anchors[:, :2] + anchors[:, 2:]) / 2


@pytest.mark.parametrize("kind", ["semantic_deeplab", "depth", "normals"])
def test_pixel_heads_are_built_for_the_strides_of_the_backbone(kind: str) -> None:
    cfg = compose(f"heads=[{kind}]")
    (task,) = cfg.heads
    if "levels" in cfg.heads[task]:
        cfg.heads[task].levels = ["c5"]
    assert networks.heads(cfg, {"c5": 16}, {"c5": 8}, [task])[task].stride == 8


def test_regions_are_pooled_at_the_strides_of_the_backbone() -> None:
    feature = torch.randn(1, 16, 8, 12)
    head = FasterRCNN(
        channels={"c5": 16}, strides={"c5": 8}, num_classes=2, levels=["c5"], roi_levels=["c5"], hidden=16
    )
    boxes = torch.tensor([[4.0, 8, 60, 40], [0, 0, 96, 64]])
    found = head.pool([feature], boxes, torch.zeros(2, dtype=torch.int64), 7)
    expected = roi_align(feature, [boxes], 7, 1 / 8, sampling_ratio=2, aligned=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("made", [DeepLabV3, partial(SemanticFPN, levels=["c5"])])
def test_maps_fill_the_canvas_at_the_strides_of_the_backbone(made: Any) -> None:
    head = made(channels={"c5": 16}, strides={"c5": 8}, num_classes=2, width=16).eval()
    frames = Frames((24, 40), torch.tensor([[24, 40]]), torch.tensor([[24, 40]]), torch.ones(1))
    decoded = head.decoded(head({"c5": torch.randn(1, 16, 3, 5)}), frames)
    assert decoded["map"].shape == (1, 24, 40)


def test_heads_that_read_the_neck_are_refused() -> None:
    cfg = compose("backbone=resnet50", "backbone.output_stride=16", "heads=[classification,detection]")
    with (
        torch.device("meta"),
        pytest.raises(ConfigError, match=r"heads.detection: reads p3 .*4, 8, 16, 16.*such as c5"),
    ):
        build.model(cfg)


@pytest.mark.parametrize("way", [MTAN, partial(Hierarchical, stages={"a": "c3", "b": "c5"})])
@torch.no_grad()
def test_ways_of_sharing_that_climb_the_levels_keep_their_sizes(way: Any) -> None:
    levels = {"a": ("c5",), "b": ("c4", "c5")}
    network = backbone(8)
    sharing = way(backbone=network, neck=FPN(in_channels=network.channels, channels=8), levels=levels)
    features = sharing.eval()(torch.zeros(1, 3, 64, 96), ("a", "b")).tasks
    for task, names in levels.items():
        for level in names:
            assert features[task][level].shape == (1, network.channels[level], 8, 12)
