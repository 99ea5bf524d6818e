"""The same pictures and objects as sets of street scenes and people have them; see `exports` for the others."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml
from faster_coco_eval.core import mask as coco

from tests.data.sources.exports import HEIGHT, WIDTH, Scene, write
from tests.data.sources.written import picture


def splits(scene: Scene) -> list[str]:
    return sorted({name.split("/")[0] for name in scene})


def tt100k(root: Path, scene: Scene) -> None:
    """`annotations_all.json` of all pictures, whose paths say their splits."""
    found: dict[str, Any] = {}
    for number, (name, things) in enumerate(scene.items()):
        picture(root / name, WIDTH, HEIGHT)
        boxes = [dict(zip(("xmin", "ymin", "xmax", "ymax"), thing.box, strict=True)) for thing in things]
        objects = [{"bbox": box, "category": one.name} for box, one in zip(boxes, things, strict=True)]
        found[str(number)] = {"path": name, "id": number, "objects": objects}
    write(root / "annotations_all.json", {"types": ["dog", "cat", "bird"], "imgs": found})


def bosch(root: Path, scene: Scene) -> None:
    """`train.yaml` and so on; keys in the order of the alphabet, paths from the file's folder."""
    for split in splits(scene):
        found = []
        for name in (one for one in scene if one.startswith(f"{split}/")):
            picture(root / "rgb" / name, WIDTH, HEIGHT)
            corners = [dict(zip(("x_min", "y_min", "x_max", "y_max"), one.box, strict=True)) for one in scene[name]]
            said = [{"label": one.name, "occluded": False} for one in scene[name]]
            boxes = [one | box for one, box in zip(said, corners, strict=True)]
            found.append({"boxes": boxes, "path": f"./rgb/{name}"})
        write(root / f"{split}.yaml", yaml.safe_dump(found))


def bbgt(root: Path, scene: Scene) -> None:
    """A text file for each picture in another folder; pixels from 1."""
    for name, things in scene.items():
        split, _, file = name.partition("/")
        picture(root / split / "images" / file, WIDTH, HEIGHT)
        rows = ["% bbGt version=3"]
        for thing in things:
            x1, y1, x2, y2 = thing.box
            rows.append(f"{thing.name} {x1 + 1:g} {y1 + 1:g} {x2 - x1:g} {y2 - y1:g} 1 2 2 3 3 {int(thing.ignored)} 0")
        write(root / split / "annotations" / f"{Path(file).stem}.txt", "\n".join(rows) + "\n")


def pascal_text(root: Path, scene: Scene, encoding: str = "latin-1") -> None:
    """The text of each picture names it; pixels from 0 in one split, from 1 in the others."""
    for name, things in scene.items():
        split, _, file = name.partition("/")
        picture(root / split / "pos" / file, WIDTH, HEIGHT)
        first = int(split != "train")
        labels = " ".join(f'"PAS{one.name}"' for one in things)
        rows = [
            "# PASCAL Annotation Version 1.00", "", f'Image filename : "{split}/pos/{file}"',
            f"Image size (X x Y x C) : {WIDTH} x {HEIGHT} x 3", 'Database : "The INRIA Rhône-Alpes Database"',
            f"Objects with ground truth : {len(things)} {{ {labels} }}", "",
            f"# Top left pixel co-ordinates : ({first}, {first})", "",
        ]  # fmt: skip
        for number, thing in enumerate(things, 1):
            x1, y1, x2, y2 = thing.box
            label = f'object {number} "PAS{thing.name}"'
            rows += [f'Original label for {label} : "x"', f"Center point on {label} (X, Y) : (3, 4)"]
            corners = f"({x1 + first:g}, {y1 + first:g}) - ({x2 - 1 + first:g}, {y2 - 1 + first:g})"
            rows.append(f"Bounding box for {label} (Xmin, Ymin) - (Xmax, Ymax) : {corners}")
        path = root / split / "annotations" / f"{Path(file).stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("\n".join(rows).encode(encoding))


def nuimages(root: Path, scene: Scene) -> None:
    """Tables for each split; a frame between key frames is not annotated, and a lidar's is no picture."""
    for split in splits(scene):
        pictures: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for name in (one for one in scene if one.startswith(f"{split}/")):
            token, file = name, f"samples/CAM_FRONT/{name}"
            picture(root / file, WIDTH, HEIGHT)
            size = {"width": WIDTH, "height": HEIGHT}
            pictures.append({"token": token, "filename": file, "fileformat": "jpg", "is_key_frame": True, **size})
            pictures.append({"token": f"{token}+", "filename": f"sweeps/{token}", "is_key_frame": False, **size})
            pictures.append({"token": f"{token}-", "filename": "samples/LIDAR_TOP/x.bin", "is_key_frame": True})
            for thing in scene[name]:
                row = {"token": f"o{len(found)}", "sample_data_token": token, "category_token": f"c.{thing.name}"}
                found.append(row | {"bbox": list(thing.box), "mask": runs(thing.outline), "attribute_tokens": []})
        folder = root / f"v1.0-{split}"
        write(folder / "sample_data.json", pictures)
        write(folder / "object_ann.json", found)
        names = ("flat.driveable_surface", "dog", "cat")
        write(folder / "category.json", [{"token": f"c.{name}", "name": name, "description": ""} for name in names])


def runs(outline: list[float] | None) -> dict[str, Any] | None:
    if outline is None:
        return None
    (own,) = coco.frPyObjects([outline], HEIGHT, WIDTH)
    counts = own["counts"] if isinstance(own["counts"], bytes) else own["counts"].encode()
    return {"size": [HEIGHT, WIDTH], "counts": base64.b64encode(counts).decode()}
