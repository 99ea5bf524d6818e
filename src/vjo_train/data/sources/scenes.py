"""The layout of the drawn scenes: the devkit's, and what else is known of every picture."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.data.decode import read_values, read_vectors
from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.binary import Edges, Saliency
from vjo_train.data.labels.category import Category
from vjo_train.data.labels.classes import ShownByObjects
from vjo_train.data.labels.depth import Depth
from vjo_train.data.labels.keypoints import BOX_SHARE, Keypoints, ObjectPoints
from vjo_train.data.labels.normals import Normals, normalised
from vjo_train.data.scene_geometry import CATEGORIES
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.sources.pictures import stamp_of
from vjo_train.data.sources.voc.source import VOC
from vjo_train.types import IGNORE, OTHER

DEPTH, NORMALS, SPACE = "Depth", "Normals", "Space"
"""Folders: 16-bit PNG of depth in steps of `STEP`, 16-bit RGB PNG of normals, JSON of categories and points."""
MIRRORED = np.array([0, 3, 2, 1])
"""In a mirror image the rightmost point is the leftmost."""
STEP = 0.001
"""Metres."""


class SceneFiles(VOC):
    """What `Scenes` draws.

    The classes are those of the shapes and the categories of the scenes. Every picture is labelled for `category`,
    `depth`, `normals`, and `keypoints`: the topmost, rightmost, lowest and leftmost point of each object. Those with
    masks are labelled for `edges`, where objects begin, and `saliency`, any object's pixels, too.
    """

    kinds: tuple[Kind, ...] = (*VOC.kinds, Keypoints(), Depth(), Normals(), Edges(), Saliency(), Category())
    maps: Mapping[str, torch.dtype] = {
        **VOC.maps,
        "depth": torch.float32,
        "edges": torch.uint8,
        "saliency": torch.uint8,
    }

    def class_names(self, root: Path) -> list[str]:
        return [*CLASSES, *CATEGORIES]

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        return list(CATEGORIES if kind == "category" else CLASSES)

    def stamp(self, root: Path) -> str:
        files = [f"{SPACE}/{name}" for name in sorted(os.listdir(root / SPACE))]
        return f"{super().stamp(root)} {stamp_of(root, files)}"

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        index = super().read_index(root, classes)
        names = index.ids.tolist()
        faults = dict(zip(index.faulty.tolist(), index.faults.tolist(), strict=True))
        known = [
            _space(root / SPACE / f"{name}.json", row, count, faults)
            for row, (name, count) in enumerate(zip(names, np.diff(index.offsets).tolist(), strict=True))
        ]
        numbers = {name: number for number, name in enumerate(classes)}
        category = np.array([numbers.get(name, OTHER) for name, _ in known], np.int16)
        points = np.concatenate([points for _, points in known])
        digests = np.array([crc32(points.tobytes()) for _, points in known], np.uint32)
        every, masked = np.ones(len(index), np.bool_), index.labelled["masks"]
        masks = index.files["masks"]
        return replace(
            index,
            labelled={
                **index.labelled,
                "keypoints": every,
                "depth": every,
                "normals": every,
                "edges": masked,
                "saliency": masked,
                "category": category != OTHER,
            },
            files={
                **index.files,
                "depth": np.asarray([f"{DEPTH}/{name}.png" for name in names], np.str_),
                "normals": np.asarray([f"{NORMALS}/{name}.png" for name in names], np.str_),
                "edges": masks,
                "saliency": masks,
            },
            faulty=np.asarray(sorted(faults), np.int64),
            faults=np.asarray([faults[row] for row in sorted(faults)], np.str_),
            by_image={**index.by_image, "category": category, "point_digests": digests},
            more={**index.more, "points": points},
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind == "category":
            return int(index.by_image["category"][row])
        if kind == "keypoints":
            boxes = index.objects(row).boxes
            areas = BOX_SHARE * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
            return ObjectPoints(index.more["points"][index.offsets[row] : index.offsets[row + 1]], areas, MIRRORED)
        if kind == "classes":
            shapes = np.isin(index.classes, CLASSES)
            return ShownByObjects(index.objects(row), len(index.classes), shapes)
        if kind in ("edges", "saliency"):
            return _binary(super().read(root, index, row, "masks"), kind)
        if kind == "depth":
            return read_values(index.file(root, row, kind), index.size(row)).float() * STEP
        if kind == "normals":
            return normalised(read_vectors(index.file(root, row, kind), index.size(row)))
        return super().read(root, index, row, kind)


def _space(file: Path, row: int, count: int, faults: dict[int, str]) -> tuple[str, npt.NDArray[np.float32]]:
    """The category of a picture and the points of its `count` objects, [count, 4, 3]; a fault of the row otherwise."""
    try:
        content = json.loads(file.read_text(encoding="utf-8") if file.is_file() else "")  # a pipe would be waited for
        name, points = str(content["category"]), np.array(content["points"], np.float32).reshape(-1, 4, 3)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        faults.setdefault(row, f"{file}: cannot be read ({error}); must hold a category and 4 points of each object.")
        return "", np.zeros((count, 4, 3), np.float32)
    if len(points) != count or not np.isfinite(points).all():
        faults.setdefault(row, f"{file}: found points of {len(points)} objects; the annotation has {count}.")
        return name, np.zeros((count, 4, 3), np.float32)
    return name, points


def _binary(mask: Tensor, kind: str) -> Tensor:
    """Edges are the borders of the object mask; what is salient are the objects, their borders being in doubt."""
    border = mask == IGNORE
    if kind == "edges":
        return border.to(torch.uint8)
    return torch.where(border, IGNORE, (mask > 0).to(torch.uint8)).to(torch.uint8)
