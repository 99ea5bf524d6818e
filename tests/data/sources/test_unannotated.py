"""Pictures that nobody has labelled, beside others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Answer
from tests.data.conftest import Devkit
from tests.tiny import BACKBONE
from vjo_train.data.sources.unannotated import Unannotated
from vjo_train.errors import DataError

YAML = """
defaults: [mixture, _self_]
val_fraction: 0.0
source:
  parts:
    cars:
      _target_: vjo_train.data.sources.mixture.Part
      source: {_target_: vjo_train.data.sources.voc.source.VOC}
      root: cars
      kinds: [boxes, classes]
    more:
      _target_: vjo_train.data.sources.mixture.Part
      source: {_target_: vjo_train.data.sources.unannotated.Unannotated}
      root: more
"""


def test_pictures_of_a_folder_teach(command: Callable[..., Answer]) -> None:
    """They are in no batch of their own, and no task counts them."""
    cars = Devkit(Path("cars"))
    for k in range(4):
        cars.image(f"c{k}", objects=[("car", (3, 3, 20, 20), 0)])
    cars.split("train", ["c0", "c1", "c2"])
    cars.split("test", ["c3"])
    for name in ("a.png", "deep/b.jpg", ".hidden/c.png", "notes.txt"):
        path = Path("more") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path, format="png")
    Path("mine/dataset").mkdir(parents=True)
    Path("mine/dataset/both.yaml").write_text(YAML)
    words = ["-cd", "mine", "dataset=both", "dataset.size=32", "dataset.batch_size=2", "dataset.workers=0"]
    words += [*BACKBONE, "neck.channels=16", "heads.detection.depth=1", "trainer.max_epochs=1"]
    status, _, err = command("vjo-train", *words, "trainer.progress=false", "hydra.run.dir=run", "semi=mean_teacher")
    assert status == 0, err
    results = json.loads(Path("run/results.json").read_text())
    assert results["counts"]["train"] == {"images": 5, "classification": 3, "detection": 3}
    status, out, _ = command("vjo-data", "summary", "-cd", "mine", "dataset=both")
    assert status == 0, out


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no pictures in it or below"):
        Unannotated().root(tmp_path)
    with pytest.raises(DataError, match="found no folder"):
        Unannotated().root(tmp_path / "none")
