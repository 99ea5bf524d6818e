"""Tasks of the drawn scenes from the command line: trained, resumed, predicted, exported, reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.tiny import BACKBONE

Answer = tuple[int, str, str]
Command = Callable[..., Answer]
TASKS = ("category", "depth", "normals", "edges", "saliency")


def words(cache: Path, *own: str) -> list[str]:
    drawn = [f"dataset.generate.{key}={count}" for key, count in (("train", 8), ("val", 2), ("test", 4))]
    widths = [f"heads.{task}.width=8" for task in TASKS[1:]] + [f"heads.{task}.levels=[p4,p5]" for task in TASKS[1:]]
    network = [*BACKBONE, "neck.channels=16", "heads=[category,depth,normals,edges,saliency]", *widths]
    data = ["dataset=scenes", f"dataset.cache_dir={cache}", "dataset.size=64", "dataset.generate.image_size=64"]
    rest = ["dataset.batch_size=4", "dataset.workers=0", "trainer.progress=false", "trainer.precision=32-true"]
    return [*data, *drawn, *network, *rest, "heads.depth.typical=5", "lr_schedule=constant", *own]


@pytest.fixture
def run(command: Command, tmp_path: Path) -> Path:
    status, _, err = command("vjo-train", *words(tmp_path / "cache", "trainer.max_epochs=2", "hydra.run.dir=run"))
    assert status == 0, err
    return Path("run")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"])


@pytest.mark.slow
def test_every_task_goes_all_the_way(command: Command, run: Path, tmp_path: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    assert {name.split("/")[1] for name in results["metrics"]} == set(TASKS)
    page = (run / "report.html").read_text()
    assert all(task in page for task in TASKS)
    _resumes(command, run, tmp_path)
    pictures = next(tmp_path.glob("cache/shapes-*/JPEGImages"))
    known = ["category", *TASKS[1:]]
    assert command("vjo-predict", f"run={run}", f"source={pictures}", "output=torch")[0] == 0
    _was_written(Path("torch"), pictures.parent, known)
    assert command("vjo-export", f"run={run}", "decoded=true", "output=net.onnx")[0] == 0
    assert command("vjo-predict", "model=net.onnx", f"source={pictures}", "output=onnx", "pictures=false")[0] == 0
    for task in TASKS[1:]:
        for path in sorted(Path("torch", task).glob("*.png")):
            mine, other = (cv2.imread(str(file), -1).astype(int) for file in (path, Path("onnx", task, path.name)))
            scale = np.iinfo(np.uint8 if task in ("edges", "saliency") else np.uint16).max
            assert abs(mine - other).max() <= max(2, 1e-3 * scale)


def _resumes(command: Command, run: Path, tmp_path: Path) -> None:
    """One epoch and one more are two epochs, bit for bit."""
    assert command("vjo-train", *words(tmp_path / "cache", "trainer.max_epochs=1", "hydra.run.dir=half"))[0] == 0
    resumed = words(tmp_path / "cache", "trainer.max_epochs=2", "hydra.run.dir=again", "trainer.resume=half")
    assert command("vjo-train", *resumed)[0] == 0
    for name, value in weights(run).items():
        assert torch.equal(value, weights(Path("again"))[name]), name


def _was_written(found: Path, root: Path, tasks: Sequence[str]) -> None:
    (first, *_), rows = sorted((root / "JPEGImages").iterdir()), json.loads((found / "category.json").read_text())
    assert all(row["category"] in ("wall", "floor", "ceiling", "corridor") for row in rows)
    assert all(sum(row["scores"].values()) == pytest.approx(1, abs=1e-4) for row in rows)
    for task, kind, shape in (
        ("depth", np.uint16, (64, 64)),
        ("normals", np.uint16, (64, 64, 3)),
        ("edges", np.uint8, (64, 64)),
    ):
        values = cv2.imread(str(found / task / f"{first.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert (values.dtype, values.shape) == (kind, shape)
    vectors = cv2.imread(str(found / "normals" / f"{first.stem}.png"), -1).astype(float) / 32767.5 - 1
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-3)
