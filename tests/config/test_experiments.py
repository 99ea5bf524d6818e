"""Every experiment trains an epoch and tests itself, on a miniature of its data: a new one is tested once it exists."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from tests.config.test_conf import compose, name_classes
from tests.miniatures import PASCAL_SIZE, write_arrays, write_coco, write_pascal, write_streets
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shapes import Shapes

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
SMALL = (
    "neck.channels=16",
    "dataset.size=64",
    "dataset.batch_size=8",
    "dataset.workers=0",
    "dataset.split=train",
    "dataset.val_split=null",
    "dataset.test_split=test",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "trainer.progress=false",
)
HEADS = {
    "depth": 1,
    "width": 16,
    "hidden": 16,
    "mask_depth": 1,
    "mask_width": 16,
    "point_depth": 1,
    "point_width": 16,
    "proposals": 8,
    "eval_proposals": 8,
    "rois_per_image": 8,
    "detections_per_image": 5,
}
"""What makes heads small, where they have the key."""
ALONE = ("start_from=null",)
"""The files that experiments start from are not here."""
DRAWN = {"train": 8, "val": 1, "test": 2, "image_size": 64}


SPLITS = {"train": 8, "test": 2}


def write_devkit(root: Path, data: DictConfig) -> None:
    """A data set in the devkit's layout, of which half have masks."""
    Shapes(**DRAWN).write(root)


def write_pascal_context(root: Path, data: DictConfig) -> None:
    for split, count in SPLITS.items():
        for k in range(count):
            head = {"head": np.ones(PASCAL_SIZE, np.uint8)}
            write_pascal(root, f"{split}_{k}", parts=head if k % 2 else None, split=split)


def write_maps(root: Path, data: DictConfig) -> None:
    label = Path(data.source.masks).parent.name
    normals = data.source.normals is not None
    write_arrays(root, (48, 64), SPLITS, label=label, classes=len(data.classes), normals=normals)


Miniature = Callable[[DictConfig], Path]
"""Config of a data set -> its root, in small."""
WRITERS: dict[str, Callable[[Path, DictConfig], None]] = {
    "VOC": write_devkit,
    "MapFiles": write_maps,
    "PascalContext": write_pascal_context,
    "Cityscapes": lambda root, data: write_streets(root, SPLITS),
    "COCO": lambda root, data: write_coco(root, SPLITS),
    "CocoPanoptic": lambda root, data: write_coco(root, SPLITS),
}
"""Source -> what writes a miniature of its data."""


def layout_of(data: DictConfig) -> str:
    """The class of a data set's source; the devkit's where it names none."""
    return str((data.get("source") or {}).get("_target_", "VOC")).rpartition(".")[2]


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """The data set of a config in small."""
    folder = tmp_path_factory.mktemp("miniature")

    def write(data: DictConfig) -> Path:
        layout = layout_of(data)
        root = folder / layout / Path(str((data.get("source") or {}).get("masks", ""))).parent.name
        if not root.exists():
            root.mkdir(parents=True)
            WRITERS[layout](root, data)
        return root

    return write


def small(name: str, miniature: Miniature, cache: Path) -> Any:
    """The experiment's own config, but for its size and the folder of its data."""
    cfg = compose(f"experiment={name}", *SMALL, *ALONE, f"dataset.cache_dir={cache}")
    if "generate" not in cfg.dataset:
        cfg.dataset.root = str(miniature(cfg.dataset))
        if layout_of(cfg.dataset) == "VOC":
            cfg.dataset.classes = list(CLASSES)
    name_classes(cfg)
    if "generate" in cfg.dataset:
        OmegaConf.update(cfg, "dataset.generate", DRAWN)
    if not name.endswith("adashare"):  # which needs residual blocks
        cfg.backbone = {"_target_": "tests.tiny.BatchNormBackbone"}
    for head in cfg.heads.values():
        head.update({key: value for key, value in HEADS.items() if key in head})
    return cfg


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_trains_an_epoch(
    name: str, miniature: Miniature, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from vjo_train.config import jobs

    cfg = small(name, miniature, tmp_path_factory.getbasetemp() / "cache")
    results = jobs.train(cfg, tmp_path)
    assert (results.epochs, results.steps) == (1, 1)
    assert {metric.split("/")[1] for metric in results.metrics} == {*cfg.heads, *(cfg.get("merge") or {})}
    tested = [v for name, v in results.metrics.items() if name.startswith("test/") and not name.endswith("/r2")]
    assert all(0 <= value < math.inf or math.isnan(value) for value in tested)


def test_four_tasks_are_trained_and_tested_in_bfloat16(miniature: Miniature, tmp_path: Path) -> None:
    from vjo_train.config import jobs

    cfg = small("shapes_all_tasks", miniature, tmp_path / "cache")
    cfg.trainer.precision = "bf16-mixed"
    # The least threshold, so that masks are compared although nothing is learnt yet.
    cfg.heads.instance.score_threshold = 0.0
    assert jobs.train(cfg, tmp_path / "run").steps == 1
