"""The same pictures as COCO's JSON, YOLO's lists and VOC's XML are the same targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.sources import exports
from tests.data.sources.exports import HEIGHT, OUTLINES, WIDTH, Scene, Thing
from vjo_train.data.index import Index
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.voc.beside import Beside
from vjo_train.data.sources.yolo.source import YOLO

NAMES = ("cat", "dog")
WHOLE: Scene = {
    "train/a.jpg": [Thing("cat", (4, 4, 20, 18)), Thing("dog", (10, 10, 38, 28), ignored=True)],
    "train/b.jpg": [],
    "val/c.jpg": [Thing("dog", (0, 0, 8, 8)), Thing("dog", (30, 12, 40, 20))],
}
"""VOC's boxes are of whole pixels."""


def yolo(root: Path, scene: Scene) -> None:
    """`images/train/a.jpg`, `labels/train/a.txt`: outlines where they are there, in shares of the sides."""
    exports.pictures(root / "images", scene)
    for name, things in scene.items():
        rows = []
        for thing in things:
            x1, y1, x2, y2 = thing.box
            box = [(x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT]
            ring = [value / (HEIGHT if k % 2 else WIDTH) for k, value in enumerate(thing.outline or [])]
            rows.append(" ".join(map(repr, [NAMES.index(thing.name), *(ring or box)])))
        exports.write((root / "labels" / name).with_suffix(".txt"), "\n".join(rows))
    splits = sorted({name.split("/")[0] for name in scene})
    exports.write(root / "data.yaml", "".join(f"{s}: images/{s}\n" for s in splits) + "names: [cat, dog]\n")


def voc(root: Path, scene: Scene) -> None:
    """An XML beside each picture; corners count from 1, and the last one is inside."""
    exports.pictures(root, scene)
    for name, things in scene.items():
        objects = ""
        for thing in things:
            x1, y1, x2, y2 = (round(value) for value in thing.box)
            corners = f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            own = f"<name>{thing.name}</name><difficult>{int(thing.ignored)}</difficult>"
            objects += f"<object>{own}<bndbox>{corners}</bndbox></object>"
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{Path(name).name}</filename>{size}{objects}</annotation>"
        exports.write((root / name).with_suffix(".xml"), text)


def targets(source: Any, root: Path) -> dict[str, dict[str, Any]]:
    """split/stem of every picture -> its labels."""
    found = source.root(root)
    index: Index = load_index(source, found, NAMES, root.parent / "cache")
    assert not index.faults.tolist()
    known = {}
    for split in source.splits(found):
        for row in index.rows(source.split(found, split)):
            objects = index.objects(row)
            own = {"boxes": objects.boxes, "labels": objects.labels, "difficult": objects.difficult}
            for kind in ("semantic", "masks"):
                if kind in index.labelled and index.labelled[kind][row]:
                    own[kind] = torch.as_tensor(source.read(found, index, row, kind)).numpy()
            known[f"{split}/{Path(str(index.images[row])).stem}"] = own
    return known


def test_outlines_of_yolo_are_those_of_coco(tmp_path: Path) -> None:
    yolo(tmp_path / "yolo", OUTLINES)
    exports.coco(tmp_path / "coco", OUTLINES)
    found, wanted = targets(YOLO(), tmp_path / "yolo"), targets(COCO(), tmp_path / "coco")
    assert found.keys() == wanted.keys() == {"train/a", "train/b", "val/c", "test/d"}
    for name, own in wanted.items():
        np.testing.assert_allclose(found[name]["boxes"], own["boxes"], atol=1e-3)
        for part in ("labels", "difficult", "semantic", "masks"):
            np.testing.assert_array_equal(found[name][part], own[part], err_msg=f"{part} of {name}")


@pytest.mark.parametrize(("write", "source"), [(yolo, YOLO()), (voc, Beside())], ids=["yolo", "voc"])
def test_boxes_are_those_of_coco(write: Any, source: Any, tmp_path: Path) -> None:
    scene = WHOLE if write is voc else {n: [t._replace(ignored=False) for t in things] for n, things in WHOLE.items()}
    write(tmp_path / "other", scene)
    exports.coco(tmp_path / "coco", scene)
    found, wanted = targets(source, tmp_path / "other"), targets(COCO(), tmp_path / "coco")
    assert found.keys() == wanted.keys() == {"train/a", "train/b", "val/c"}
    for name, own in wanted.items():
        np.testing.assert_allclose(found[name]["boxes"], own["boxes"], atol=0 if write is voc else 1e-3)
        for part in ("labels", "difficult"):
            np.testing.assert_array_equal(found[name][part], own[part], err_msg=f"{part} of {name}")
