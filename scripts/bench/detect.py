"""The dense detection heads' loss and decoding against torchvision's, on the same raw outputs.

A visit is the loss of a batch with its gradient at the raw outputs, and the way from these to the final boxes. The
towers before them are left out. The outputs are made up for canvases of 512 px and 20 classes: as of a trained
detector, most scores are low, and fewer boxes pass the threshold than either side lets into non-maximum suppression.
Both have the same thresholds. Their losses differ in the division (ours by the positives of each image, theirs by
those of the batch), so the figure beside the seconds is the number of boxes found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.models import detection
from torchvision.models.detection.image_list import ImageList

from bench.sides import Aim, Section, now
from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.detection.fcos import FCOS, FCOSOutputs, grid
from vjo_train.heads.detection.retinanet import RetinaNet, RetinaNetOutputs
from vjo_train.types import Batch, Boxes, Target, usual_stride

SIZE, CLASSES, OBJECTS = 512, 20, 6
LEVELS = ("p3", "p4", "p5", "p6", "p7")
THRESHOLDS = {"score": 0.05, "nms": 0.5}


def section(images: int) -> Section:
    """Compares seconds per image, at a batch of `images`."""
    pictures = targets(images)
    sides: dict[str, Callable[[], tuple[float, float]]] = {}
    for name, mean, theirs, ours in (
        ("FCOS", -9.0, theirs_fcos, ours_fcos),
        ("RetinaNet", -7.5, theirs_retinanet, ours_retinanet),
    ):
        for side, made in (("torchvision", theirs(images, mean)), ("vjo-train", ours(images, mean))):
            sides[f"{name}, {side}"] = visit(pictures, *made)
    return Section(
        unit="image",
        result="boxes found",
        sides=sides,
        aims=[Aim(f"{name}, vjo-train", f"{name}, torchvision", 0.6) for name in ("FCOS", "RetinaNet")],
        settings={"batch": images, "size": SIZE, "classes": CLASSES, "objects an image": f"1 to {OBJECTS}"},
    )


def targets(images: int) -> list[Target]:
    """One to `OBJECTS` objects in each image."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(images):
        count = int(torch.randint(1, OBJECTS + 1, (), generator=generator))
        corner = torch.rand(count, 2, generator=generator) * SIZE / 2
        boxes = torch.cat([corner, corner + 16 + torch.rand(count, 2, generator=generator) * SIZE * 0.45], dim=1)
        labels = torch.randint(0, CLASSES, (count,), generator=generator)
        found.append(Target((SIZE, SIZE), {"boxes": Boxes(boxes, labels, torch.zeros(count, dtype=torch.bool))}))
    return found


def visit(
    pictures: list[Target],
    raw: dict[str, Tensor],
    loss: Callable[[list[Target]], Tensor],
    decode: Callable[[list[Target]], list[Any]],
) -> Callable[[], tuple[float, float]]:
    """A side: loss, gradient at the raw outputs, boxes."""

    def side() -> tuple[float, float]:
        start = now()
        for tensor in raw.values():
            tensor.grad = None
        loss(pictures).backward()
        with torch.no_grad():
            boxes = decode(pictures)
        return (now() - start) / len(pictures), float(sum(map(len, boxes)))

    return side


def raw_outputs(images: int, mean: float, anchors: int, columns: dict[str, int]) -> dict[str, Tensor]:
    """Random raw outputs [B, R, columns] by name, the logits about `mean`; the same for both sides."""
    rows = anchors * sum((SIZE // usual_stride(level)) ** 2 for level in LEVELS)
    generator = torch.Generator().manual_seed(1)
    made = {"logits": mean + 1.5 * torch.randn(images, rows, CLASSES, generator=generator)}
    made |= {name: torch.randn(images, rows, count, generator=generator) for name, count in columns.items()}
    return {name: tensor.requires_grad_() for name, tensor in made.items()}


def theirs_fcos(images: int, mean: float) -> tuple[Any, ...]:
    """Torchvision's FCOS."""
    raw = raw_outputs(images, mean, 1, {"sides": 4, "centreness": 1})
    raw["sides"].data = raw["sides"].data.exp()
    outputs = {"cls_logits": raw["logits"], "bbox_regression": raw["sides"], "bbox_ctrness": raw["centreness"]}
    return theirs(images, raw, outputs, detection.fcos_resnet50_fpn, 1)


def theirs_retinanet(images: int, mean: float) -> tuple[Any, ...]:
    """Torchvision's RetinaNet."""
    raw = raw_outputs(images, mean, 9, {"offsets": 4})
    outputs = {"cls_logits": raw["logits"], "bbox_regression": raw["offsets"]}
    return theirs(images, raw, outputs, detection.retinanet_resnet50_fpn, 9)


def theirs(images: int, raw: dict[str, Tensor], outputs: dict[str, Tensor], build: Any, anchors: int) -> Any:
    """A detector of torchvision, without its network."""
    model = build(weights=None, weights_backbone=None, num_classes=CLASSES)
    model.score_thresh, model.nms_thresh = THRESHOLDS["score"], THRESHOLDS["nms"]
    model.detections_per_img = 100
    sizes = [(SIZE, SIZE)] * images
    maps = [torch.empty(images, 1, SIZE // usual_stride(level), SIZE // usual_stride(level)) for level in LEVELS]
    boxes = model.anchor_generator(ImageList(torch.empty(images, 3, SIZE, SIZE), sizes), maps)
    counts = [anchors * (SIZE // usual_stride(level)) ** 2 for level in LEVELS]

    def loss(pictures: list[Target]) -> Tensor:
        truth = [{"boxes": target["boxes"].xyxy, "labels": target["boxes"].labels} for target in pictures]
        more = (counts,) if anchors == 1 else ()
        return torch.stack(list(model.compute_loss(truth, outputs, boxes, *more).values())).sum()

    def decode(pictures: list[Target]) -> list[Tensor]:
        levels = {name: list(tensor.detach().split(counts, 1)) for name, tensor in outputs.items()}
        found = model.postprocess_detections(levels, [list(box.split(counts)) for box in boxes], sizes)
        return [image["boxes"] for image in found]

    return raw, loss, decode


def ours_fcos(images: int, mean: float) -> tuple[Any, ...]:
    """FCOS of this package."""
    raw = raw_outputs(images, mean, 1, {"sides": 4, "centreness": 1})
    raw["sides"].data = raw["sides"].data.exp()
    strides = [usual_stride(level) for level in LEVELS]
    places = grid([(SIZE // step, SIZE // step) for step in strides], strides, torch.device("cpu"))
    outputs = FCOSOutputs(raw["logits"], raw["sides"], raw["centreness"][..., 0], places)
    return ours(images, raw, outputs, FCOS(depth=0, **options()))


def ours_retinanet(images: int, mean: float) -> tuple[Any, ...]:
    """RetinaNet of this package."""
    raw = raw_outputs(images, mean, 9, {"offsets": 4})
    head = RetinaNet(depth=0, **options())
    with torch.no_grad():
        sides = {level: SIZE // usual_stride(level) for level in LEVELS}
        features = {level: torch.zeros(1, 8, side, side) for level, side in sides.items()}
        anchors = head(features).anchors
    return ours(images, raw, RetinaNetOutputs(raw["logits"], raw["offsets"], anchors), head)


def options() -> dict[str, Any]:
    """What both heads are built with."""
    channels = dict.fromkeys(LEVELS, 8)
    thresholds = {f"{name}_threshold": value for name, value in THRESHOLDS.items()}
    return {"channels": channels, "num_classes": CLASSES, **thresholds}


def ours(images: int, raw: dict[str, Tensor], outputs: Any, head: DetectionHead) -> tuple[Any, ...]:
    """A head of this package, without its network."""

    def decode(pictures: list[Target]) -> list[Tensor]:
        names = [str(n) for n in range(images)]
        canvas = torch.empty(0, 3, 512, 512, dtype=torch.uint8)
        batch = Batch(canvas, pictures, names, torch.ones(images), ("detection",), originals=pictures)
        return [found.boxes for found in head.decode(outputs, batch)]

    return raw, lambda pictures: head.loss(outputs, pictures).mean(), decode
