"""Every experiment trains an epoch and tests itself, on a miniature of its data: a new one is tested once it exists."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf, open_dict

from vjo_train.config.checks.class_names import class_names
from vjo_train.config.compose import Composer
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
    "proposals": 8,
    "eval_proposals": 8,
    "rois_per_image": 8,
    "detections_per_image": 5,
}
"""What makes heads small, where they have the key."""
DRAWN = {"train": 8, "val": 1, "test": 2, "image_size": 64}


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the devkit's layout, of which half have masks."""
    folder = tmp_path_factory.mktemp("miniature") / "set"
    Shapes(**DRAWN).write(folder)
    return folder


def small(name: str, miniature: Path, cache: Path) -> Any:
    """The experiment's own config, but for its size and the folder of its data."""
    composer, words = Composer("train"), [f"experiment={name}", *SMALL, f"dataset.cache_dir={cache}"]
    cfg = composer.compose(words)
    drawn = "generate" in cfg.dataset
    cfg = composer.compose([*words, *(class_names(cfg) if drawn else [f"dataset.classes=[{','.join(CLASSES)}]"])])
    with open_dict(cfg):
        del cfg["hydra"]
    if "generate" in cfg.dataset:
        OmegaConf.update(cfg, "dataset.generate", DRAWN)
    else:
        cfg.dataset.root = str(miniature)
    cfg.backbone = {"_target_": "tests.tiny.BatchNormBackbone"}
    for head in cfg.heads.values():
        head.update({key: value for key, value in HEADS.items() if key in head})
    return cfg


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_trains_an_epoch(name: str, miniature: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from vjo_train.config import jobs

    cfg = small(name, miniature, tmp_path_factory.getbasetemp() / "cache")
    results = jobs.train(cfg, tmp_path)
    assert (results.epochs, results.steps) == (1, 1)
    assert {metric.split("/")[1] for metric in results.metrics} == set(cfg.heads)
    tested = [value for metric, value in results.metrics.items() if metric.startswith("test/")]
    assert all(0 <= value < math.inf or math.isnan(value) for value in tested)


def test_four_tasks_are_trained_and_tested_in_bfloat16(miniature: Path, tmp_path: Path) -> None:
    from vjo_train.config import jobs

    cfg = small("shapes_all_tasks", miniature, tmp_path / "cache")
    cfg.trainer.precision = "bf16-mixed"
    # The least threshold, so that masks are compared although nothing is learnt yet.
    cfg.heads.instance.score_threshold = 0.0
    assert jobs.train(cfg, tmp_path / "run").steps == 1
