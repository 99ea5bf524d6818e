"""Pictures with maps of several kinds, each in a file of its own, paired by their names: NYUv2 and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor

from vjo_train.data.decode import read_numbers, read_values, read_vectors
from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.binary import Edges, Saliency
from vjo_train.data.labels.depth import Depth
from vjo_train.data.labels.normals import Normals, normalised
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.sources.mask_files import MaskFiles, check_file_name
from vjo_train.data.sources.pictures import stamp_of
from vjo_train.types import IGNORE


class MapFiles(MaskFiles):
    """Class maps as in `MaskFiles`, and depth, normals, edges and saliency, as PNG or `.npy` files.

    A picture is labelled with a kind where its file is there.

    Args:
        depth: file of a picture's depth, below the root, with `{stem}` and `{split}` as in `masks`; None: none. Values
            of 0 and below, and those that are not finite, are unknown.
        depth_step: what a value of 1 stands for: 0.001 for millimetres that are to be metres.
        inverse: depth is one over the distance, such as a disparity.
        normals: file of the surface normals [height, width, 3]: x along the rows, y, z; PNG from 0 for -1 to the
            greatest value for 1. Vectors of length 0 are unknown.
        edges: file of a yes and no for each pixel: no where 0, yes above, unknown below.
        saliency: the same.
        classes: the keys of `MaskFiles`.

    Raises:
        ConfigError: a file without `{stem}`, or without `{split}` where `images` has it.
    """

    maps: Mapping[str, torch.dtype] = {
        **MaskFiles.maps,
        "depth": torch.float32,
        "edges": torch.uint8,
        "saliency": torch.uint8,
    }

    def __init__(
        self,
        *,
        depth: str | None = None,
        depth_step: Annotated[float, Gt(0)] = 1.0,
        inverse: bool = False,
        normals: str | None = None,
        edges: str | None = None,
        saliency: str | None = None,
        **classes: Any,
    ) -> None:
        super().__init__(**classes)
        own = {Depth(inverse): depth, Normals(): normals, Edges(): edges, Saliency(): saliency}
        given = {kind: file for kind, file in own.items() if file is not None}
        for kind, file in given.items():
            check_file_name(kind.name, file, self.images)
        self.kinds: tuple[Kind, ...] = (Semantic(), *given)
        self.files = {kind.name: file for kind, file in given.items()}
        self.depth_step = depth_step

    def patterns(self) -> list[str]:
        return [self.masks, *self.files.values()]

    def stamp(self, root: Path) -> str:
        files = [file for kind in self.files for file in self._files(root, kind)]
        return f"{super().stamp(root)} {stamp_of(root, files)}"

    def index_of_maps(self, root: Path, classes: Sequence[str]) -> Index:
        index = super().index_of_maps(root, classes)
        files = {kind: np.asarray(self._files(root, kind), np.str_) for kind in self.files}
        there = {kind: np.array([(root / one).is_file() for one in own], np.bool_) for kind, own in files.items()}
        files = {kind: np.where(there[kind], own, "") for kind, own in files.items()}
        return replace(index, labelled=index.labelled | there, files=index.files | files)

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind not in self.files:
            return super().read(root, index, row, kind)
        path, size = index.file(root, row, kind), index.size(row)
        if kind == "normals":
            return normalised(read_vectors(path, size))
        if kind == "depth":
            return known_depth(read_numbers(path, size) * self.depth_step)
        return _yes_and_no(read_values(path, size, lossy=True))

    def _files(self, root: Path, kind: str) -> list[str]:
        """The file of each picture, or where it would be, in the order of the index."""
        return [file for _, file in self.beside(root, self.files[kind])]


def known_depth(values: Tensor) -> Tensor:
    """NaN where a depth is not above 0, or not finite."""
    return torch.where((values > 0) & values.isfinite(), values, torch.nan)


def _yes_and_no(values: Tensor) -> Tensor:
    """1 above 0, 0 at 0, ignored below."""
    return torch.where(values < 0, IGNORE, (values > 0).int()).to(torch.uint8)
