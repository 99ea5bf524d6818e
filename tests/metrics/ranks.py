"""One rank of the two that `test_reduction.py` starts."""

import torch

from vjo_train.metrics.binary import BinaryPixels
from vjo_train.metrics.choices import CategoryAccuracy
from vjo_train.metrics.coco import COCODetectionAP
from vjo_train.metrics.edges import NearEdges
from vjo_train.metrics.image_means import ImageMeans
from vjo_train.metrics.instance import VOCMaskAPs
from vjo_train.metrics.numbers import NumberErrors
from vjo_train.metrics.panoptic import PanopticFigures
from vjo_train.metrics.segmentation import SegmentationIoU
from vjo_train.metrics.voc import APSetting, VOCClassificationAP, VOCDetectionAP

RANKS, BATCH, CLASSES = 2, 4, 3
IMAGES = (15, 1)  # an uneven share, and a rank without images


def image(number):
    """Detections and objects with many equal scores; some images have none."""
    generator = torch.Generator().manual_seed(number)
    found, there = (int(torch.randint(0, high, (), generator=generator)) for high in (9, 4))

    def boxes(n):
        corners = torch.randint(1, 8, (n, 2), generator=generator)
        return torch.cat([corners, corners + torch.randint(3, 6, (n, 2), generator=generator)], dim=1).float()

    def labels(n):
        return torch.randint(0, CLASSES, (n,), generator=generator)

    def masks(boxes):
        out = torch.zeros(len(boxes), 16, 16, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(out, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = True
        return out

    pred = {"boxes": boxes(found), "labels": labels(found)}
    pred["scores"] = torch.randint(1, 5, (found,), generator=generator) / 4
    target = {"boxes": boxes(there), "labels": labels(there)}
    target["difficult"] = torch.rand(there, generator=generator) < 0.2
    pred["masks"], target["masks"] = masks(pred["boxes"]), masks(target["boxes"])
    scores = torch.randint(0, 4, (CLASSES,), generator=generator) / 4
    return pred, target, scores, torch.randint(-1, 2, (CLASSES,), generator=generator)


def evaluate(images, rank=None):
    """What all metrics compute of `images` images, if this process takes the share of `rank` (None: all)."""
    share = slice(None) if rank is None else slice(rank, None, RANKS)
    detection = [
        VOCDetectionAP(CLASSES),
        VOCDetectionAP(CLASSES, 0.25, "area"),
        COCODetectionAP(CLASSES),
        COCODetectionAP(CLASSES, "segm"),
        VOCMaskAPs(CLASSES, {"masks": APSetting(0.3, "area")}),
    ]
    semantic = SegmentationIoU(CLASSES)
    classification = VOCClassificationAP(CLASSES)
    means, category, binary = ImageMeans(["a"]), CategoryAccuracy(CLASSES), BinaryPixels()
    errors, panoptic = NumberErrors(CLASSES), PanopticFigures(torch.tensor([True, False, True]))
    near = NearEdges(0.5)
    for start in range(0, images, BATCH):
        mine = [image(number) for number in range(start, min(start + BATCH, images))][share]
        if not mine:
            continue
        preds, targets, scores, labels = zip(*mine, strict=True)
        for metric in detection:
            metric.update(list(preds), list(targets))
        classification.update(torch.stack(scores), torch.stack(labels))
        for score in scores:
            means.update({"a": score.mean()})
            category.update(score.double().softmax(0), int(score.sum() * 4) % CLASSES)
            errors.update(score, score.roll(1).where(score > 0.3, torch.nan))
            near.update(score[None], (score[None].roll(1) > 0.3).to(torch.uint8))
            binary.update(score[None], (score[None] > 0.3).to(torch.uint8))
        for pred, target in zip(preds, targets, strict=True):
            semantic.update(semantic_map(pred), semantic_map(target))
            panoptic.update(segments(target), segments(pred))
    others = [near, classification, semantic, means, category, binary, errors, panoptic]
    return [metric.compute() for metric in [*detection, *others]]


def semantic_map(item):
    """The classes of an image's masks, the first on top."""
    out = torch.zeros(16, 16, dtype=torch.uint8)
    for mask, label in zip(item["masks"].flip(0), item["labels"].flip(0), strict=True):
        out[mask] = label + 1
    return out


def segments(item):
    """Class and object of each pixel, [1, 16, 16, 2]."""
    out = torch.full((16, 16, 2), CLASSES)
    for number, (mask, label) in enumerate(zip(item["masks"], item["labels"].tolist(), strict=True)):
        out[mask] = torch.tensor([label, number])
    return out[None]


def worker(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=RANKS)
    torch.save([evaluate(images, rank) for images in IMAGES], f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
