"""PASCAL-Context with classes, human parts, normals, saliency and edges as a source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.data.decode import read_mask, read_numbers, read_size, read_vectors
from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.binary import Edges, Saliency
from vjo_train.data.labels.human_parts import HumanParts
from vjo_train.data.labels.normals import Normals, normalised
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.objects import Objects
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.pascal_context.classes import NORMALS_KNOWN, OBJECTS, PARTS
from vjo_train.data.sources.pascal_context.mat import human_parts, label_map
from vjo_train.data.sources.pictures import bytes_of, stamp_of
from vjo_train.data.sources.sizes import measured
from vjo_train.errors import DataError
from vjo_train.types import IGNORE

SPLITS, IMAGES, CONTEXT = "ImageSets/Context", "JPEGImages", "pascal-context/trainval"
FILES: Mapping[str, tuple[str, ...]] = {
    "semantic": ("semseg/VOC12/{}.png", "semseg/pascal-context/{}.png"),
    "human_parts": ("human_parts/{}.mat",),
    "normals": ("normals_distill/{}.png",),
    "saliency": ("sal_distill/{}.png",),
    "edges": (CONTEXT + "/{}.mat",),
}
"""Kind of label -> its file by the id of the picture; of several, the first that is there."""


class PascalContext(Source):
    """The folder `PASCAL_MT` of Maninis, Radosavovic, Kokkinos 2019, "Attentive Single-Tasking of Multiple Tasks".

    Semantic: 20 classes and background. Human parts: 6, of pictures with an annotated person. Normals and saliency are
    distilled from other networks; normals are known where the class of the `LabelMap` occurs in NYUv2. Edges are pixels
    whose class in the `LabelMap` differs from that of the next pixel to the right or below; the authors thin the edge
    on both sides instead. Maps of another size than their picture are brought to it by the nearest pixel.
    """

    kinds: tuple[Kind, ...] = (Semantic(), HumanParts(), Normals(), Saliency(), Edges())
    maps: Mapping[str, torch.dtype] = dict.fromkeys(("semantic", "human_parts", "saliency", "edges"), torch.uint8)

    def root(self, folder: Path) -> Path:
        for place in (folder, folder / "PASCAL_MT"):
            if (place / SPLITS).is_dir():
                return place
        raise DataError(f"dataset.root: {folder} holds no {SPLITS}/; it must be the folder PASCAL_MT.")

    def class_names(self, root: Path) -> list[str]:
        return [*OBJECTS, *PARTS]

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        return list({"semantic": OBJECTS, "human_parts": PARTS}.get(kind, self.class_names(root)))

    def splits(self, root: Path) -> list[str]:
        return sorted(path.stem for path in (root / SPLITS).glob("*.txt"))

    def split(self, root: Path, split: str) -> list[str]:
        path = root / SPLITS / f"{split}.txt"
        if not path.is_file():
            raise DataError(f"{path}: there is no split '{split}'; found {', '.join(self.splits(root)) or 'none'}.")
        try:
            ids = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read ({error}); must list images in UTF-8.") from error
        if not ids or len(set(ids)) < len(ids):
            raise DataError(f"{path}: must list at least one image, and each once.")
        return ids

    def split_name(self, root: Path, split: str) -> str:
        return str(root / SPLITS / f"{split}.txt")

    def missing(self, name: str) -> str:
        return f"{IMAGES}/{name}.jpg"

    def stamp(self, root: Path) -> str:
        folders = [IMAGES, SPLITS, *sorted({os.path.dirname(one) for files in FILES.values() for one in files})]
        there = [folder for folder in folders if (root / folder).is_dir()]
        return stamp_of(root, [f"{one}/{name}" for one in there for name in sorted(os.listdir(root / one))])

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        known = self.class_names(root)
        if wrong := [name for name in classes if name not in known]:
            raise DataError(f"dataset.classes: found '{wrong[0]}'; allowed are {', '.join(known)}.")
        listed = {name for split in self.splits(root) for name in self.split(root, split)}
        ids = sorted(name for name in listed if os.path.isfile(root / IMAGES / f"{name}.jpg"))
        if not ids:
            raise DataError(f"{root / IMAGES}: found none of the {len(listed)} pictures that {SPLITS}/ lists.")
        faults: dict[int, str] = {}
        sizes = [measured(root / IMAGES / f"{name}.jpg", row, faults) for row, name in enumerate(ids)]
        files = {kind: [_first(root, patterns, name) for name in ids] for kind, patterns in FILES.items()}
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            people = list(threads.map(lambda file: _has_people(root, file), files["human_parts"]))
        faults |= {row: found for row, found in enumerate(people) if isinstance(found, str)}
        labelled = {kind: [bool(file) for file in own] for kind, own in files.items()}
        labelled["human_parts"] = [found is True for found in people]
        labelled["normals"] = [a and b for a, b in zip(labelled["normals"], labelled["edges"], strict=True)]
        return table(
            classes=classes,
            ids=ids,
            images=[f"{IMAGES}/{name}.jpg" for name in ids],
            image_bytes=bytes_of(root, [f"{IMAGES}/{name}.jpg" for name in ids]),
            sizes=sizes,
            objects=[Objects.none() for _ in ids],
            labelled=labelled,
            files=files,
            faults=dict(sorted(faults.items())),
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        path, size, classes = index.file(root, row, kind), index.size(row), index.classes.tolist()
        if kind == "semantic":
            return _numbered(read_mask(path, size, len(OBJECTS), "background and the 20 classes"), OBJECTS, classes)
        if kind == "human_parts":
            found = human_parts(path)
            assert found is not None, "the index says that there are people"
            return _fitted(_numbered(torch.from_numpy(found), tuple(PARTS), classes), size)
        if kind == "saliency":
            return _fitted((read_numbers(path, read_size(path)) > 127).to(torch.uint8), size)
        labels = label_map(index.file(root, row, "edges"), size)
        if kind == "edges":
            return torch.from_numpy(borders(labels))
        normals = normalised(_fitted(read_vectors(path, read_size(path)), size))
        return torch.where(torch.from_numpy(np.isin(labels, NORMALS_KNOWN)), normals, torch.nan)


def borders(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """[H, W] of numbers -> 1 where the next pixel to the right or below has another one, else 0."""
    found = np.zeros(labels.shape, np.uint8)
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    found[:-1] |= labels[:-1] != labels[1:]
    return found


def _first(root: Path, patterns: Sequence[str], name: str) -> str:
    """The first file of an image that is there, below the root, or nothing."""
    return next((file for file in (one.format(name) for one in patterns) if os.path.isfile(root / file)), "")


def _has_people(root: Path, file: str) -> bool | str:
    """Whether parts of people are annotated; what is wrong with the file, where something is."""
    if not file:
        return False
    try:
        return human_parts(root / file) is not None
    except DataError as error:
        return str(error)


def _numbered(values: Tensor, names: Sequence[str], classes: Sequence[str]) -> Tensor:
    """A map of k + 1 for `names[k]` in the numbers of the data set's classes; those that it lacks are background."""
    numbers = torch.zeros(256, dtype=torch.uint8)
    numbers[IGNORE] = IGNORE
    for value, name in enumerate(names, 1):
        numbers[value] = classes.index(name) + 1 if name in classes else 0
    return numbers[values.long()]


def _fitted(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """[..., h, w] -> [..., *size], by the nearest pixel."""
    if maps.shape[-2:] == size:
        return maps
    stack = maps.reshape(1, -1, *maps.shape[-2:])
    return F.interpolate(stack, size, mode="nearest").reshape(*maps.shape[:-2], *size)
