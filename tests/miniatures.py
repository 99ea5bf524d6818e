"""Miniatures in the layouts of published data sets, drawn at random."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.io
from PIL import Image

PASCAL_SIZE = (12, 16)
WALL, SKY = 440, 360
"""Classes of PASCAL-Context's `LabelMap`."""


def save(path: Path, pixels: Any, kind: Any = np.uint8) -> None:
    """A picture; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, kind)).save(path)


def write_arrays(
    root: Path,
    size: tuple[int, int],
    splits: Mapping[str, int],
    *,
    label: str = "label",
    classes: int = 13,
    normals: bool = True,
) -> None:
    """`.npy` files as MTAN publishes NYUv2 and Cityscapes: `<split>/{image,label,depth,normal}/0.npy`, ..

    Args:
        root: folder to write into.
        size: (height, width).
        splits: split -> pictures in it.
        label: the folder of the class maps.
        classes: their number; -1 is unknown.
        normals: whether there are any.
    """
    generator = np.random.default_rng(0)
    for split, count in splits.items():
        for kind in ("image", label, "depth", *(["normal"] if normals else [])):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            np.save(root / split / f"image/{k}.npy", generator.random((*size, 3)))
            np.save(root / split / f"{label}/{k}.npy", generator.integers(-1, classes, size).astype(np.float32))
            depth = generator.uniform(0.5, 8, (*size, 1)) * (generator.random((*size, 1)) > 0.2)
            np.save(root / split / f"depth/{k}.npy", depth)
            if normals:
                vectors = generator.normal(size=(*size, 3))
                vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
                np.save(root / split / f"normal/{k}.npy", vectors * (generator.random((*size, 1)) > 0.2))


def _struct(**fields: Any) -> npt.NDArray[Any]:
    """A structure of MATLAB."""
    made = np.zeros((1, 1), [(name, "O") for name in fields])
    made[0, 0] = tuple(fields.values())
    return made


def write_pascal(
    root: Path, name: str, *, parts: dict[str, Any] | None, context: bool = False, split: str = "train"
) -> None:
    """A picture with all labels; `parts`: of one person, None for no person."""
    save(root / f"JPEGImages/{name}.jpg", np.full((*PASCAL_SIZE, 3), 90))
    classes = np.zeros(PASCAL_SIZE)
    classes[:, 8:], classes[0] = 15, 255
    save(root / f"semseg/{'pascal-context' if context else 'VOC12'}/{name}.png", classes)
    labels = np.full(PASCAL_SIZE, WALL, np.uint16)
    labels[:, 8:] = SKY
    for folder in ("pascal-context/trainval", "human_parts"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(root / f"pascal-context/trainval/{name}.mat", {"LabelMap": labels})
    objects = [
        _struct(**{"class": "dog", "class_ind": 12, "mask": np.ones(PASCAL_SIZE, np.uint8), "parts": np.zeros((0, 0))})
    ]
    if parts is not None:
        known = np.concatenate([_struct(part_name=key, mask=mask) for key, mask in parts.items()], axis=1)
        objects.append(
            _struct(**{"class": "person", "class_ind": 15, "mask": np.ones(PASCAL_SIZE, np.uint8), "parts": known})
        )
    anno = _struct(imname=name, objects=np.concatenate(objects, axis=1))
    scipy.io.savemat(root / f"human_parts/{name}.mat", {"anno": anno})
    save(root / f"normals_distill/{name}.png", np.broadcast_to([255, 128, 128], (6, 8, 3)))  # of half the size
    salient = np.zeros(PASCAL_SIZE)
    salient[:4], salient[4:6] = 255, 127
    save(root / f"sal_distill/{name}.png", salient)
    lists = root / "ImageSets/Context"
    lists.mkdir(parents=True, exist_ok=True)
    with (lists / f"{split}.txt").open("a") as file:
        file.write(f"{name}\n")


def write_streets(root: Path, splits: Mapping[str, int]) -> None:
    """Cityscapes: pictures of road and a car, with both maps and the disparity."""
    values = np.full((64, 64), 7)
    values[20:40, 10:50] = 26_001
    for split, count in splits.items():
        for k in range(count):
            name = f"{split}/aachen/aachen_{k:06d}_000019"
            save(root / f"leftImg8bit/{name}_leftImg8bit.png", np.random.default_rng(k).integers(0, 256, (64, 64, 3)))
            save(root / f"gtFine/{name}_gtFine_labelIds.png", np.where(values < 1000, values, values // 1000))
            save(root / f"gtFine/{name}_gtFine_instanceIds.png", values, np.uint16)
            save(root / f"disparity/{name}_disparity.png", np.full((64, 64), 1 + 256 * 25), np.uint16)


def write_coco(root: Path, splits: Mapping[str, int]) -> None:
    """COCO: a square thing of 17 points in each picture, as outlines (`instances_*`) and with stuff (`panoptic_*`)."""
    thing = {"id": 3, "name": "cat", "isthing": 1, "keypoints": [f"point {k}" for k in range(17)], "skeleton": []}
    categories = [thing, {"id": 7, "name": "grass", "isthing": 0}]
    ids = np.full((64, 64, 3), (5, 0, 0))
    ids[10:40, 10:40] = (9, 0, 0)
    outline = [[10, 10, 40, 10, 40, 40, 10, 40]]
    for split, count in splits.items():
        names = [f"{k:012d}" for k in range(count)]
        for k, name in enumerate(names):
            save(root / f"{split}/{name}.jpg", np.random.default_rng(k).integers(0, 256, (64, 64, 3)))
            save(root / f"annotations/panoptic_{split}/{name}.png", ids)
        images = [{"id": k, "file_name": f"{name}.jpg", "width": 64, "height": 64} for k, name in enumerate(names)]
        box = {"category_id": 3, "bbox": [10, 10, 30, 30], "iscrowd": 0}
        points = {"keypoints": [12, 20, 2] * 17, "num_keypoints": 17}
        instances = [{"id": k, "image_id": k, "segmentation": outline, **points, **box} for k in range(count)]
        segments = [{"id": 9, **box}, {"id": 5, "category_id": 7, "bbox": [0, 0, 64, 64], "iscrowd": 0}]
        panoptic = [
            {"image_id": k, "file_name": f"{name}.png", "segments_info": segments} for k, name in enumerate(names)
        ]
        for kind, found in (("instances", instances), ("panoptic", panoptic)):
            content = {"images": images, "annotations": found, "categories": categories}
            (root / f"annotations/{kind}_{split}.json").write_text(json.dumps(content))
