"""Miniatures in the layouts of published data sets, drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np


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
