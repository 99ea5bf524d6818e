"""torchvision's own models at random weights, read from a file into our heads: the same outputs on the same canvas.

Pictures of odd sizes are laid into the corner of a canvas as torchvision's padding does it (sides of multiples of 32),
so that neither program resizes them: how pictures are scaled is each one's own matter.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_module
from torch import Tensor, nn
from torchvision.models import detection, segmentation

from vjo_train.config import build
from vjo_train.training import from_torchvision, start_from, start_source
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Frames

SIZES = [(97, 131), (150, 101), (65, 203)]
EXPERIMENTS = {
    "fcos_resnet50_fpn": "from_fcos",
    "retinanet_resnet50_fpn": "from_retinanet",
    "fasterrcnn_resnet50_fpn": "from_faster_rcnn",
    "maskrcnn_resnet50_fpn": "from_mask_rcnn",
    "keypointrcnn_resnet50_fpn": "from_keypoint_rcnn",
    "deeplabv3_resnet50": "from_deeplab",
}
DETECTORS = [name for name in EXPERIMENTS if name != "deeplabv3_resnet50"]


def randomise(network: nn.Module, categories: list[str]) -> None:
    """Weights of one size everywhere, statistics that differ by channel, and outputs that find some of each class.

    Nothing is found of background as a class, and of torchvision's gaps in COCO's categories, which have no name.
    """
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var"):
            value.copy_(noise.abs() + 0.5)
        elif value.dim() > 1:
            value.copy_(noise * (1.5 / value[0].numel()) ** 0.5)
        else:  # the last norm of a block is small, so that sums do not grow
            value.copy_(0.1 * noise + (0.3 if "bn3" in name else 1.0) * name.endswith("weight"))
    named = torch.tensor([name not in ("__background__", "N/A") for name in categories])
    for name, value in network.state_dict().items():
        if name.endswith(("bbox_reg.weight", "bbox_pred.weight")):
            value.mul_(0.3)
        if name == "head.regression_head.bbox_reg.bias" and len(value) == 4:
            value.add_(2.0)  # distances of FCOS: no box is empty
        if name == "head.classification_head.cls_logits.bias":
            value.view(-1, len(named)).sub_(torch.where(named, 5.0 if len(value) == len(named) else 7.0, 30.0))
        if name == "roi_heads.box_predictor.cls_score.bias":
            value.sub_(torch.where(named, 0.0, 30.0))[0] = 7.0 if len(named) > 2 else 3.5


@functools.cache
def theirs(name: str) -> nn.Module:
    maker = getattr(segmentation if name.startswith("deeplab") else detection, name)
    torch.manual_seed(0)
    categories = from_torchvision.categories(name)
    network: nn.Module = maker(weights=None, weights_backbone=None, num_classes=len(categories))
    randomise(network, categories)
    return network.eval()


def ours(name: str, path: Path, *overrides: str) -> tuple[MultiTaskModule, start_from.Started]:
    """The network of the checkpoint's experiment, for a user with the published classes in another order."""
    names = [one for one in dict.fromkeys(from_torchvision.categories(name)[:0:-1]) if one != "N/A"]
    words = [f"experiment={EXPERIMENTS[name]}", f"start_from={path}", *overrides]
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        cfg = compose("train", words)
    cfg.dataset.classes = names
    module = build.model(cfg)
    started = start_from.start(module, start_source.read(str(path), {t: module.head(t) for t in module.tasks}))
    return module.eval(), started


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("torchvision")

    @functools.cache
    def saved(name: str) -> Path:
        path = folder / f"{name}.pth"
        torch.save(theirs(name).state_dict(), path)
        return path

    return saved


def picture(size: tuple[int, int], seed: int) -> Tensor:
    """[3, H, W] in 0..1, with structure at several scales."""
    generator = torch.Generator().manual_seed(seed)
    layers = [torch.rand(1, 3, n, n, generator=generator) for n in (3, 9, 40)]
    return torch.stack([F.interpolate(x, size=size, mode="bilinear")[0] for x in layers]).mean(0)


def features_of(module: MultiTaskModule, image: Tensor) -> tuple[Any, Frames]:
    """What the heads get for a picture in the corner of its canvas, and where it lies."""
    height, width = image.shape[1:]
    canvas = (-(-height // 32) * 32, -(-width // 32) * 32)
    images = module.mean.expand(1, 3, *canvas).clone()
    images[0, :, :height, :width] = 255 * image
    size = torch.tensor([[height, width]])
    return module.share(images, module.tasks).tasks, Frames(canvas, size.float(), size, torch.ones(1))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_give_the_same(name: str, files: Any) -> None:
    network, (module, started) = theirs(name), ours(name, files(name))
    assert not started.differences
    assert all(taken == count for taken, count in started.parts.values()), started.parts
    (task,) = module.tasks
    head, labels = module.head(task), from_torchvision.categories(name)
    if hasattr(network, "rpn"):  # as many proposals and objects as both, but not so many that it takes long
        network.rpn._post_nms_top_n["testing"] = head.eval_proposals = 200
        network.roi_heads.detections_per_img = head.detections_per_image = 10
    network.transform.postprocess = lambda found, *_: found  # masks as they come: 28 x 28 cells of each box
    maps: list[Tensor] = []
    if task == "keypoints":
        network.roi_heads.keypoint_predictor.register_forward_hook(lambda *args: maps.append(args[2]))
    for seed, size in enumerate(SIZES):
        image = picture(size, seed)
        network.transform.min_size, network.transform.max_size = (min(size),), 10 * max(size)
        (wanted,) = network([image])
        features, frames = features_of(module, image)
        outputs = head(features[task])
        found = head.decoded(outputs, frames)
        count = int((found["labels"] >= 0).sum())
        mine = {key: value[0, :count] for key, value in found.items()}
        # Boxes that lie in the padding are cut to nothing, and are left out here.
        there = (wanted["boxes"][:, 2:] > wanted["boxes"][:, :2]).all(1)
        wanted = {key: value[there] for key, value in wanted.items()}
        assert count == len(wanted["scores"]) > 5
        names = [head.space.names[k] for k in mine["labels"]]
        same = torch.tensor([[one == labels[k] for one in names] for k in wanted["labels"]])
        same &= (wanted["boxes"][:, None] - mine["boxes"]).abs().amax(2) < 1e-3
        same &= (wanted["scores"][:, None] - mine["scores"]).abs() < 1e-5
        assert same.any(1).all()
        place = same.int().argmax(1)  # all but equal scores may have changed places
        assert sorted(place.tolist()) == list(range(count))
        if "masks" in mine:
            torch.testing.assert_close(mine["masks"][place], wanted["masks"][:, 0], atol=1e-5, rtol=0)
        if maps:
            image_of = torch.zeros(count, dtype=torch.int64)
            heat = head._maps(outputs, mine["boxes"], image_of)[place]
            torch.testing.assert_close(heat, maps[-1][there], atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_deeplab_gives_the_same(files: Any) -> None:
    name = "deeplabv3_resnet50"
    network, (module, _) = theirs(name), ours(name, files(name))
    for seed, size in enumerate(SIZES):
        features, frames = features_of(module, picture(size, seed))
        height, width = frames.canvas
        canvas = torch.zeros(1, 3, height, width)
        image = picture(size, seed)
        canvas[0, :, : size[0], : size[1]] = (image - module.mean[0] / 255) / (module.std[0] / 255)
        wanted = network(canvas)["out"].softmax(1)
        head = module.head("semantic")
        maps = F.interpolate(head(features["semantic"]), scale_factor=8.0, mode="bilinear", align_corners=False)
        places = [0, *(1 + head.space.names.index(one) for one in from_torchvision.categories(name)[1:])]
        torch.testing.assert_close(maps.softmax(1)[:, places], wanted, atol=1e-5, rtol=0)
