"""ResNets of output stride 16 and 8: DeepLab's, and what can be built on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models.segmentation import deeplabv3_resnet50

from tests.config.test_conf import compose
from vjo_train.backbones.torchvision import TorchvisionBackbone
from vjo_train.config import build
from vjo_train.errors import ConfigError
from vjo_train.sharing.hierarchical import Hierarchical
from vjo_train.sharing.mtan import MTAN


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


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize(
    "heads",
    [
        ["semantic_deeplab", "classification"],
        ["detection", "semantic"],
        ["detection_retinanet"],
        ["detection_faster_rcnn"],
        ["instance"],
    ],
)
def test_heads_that_read_the_backbone_know_its_strides(stride: int, heads: list[str]) -> None:
    """Decoded boxes and maps of an untrained network spread over the whole canvas, and not beyond."""
    cfg = compose("backbone=resnet50", f"backbone.output_stride={stride}", f"heads=[{','.join(heads)}]")
    for head in cfg.heads.values():
        for key in ("levels", "roi_levels"):
            if key in head:
                head[key] = ["c5"]
    module = build.model(cfg).eval()
    for task in module.tasks:
        head = module.head(task)
        if task == "semantic":
            assert head.stride == stride
        elif task == "detection" and heads[0] == "detection":
            with torch.no_grad():
                points = module(torch.zeros(1, 3, 64, 96))["detection"].locations.points
            assert points.amax(0).tolist() == [96 - stride / 2, 64 - stride / 2]
        elif task != "classification":
            strides = head.proposal_strides + head.roi_strides if hasattr(head, "roi_strides") else head.strides
            assert set(strides) == {stride}


def test_heads_that_read_the_neck_are_refused() -> None:
    cfg = compose("backbone=resnet50", "backbone.output_stride=16", "heads=[classification,detection]")
    with (
        torch.device("meta"),
        pytest.raises(ConfigError, match=r"heads.detection: reads p3 .*4, 8, 16, 16.*such as c5"),
    ):
        build.model(cfg)


@pytest.mark.parametrize("way", [MTAN, Hierarchical])
@torch.no_grad()
def test_ways_of_sharing_that_climb_the_levels_keep_their_sizes(way: Any) -> None:
    levels = {"a": ("c5",), "b": ("c4", "c5")}
    network = backbone(8)
    sharing = way(backbone=network, neck=torch.nn.Module(), levels=levels) if way is MTAN else None
    if sharing is None:
        neck = torch.nn.Module()
        neck.channels = {}  # type: ignore[assignment]
        stages = {"a": "c3", "b": "c5"}
        sharing = way(backbone=network, neck=neck, levels=levels, stages=stages)
    features = sharing.eval()(torch.zeros(1, 3, 64, 96), ("a", "b")).tasks
    for task, names in levels.items():
        for level in names:
            assert features[task][level].shape == (1, network.channels[level], 8, 12)
