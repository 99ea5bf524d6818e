"""Writes small data sets in COCO's layouts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = {3: "cat", 7: "dog", 90: "bird"}
"""With gaps between the ids, as COCO's."""
SQUARE = [[4.0, 4.0, 12.0, 4.0, 12.0, 12.0, 4.0, 12.0]]


def picture(path: Path, width: int = 40, height: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="PNG" if path.suffix == ".png" else "JPEG")


def thing(
    image: Any, category: Any = 3, box: Any = (4, 4, 8, 8), outline: Any = SQUARE, **other: Any
) -> dict[str, Any]:
    """An annotation; no outline where `outline` is None."""
    more = {} if outline is None else {"segmentation": outline}
    return {"image_id": image, "category_id": category, "bbox": list(box), "iscrowd": 0, **more, **other}


def document(
    names: Sequence[str] | Mapping[str, Mapping[str, Any]],
    things: Sequence[Mapping[str, Any]] | None = (),
    categories: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """COCO's JSON. Images have the ids 1.. and 40 x 30 pixels, or what `names` says of them."""
    own: Mapping[str, Mapping[str, Any]] = names if isinstance(names, Mapping) else {name: {} for name in names}
    images = [
        {"id": number, "file_name": name, "width": 40, "height": 30, **fields}
        for number, (name, fields) in enumerate(own.items(), 1)
    ]
    known = CATEGORIES if categories is None else categories
    found: dict[str, Any] = {
        "info": {"description": 'says "images": [1]'},
        "images": images,
        "categories": [{"id": key, "name": name, "supercategory": "x"} for key, name in known.items()],
    }
    if things is not None:
        found["annotations"] = [{"id": number, **one} for number, one in enumerate(things, 100)]
    return found


def written(path: Path, found: Mapping[str, Any], pictures: Path | None) -> Path:
    """Writes the JSON, and its pictures into a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found), encoding="utf-8")
    if pictures is not None:
        for image in found["images"]:
            picture(pictures / image["file_name"])
    return path
