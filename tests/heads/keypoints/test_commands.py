"""Drawn faces in COCO's layout, from the check of the data to the exported file, beside a detector."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools.coco import COCO

from tests.conftest import Answer
from tests.data.sources.written import document
from tests.tiny import BACKBONE

Command = Callable[..., Answer]

POINTS = [(0.5, 0.6), (0.25, 0.3), (0.75, 0.3)]
FACE = {"keypoints": ["nose", "left_eye", "right_eye"], "skeleton": [[1, 2], [1, 3]]}
DATA = ("dataset=coco", "dataset.root=faces", "dataset.size=64", "dataset.test_split=val")
SMALL = (
    "heads=[detection,keypoints]",
    *BACKBONE,
    "neck.channels=16",
    "heads.detection.depth=1",
    "heads.detection.levels=[p4,p5]",
    "heads.keypoints.points=3",
    "heads.keypoints.levels=[p4,p5]",
    "heads.keypoints.point_depth=1",
    "heads.keypoints.detections_per_image=4",
    "heads.keypoints.score_threshold=0",
    "lr_schedule=constant",
    "dataset.batch_size=4",
    "dataset.workers=0",
    "trainer.progress=false",
    "trainer.max_epochs=2",
    "insight=[]",
)
TWO_STAGES = ("roi_levels=[p4,p5]", "hidden=32", "point_width=8", "proposals=20", "eval_proposals=20")


@pytest.fixture
def faces(tmp_path: Path) -> None:
    """A face and a tree in each picture."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        (tmp_path / f"faces/{split}").mkdir(parents=True)
        things = []
        for number in range(1, count + 1):
            picture = Image.new("RGB", (80, 64), (90, 120, 90))
            draw = ImageDraw.Draw(picture)
            (x, y), side = rng.integers(2, 20, 2).tolist(), int(rng.integers(24, 40))
            draw.ellipse((x, y, x + side, y + side), fill=(230, 190, 150))
            draw.rectangle((64, 10, 76, 50), fill=(20, 80, 20))
            values: list[float] = []
            for across, down in POINTS:
                place = [int(x + across * side), int(y + down * side)]
                draw.ellipse((place[0] - 2, place[1] - 2, place[0] + 2, place[1] + 2), fill=(0, 0, 0))
                values += [*place, 2]
            face = {"bbox": [x, y, side, side], "keypoints": values, "num_keypoints": 3, "area": 0.8 * side**2}
            common = {"image_id": number, "iscrowd": 0}
            things += [face | common | {"category_id": 1}, {"bbox": [64, 10, 12, 40], "category_id": 2, **common}]
            picture.save(tmp_path / f"faces/{split}/{split}{number}.png")
        sizes = {f"{split}{number}.png": {"width": 80, "height": 64} for number in range(1, count + 1)}
        found = document(sizes, things, {1: "face", 2: "tree"})
        found["categories"][0] |= FACE
        (tmp_path / "faces/annotations").mkdir(exist_ok=True)
        (tmp_path / f"faces/annotations/instances_{split}.json").write_text(json.dumps(found))


def test_the_data_are_counted_checked_and_drawn(command: Command, faces: None) -> None:
    status, out, _ = command("vjo-data", "summary", *DATA, "output=summary")
    assert status == 0
    assert "with keypoints" in out
    summary = json.loads(Path("summary/summary.json").read_text())["splits"]
    assert summary["val"]["labelled"]["keypoints"] == summary["val"]["images"]
    assert Path("summary/train.png").is_file()
    assert command("vjo-data", "check", *DATA, "output=sound")[0] == 0
    assert "point outside box" not in json.loads(Path("sound/check.json").read_text())["counts"]
    file = Path("faces/annotations/instances_train.json")
    found = json.loads(file.read_text())
    found["annotations"][0]["keypoints"][0] = 79
    file.write_text(json.dumps(found))
    assert command("vjo-data", "check", *DATA, "output=doubtful")[0] == 0
    assert json.loads(Path("doubtful/check.json").read_text())["counts"]["point outside box"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["keypoints", "keypoints_fcos"])
def test_from_training_to_the_exported_file(command: Command, faces: None, choice: str) -> None:
    own = [f"heads.keypoints.{key}" for key in (TWO_STAGES if choice == "keypoints" else ("depth=1",))]
    heads = f"heads=[detection,{choice}]"
    assert command("vjo-train", *DATA, *SMALL, heads, *own, "hydra.run.dir=run")[0] == 0
    metrics = json.loads(Path("run/results.json").read_text())["metrics"]
    assert {"test/keypoints/map_oks", "test/keypoints/ap50_oks", "test/keypoints/ap75_oks"} <= set(metrics)
    assert "map_oks" in Path("run/report.html").read_text()
    assert command("vjo-predict", "run=run", "source=faces/val", "output=found")[0] == 0
    loaded = COCO("found/images.json").loadRes("found/keypoints.json")
    rows = loaded.loadAnns(loaded.getAnnIds())
    assert rows
    assert {(len(row["keypoints"]), row["category_id"]) for row in rows} == {(9, 1)}, "of the class that has points"
    words = ["run=run", "tasks=[keypoints]", "decoded=true", "output=net.onnx", "tolerance=1e-3"]
    assert command("vjo-export", *words)[0] == 0
    assert command("vjo-predict", "source=faces/val", "model=net.onnx", "output=again")[0] == 0
    again = json.loads(Path("again/keypoints.json").read_text())
    best, other = (
        max(table, key=lambda row: row["score"])
        for table in (json.loads(Path("found/keypoints.json").read_text()), again)
    )
    np.testing.assert_allclose(best["keypoints"], other["keypoints"], atol=0.1)
