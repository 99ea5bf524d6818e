"""Pictures with maps of several kinds beside them: NYUv2 as MTAN publishes it, and PNG files of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.miniatures import write_arrays
from vjo_train.config.build import source
from vjo_train.config.compose import Composer
from vjo_train.data.index import Index
from vjo_train.data.sources.map_files import MapFiles
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import ConfigError, DataError


def opened(layout: MapFiles, root: Path, classes: list[str]) -> Index:
    return load_index(layout, layout.root(root), classes, root.parent / "cache")


def configured(name: str) -> tuple[MapFiles, list[str]]:
    """The source and the classes of a choice of `dataset`."""
    cfg = Composer("train").compose([f"dataset={name}", "dataset.root=."])
    made = source(cfg.dataset)
    assert isinstance(made, MapFiles)
    return made, list(cfg.dataset.classes)


def test_nyuv2_as_it_is_published(tmp_path: Path) -> None:
    root = tmp_path / "nyuv2"
    write_arrays(root, (6, 8), {"train": 3, "val": 2})
    layout, classes = configured("nyuv2")
    index = opened(layout, root, classes)
    assert (len(classes), layout.splits(root)) == (13, ["train", "val"])
    assert layout.split(root, "train") == [f"train/image/{k}.npy" for k in range(3)]
    assert {kind for kind, flags in index.labelled.items() if flags.all()} == {"semantic", "depth", "normals"}
    label = np.load(root / "train/label/1.npy")
    wanted = np.where(label == -1, 255, label + 1)
    np.testing.assert_array_equal(layout.read(root, index, 1, "semantic"), wanted)
    depth, raw = layout.read(root, index, 1, "depth"), np.load(root / "train/depth/1.npy")[..., 0]
    assert (depth.isnan().numpy() == (raw == 0)).all()
    np.testing.assert_allclose(depth[raw > 0], raw[raw > 0].astype(np.float32))
    normals, raw = layout.read(root, index, 1, "normals"), np.load(root / "train/normal/1.npy")
    assert (normals.isnan().all(0).numpy() == (raw == 0).all(-1)).all()
    known = normals.isfinite().all(0)
    np.testing.assert_allclose(normals[:, known].norm(dim=0), 1, atol=1e-6)


def test_cityscapes_of_mtan_has_inverse_depth_and_seven_classes(tmp_path: Path) -> None:
    write_arrays(tmp_path / "set", (4, 8), {"train": 1, "val": 1}, label="label_7", classes=7, normals=False)
    layout, classes = configured("cityscapes_mtan")
    index = opened(layout, tmp_path / "set", classes)
    assert classes == ["flat", "construction", "object", "nature", "sky", "human", "vehicle"]
    assert {kind.name for kind in layout.kinds} == {"semantic", "depth"} == set(index.labelled)
    assert layout.kind("depth").inverse  # type: ignore[attr-defined]


def png(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)


def test_png_files_of_ones_own(tmp_path: Path) -> None:
    """Depth in millimetres, normals in colours, a picture that lacks some maps."""
    root = tmp_path / "set"
    for name in ("a", "b"):
        png(root / f"images/{name}.png", np.zeros((2, 3, 3), np.uint8))
    png(root / "depth/a.png", np.array([[0, 1000, 2500]] * 2, np.uint16))
    png(root / "normals/a.png", np.broadcast_to(np.array([255, 128, 128], np.uint8), (2, 3, 3)))  # blue: z
    png(root / "edges/b.png", np.array([[0, 255, 1]] * 2, np.uint8))
    keys = {kind: f"{kind}/{{stem}}.png" for kind in ("depth", "normals", "edges", "saliency")}
    layout = MapFiles(**keys, depth_step=0.001)  # type: ignore[arg-type]
    index = opened(layout, root, ["a"])
    assert {kind: flags.tolist() for kind, flags in index.labelled.items()} == {
        "semantic": [False, False],
        "depth": [True, False],
        "normals": [True, False],
        "edges": [False, True],
        "saliency": [False, False],
    }
    torch.testing.assert_close(
        layout.read(root, index, 0, "depth")[0], torch.tensor([torch.nan, 1.0, 2.5]), equal_nan=True
    )
    assert (layout.read(root, index, 0, "normals")[2] > 0.99).all()
    assert layout.read(root, index, 1, "edges")[0].tolist() == [0, 1, 1]


def test_a_new_map_is_noticed(tmp_path: Path) -> None:
    root = tmp_path / "set"
    png(root / "images/a.png", np.zeros((2, 3, 3), np.uint8))
    layout = MapFiles(depth="depth/{stem}.png")
    before = layout.stamp(root)
    png(root / "depth/a.png", np.ones((2, 3), np.uint16))
    assert layout.stamp(root) != before


@pytest.mark.parametrize("wrong", [-2, 13])
def test_other_class_numbers_are_refused(tmp_path: Path, wrong: int) -> None:
    root = tmp_path / "nyuv2"
    write_arrays(root, (6, 8), {"train": 1, "val": 1})
    np.save(root / "train/label/0.npy", np.full((6, 8), wrong, np.float32))
    layout, classes = configured("nyuv2")
    index = opened(layout, root, classes)
    with pytest.raises(DataError, match=rf"found the value {wrong}; allowed are 0\.\.12 and \[-1\]"):
        layout.read(root, index, 0, "semantic")


@pytest.mark.parametrize(("file", "missing"), [("depth/a.png", "stem"), ("depth/{stem}.png", "split")])
def test_files_must_name_picture_and_split(file: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=rf"dataset\.source\.depth: found '.*'; must hold \{{{missing}\}}"):
        MapFiles(images="{split}/image", masks="{split}/{stem}.png", depth=file)
