"""torchvision's detectors and DeepLabV3 on ResNet-50, read from their state dicts under this program's names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torchvision.models import get_model_weights

from vjo_train.heads.base import Head
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.fcos import FCOS
from vjo_train.heads.detection.regions import RESOLUTION
from vjo_train.heads.detection.retinanet import RetinaNet
from vjo_train.heads.instance.mask_rcnn import MaskRCNN
from vjo_train.heads.keypoints.keypoint_rcnn import KeypointRCNN
from vjo_train.heads.semantic import DeepLabV3
from vjo_train.training.start_from import Source

State = dict[str, Tensor]

KNOWN = {
    "fcos_resnet50_fpn": "head.regression_head.bbox_ctrness.weight",
    "retinanet_resnet50_fpn": "head.regression_head.bbox_reg.weight",
    "keypointrcnn_resnet50_fpn": "roi_heads.keypoint_predictor.kps_score_lowres.weight",
    "maskrcnn_resnet50_fpn": "roi_heads.mask_predictor.mask_fcn_logits.weight",
    "fasterrcnn_resnet50_fpn": "roi_heads.box_predictor.cls_score.weight",
    "deeplabv3_resnet50": "classifier.0.convs.0.0.weight",
}
"""Network -> a weight by which it is known; one that stands further down has none of those above it."""
CLASS_LAYERS = {
    "fcos_resnet50_fpn": "head.classification_head.cls_logits.bias",
    "retinanet_resnet50_fpn": "head.classification_head.cls_logits.bias",
    "deeplabv3_resnet50": "classifier.4.bias",
}
"""Network -> the bias of its class layer; those of the others is that of `roi_heads.box_predictor.cls_score`."""
ANCHORS = {"retinanet_resnet50_fpn": 9}
"""Network -> how often its class layer has each class, if more than once."""
EPSILON = 1e-5
"""Of the backbone's norms; those of the published networks with the names before torchvision 0.13 have 0."""
STAGES = {"conv1": "0.0", "bn1": "0.1", "layer1": "0.4", "layer2": "1", "layer3": "2", "layer4": "3"}
"""A ResNet's parts -> this program's stages."""


@dataclass(frozen=True)
class Conversion:
    """How a kind of head gets its weights.

    Attributes:
        head: the kind.
        weights: torchvision's state dict and the number of its classes, background among them -> those of the head.
        keys: of the head, as torchvision's networks are built; others make another network of the same weights.
    """

    head: type[Head]
    weights: Callable[[Mapping[str, Tensor], int], State]
    keys: Mapping[str, Any]


def read(path: Path, state: Mapping[str, Tensor], heads: Mapping[str, Head]) -> Source | None:
    """The weights of one of torchvision's networks, as a network of this program with these heads would name them.

    The class names are known where the network has as many classes as torchvision's published one.

    Returns:
        None if the state dict is of none of `KNOWN`.
    """
    name = next((name for name, key in KNOWN.items() if key in state), None)
    if name is None:
        return None
    given = with_new_names(state, name)
    bias = given[CLASS_LAYERS.get(name, "roi_heads.box_predictor.cls_score.bias")]
    count = len(bias) // ANCHORS.get(name, 1)
    names = categories(name)
    mine = shared(given)
    classes: dict[str, Sequence[str]] = {}
    remarks: dict[str, str] = {}
    for task, head in heads.items():
        fitting = [conversion for conversion in CONVERSIONS[name] if isinstance(head, conversion.head)]
        wanted = {key: value for conversion in fitting for key, value in conversion.keys.items()}
        for conversion in fitting:
            mine |= {f"heads.{task}.{own}": value for own, value in conversion.weights(given, count).items()}
        if other := [f"{key}={value}" for key, value in wanted.items() if getattr(head, key) != value]:
            remarks[f"heads.{task}"] = f"torchvision's network has {', '.join(other)}"
        if fitting and len(names) == count:
            classes[task] = names[1:]
    return Source(path, f"torchvision's {name}", mine, classes, remarks)


def categories(name: str) -> list[str]:
    """The class names of torchvision's published network, background first."""
    return list(get_model_weights(name).DEFAULT.meta["categories"])


def with_new_names(state: Mapping[str, Tensor], name: str) -> State:
    """The state dict of the network `name` under the names that torchvision has had since 0.13.

    One with older names is taken to be a published one, whose frozen norms divide by the deviation as it is: the
    difference goes into their weights.
    """
    given = {_new_name(key, name): value for key, value in state.items()}
    if given.keys() == state.keys():
        return given
    for key in [key for key in given if key.startswith("backbone.body.") and key.endswith("running_var")]:
        weight = key.replace("running_var", "weight")
        variance = given[key]
        given[weight] = given[weight] * ((variance + EPSILON) / variance.clamp(min=1e-12)).sqrt()
    return given


def shared(given: Mapping[str, Tensor]) -> State:
    """Backbone and neck."""
    mine = {}
    for name, value in given.items():
        if match := re.match(r"^backbone\.(?:body\.)?(conv1|bn1|layer\d)\.(.*)$", name):
            mine[f"sharing.backbone.stages.{STAGES[match[1]]}.{match[2]}"] = value
        elif name.startswith("backbone.fpn."):
            mine[f"sharing.neck.{name.removeprefix('backbone.')}"] = value
    return mine


def _new_name(key: str, name: str) -> str:
    key = re.sub(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", key)
    key = re.sub(r"^(rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2", key)
    if match := re.match(r"^(roi_heads\.mask_head\.)mask_fcn(\d)(\..*)$", key):
        return f"{match[1]}{int(match[2]) - 1}.0{match[3]}"
    match = re.match(r"^(head\.\w+_head\.conv\.)([0246])\.(weight|bias)$", key)
    if match and name == "retinanet_resnet50_fpn":
        return f"{match[1]}{int(match[2]) // 2}.0.{match[3]}"
    return key


def _under(given: Mapping[str, Tensor], theirs: str, ours: str) -> State:
    """The weights below the name `theirs`, below `ours`."""
    return {f"{ours}.{n.removeprefix(theirs + '.')}": v for n, v in given.items() if n.startswith(f"{theirs}.")}


def _without_norms(given: Mapping[str, Tensor], theirs: str, ours: str) -> State:
    """Blocks of a convolution and a ReLU each, in a row here."""
    blocks = _under(given, theirs, "")
    pattern = re.compile(r"^\.(\d+)\.0\.(.*)$")
    found = [(match, value) for name, value in blocks.items() if (match := pattern.match(name))]
    return {f"{ours}.{2 * int(match[1])}.{match[2]}": value for match, value in found}


def _fcos(given: Mapping[str, Tensor], count: int) -> State:
    mine = _under(given, "head.classification_head.conv", "class_tower")
    mine |= _under(given, "head.regression_head.conv", "box_tower")
    logits = _under(given, "head.classification_head.cls_logits", "class_logits")
    mine |= {name: value[1:] for name, value in logits.items()}
    mine |= _under(given, "head.regression_head.bbox_reg", "box_sides")
    mine |= _under(given, "head.regression_head.bbox_ctrness", "box_centreness")
    return mine | {"scales": given["head.regression_head.bbox_reg.bias"].new_ones(5)}


def _retinanet(given: Mapping[str, Tensor], count: int) -> State:
    mine = _without_norms(given, "head.classification_head.conv", "class_tower")
    mine |= _without_norms(given, "head.regression_head.conv", "box_tower")
    logits = _under(given, "head.classification_head.cls_logits", "class_logits")
    mine |= {name: value.view(-1, count, *value.shape[1:])[:, 1:].flatten(0, 1) for name, value in logits.items()}
    return mine | _under(given, "head.regression_head.bbox_reg", "box_offsets")


def _faster_rcnn(given: Mapping[str, Tensor], count: int) -> State:
    mine = _under(given, "rpn.head", "proposal_head") | _under(given, "roi_heads.box_head", "roi_head")
    # Pooled features lie here cell by cell, there channel by channel.
    first = mine["roi_head.fc6.weight"]
    mine["roi_head.fc6.weight"] = first.view(len(first), -1, RESOLUTION**2).movedim(1, 2).flatten(1)
    logits = _under(given, "roi_heads.box_predictor.cls_score", "roi_logits")
    mine |= {name: value.roll(-1, 0) for name, value in logits.items()}  # background last
    offsets = _under(given, "roi_heads.box_predictor.bbox_pred", "roi_offsets")
    return mine | {name: value[4:] for name, value in offsets.items()}


def _masks(given: Mapping[str, Tensor], count: int) -> State:
    mine = _without_norms(given, "roi_heads.mask_head", "mask_branch.tower")
    mine |= _under(given, "roi_heads.mask_predictor.conv5_mask", "mask_branch.transposed")
    logits = _under(given, "roi_heads.mask_predictor.mask_fcn_logits", "mask_branch.logits")
    return mine | {name: value[1:] for name, value in logits.items()}


def _points(given: Mapping[str, Tensor], count: int) -> State:
    mine = _under(given, "roi_heads.keypoint_head", "point_branch.tower")
    return mine | _under(given, "roi_heads.keypoint_predictor.kps_score_lowres", "point_branch.transposed")


def _deeplab(given: Mapping[str, Tensor], count: int) -> State:
    mine: State = {}
    for place in range(4):
        mine |= _under(given, f"classifier.0.convs.{place}", f"branches.{place}")
    for name, value in _under(given, "classifier.0.convs.4", "").items():
        layer, _, rest = name[1:].partition(".")
        mine[f"pooled.{int(layer) - 1}.{rest}"] = value  # there behind the mean, which is a layer
    mine |= _under(given, "classifier.0.project", "join.0")
    mine |= _under(given, "classifier.1", "last.0") | _under(given, "classifier.2", "last.1")
    return mine | _under(given, "classifier.4", "logits")


_REGIONS = Conversion(FasterRCNN, _faster_rcnn, {"cells": "cornered", "anchor_scale": 8.0})
CONVERSIONS = {
    "fcos_resnet50_fpn": [Conversion(FCOS, _fcos, {"cells": "cornered", "distances": "linear"})],
    "retinanet_resnet50_fpn": [Conversion(RetinaNet, _retinanet, {"cells": "cornered", "norm": "none"})],
    "fasterrcnn_resnet50_fpn": [_REGIONS],
    "maskrcnn_resnet50_fpn": [_REGIONS, Conversion(MaskRCNN, _masks, {"mask_norm": "none"})],
    "keypointrcnn_resnet50_fpn": [_REGIONS, Conversion(KeypointRCNN, _points, {"point_layers": "paper"})],
    "deeplabv3_resnet50": [Conversion(DeepLabV3, _deeplab, {"background": True})],
}
"""Network -> the heads that get weights of it; other heads start fresh on its backbone and neck."""
