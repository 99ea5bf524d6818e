"""`merge=[panoptic]` from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import BACKBONE

Command = Callable[..., tuple[int, str, str]]


def words(cache: Path, *own: str) -> list[str]:
    drawn = [f"dataset.generate.{key}={value}" for key, value in (("train", 8), ("val", 2), ("test", 4), ("masked", 1))]
    data = ["dataset=shapes_plain", f"dataset.cache_dir={cache}", "dataset.size=64", "dataset.generate.image_size=64"]
    few = ("levels=[p4,p5]", "roi_levels=[p4,p5]", "proposals=40", "eval_proposals=40", "mask_width=16", "hidden=16")
    small = ["heads.semantic.width=16", "heads.semantic.levels=[p4,p5]", *(f"heads.instance.{key}" for key in few)]
    network = [*BACKBONE, "neck.channels=16", "heads=[semantic,instance]", *small]
    rest = ["dataset.batch_size=4", "dataset.workers=0", "trainer.progress=false", "trainer.max_epochs=1", "insight=[]"]
    return [*data, *drawn, *network, *rest, *own]


@pytest.mark.slow
def test_it_is_trained_without_it_and_tested_with_it(command: Command, tmp_path: Path) -> None:
    own = words(tmp_path / "cache", "hydra.run.dir=run", "merge=[panoptic]", "merge.panoptic.score=0.01")
    status, _, err = command("vjo-train", *own)
    assert status == 0, err
    results = json.loads(Path("run/results.json").read_text())
    assert "test/panoptic/pq" in results["monitors"]
    assert set(results["per_class"]["test/panoptic/pq_class"]) >= {"circle", "cross"}
    assert "train/panoptic/loss" not in Path("run/metrics.csv").read_text()
    pictures = next(tmp_path.glob("cache/shapes-*/JPEGImages"))
    assert command("vjo-predict", "run=run", f"source={pictures}", "output=found")[0] == 0
    document = json.loads(Path("found/panoptic.json").read_text())
    assert {category["name"] for category in document["categories"] if category["isthing"]} >= {"circle", "cross"}
    rows = document["annotations"]
    assert [row["image_id"] for row in rows] == [image["id"] for image in document["images"]]
    assert len(rows) == 14
    for row in rows:
        red, green, blue = np.asarray(Image.open(Path("found/panoptic", row["file_name"])), np.int64).transpose(2, 0, 1)
        ids = red + 256 * green + 65536 * blue
        assert {segment["id"]: segment["area"] for segment in row["segments_info"]} == {
            int(number): int((ids == number).sum()) for number in np.unique(ids) if number
        }
    _of_a_run_without_it(command, tmp_path)


def _of_a_run_without_it(command: Command, tmp_path: Path) -> None:
    """A finished run can be tested with it; a single task cannot, and says nothing of it."""
    single = words(tmp_path / "cache", "hydra.run.dir=single", "merge=[panoptic]", "single=semantic")
    assert command("vjo-train", *single)[0] == 0
    assert not any("panoptic" in name for name in json.loads(Path("single/results.json").read_text())["metrics"])
    assert command("vjo-eval", "run=run", "merge=[]", "hydra.run.dir=plain")[0] == 0
    assert not any("panoptic" in name for name in json.loads(Path("plain/results.json").read_text())["metrics"])
    assert command("vjo-eval", "run=plain", "merge=[panoptic]")[0] == 2, "plain is no run"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            "merge.panoptic.semantic=classes",
            "merge.panoptic.semantic: found 'classes', which is no head;",
        ),
        (
            "merge.panoptic.instance=semantic",
            "merge.panoptic.instance: found 'semantic', a SemanticFPN,",
        ),
        ("merge.panoptic.score=2", "merge.panoptic.score: found 2"),
    ],
)
def test_mistakes_are_named(command: Command, tmp_path: Path, own: str, message: str) -> None:
    status, _, err = command("vjo-train", *words(tmp_path / "cache", "merge=[panoptic]", own))
    assert (status, message in err) == (2, True), err
