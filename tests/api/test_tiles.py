"""Large pictures from Python and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval.core import mask as rle
from PIL import Image

import vjo_train
from tests.api.test_loading import INSTANCE, files, same
from tests.inference.test_prediction import make_run
from vjo_train.errors import ConfigError, DataError
from vjo_train.inference import results
from vjo_train.runs.results import read_results

Command = Callable[..., tuple[int, str, str]]
TASKS = ("classification", "detection", "instance", "semantic", "keypoints", "normals")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [f"heads=[{','.join(TASKS)}]", "merge=[panoptic]", "heads.detection.depth=1", "merge.panoptic.score=0"]
    words += [f"heads.instance.{key}" for key in INSTANCE]
    words += ["heads.semantic.width=16", "heads.normals.width=16", "heads.keypoints.points=3"]
    words += ["heads.keypoints.hidden=16", "heads.keypoints.point_depth=1", "heads.keypoints.eval_proposals=20"]
    return make_run(tmp_path_factory.mktemp("runs") / "run", *words)


@pytest.fixture(scope="module")
def network(run: Path) -> vjo_train.Network:
    return vjo_train.load(run)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name, size in (("a.png", (150, 100)), ("b.png", (64, 50)), ("c.png", (30, 200))):
        coarse = Image.fromarray(generator.integers(0, 256, (7, 7, 3), dtype=np.uint8))
        coarse.resize(size).save(folder / name)
    return folder


def test_a_picture_that_is_no_larger_than_a_tile_is_predicted_as_ever(network: vjo_train.Network, photos: Path) -> None:
    paths = files(photos)
    for one, other in zip(network(paths), network(paths, tile=(200, 200)), strict=True):
        same(one, other)
    same(network(paths[1]), network(paths[1], tile="auto"))


def test_a_large_picture_has_results_of_all_kinds(network: vjo_train.Network, photos: Path) -> None:
    one = network(photos / "a.png", tile=64, overlap=0.3)
    plain = network(photos / "a.png")
    assert set(one.results) == {*TASKS, "panoptic"}
    np.testing.assert_array_equal(one["classification"].scores, plain["classification"].scores)
    assert one["semantic"].indices.shape == one["panoptic"].ids.shape == (100, 150)
    np.testing.assert_allclose(np.linalg.norm(one["normals"].values, axis=2), np.ones((100, 150)), rtol=1e-5)
    objects = one.get("instance", vjo_train.Objects)
    assert objects.mask is not None
    assert objects.mask.shape == (len(objects), 100, 150)
    for mask, (left, top, right, bottom) in zip(objects.mask, objects.xyxy, strict=True):
        rows, columns = np.nonzero(mask)
        assert not rows.size or (rows.min() + 1 > top and rows.max() < bottom)
        assert not rows.size or (columns.min() + 1 > left and columns.max() < right)
    assert one["keypoints"].keypoints.shape == (len(one["keypoints"]), 3, 3)
    assert len(one["detection"]) > 0
    assert one.draw().size[0] >= 150


def test_the_command_writes_what_python_gives(
    command: Command, run: Path, network: vjo_train.Network, photos: Path
) -> None:
    words = [f"run={run}", f"source={photos}", "output=found", "tile=auto", "overlap=0.5"]
    assert command("vjo-predict", *words)[0] == 0
    found = network(files(photos), tile=64, overlap=0.5)
    for task in ("detection", "instance", "keypoints"):
        mine = [row for k, one in enumerate(found, 1) for row in one.to_coco(k)[task]]
        assert json.loads(json.dumps(mine)) == json.loads(Path(f"found/{task}.json").read_text()) != []
    masks = json.loads(Path("found/instance.json").read_text())
    assert all(rle.decode(row["segmentation"]).shape == {1: (100, 150), 2: (50, 64), 3: (200, 30)}[row["image_id"]]
               for row in masks)  # fmt: skip
    for one in found:
        with Image.open(f"found/semantic/{Path(one.name).stem}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), one["semantic"].indices)
        one.draw().save("drawn.jpg", quality=92)
        assert Path("drawn.jpg").read_bytes() == Path(f"found/pictures/{Path(one.name).stem}.jpg").read_bytes()


def test_an_evaluation_in_windows(command: Command, tmp_path: Path) -> None:
    """With a tile that every picture fits into, the figures are those without one."""
    heads = ["heads=[classification,detection,semantic,instance]", "heads.detection.depth=1", "heads.semantic.width=16"]
    run = make_run(tmp_path / "run", *heads, *(f"heads.instance.{key}" for key in INSTANCE))
    few = ["train=1", "val=1", "test=6", "image_size=80"]
    words = [f"run={run}", *(f"dataset.generate.{key}" for key in few), "dataset.root=drawn", "insight=[]"]
    words += ["trainer.progress=false", "trainer.precision=32-true"]
    assert command("vjo-eval", *words, "hydra.run.dir=plain")[0] == 0
    assert command("vjo-eval", *words, "hydra.run.dir=large", "tile=80")[0] == 0
    assert command("vjo-eval", *words, "hydra.run.dir=small", "tile=[64,48]")[0] == 0
    plain, large, small = (read_results(Path(name) / "results.json") for name in ("plain", "large", "small"))
    assert set(plain.metrics) == set(large.metrics) == set(small.metrics)
    for name, value in plain.metrics.items():
        assert large.metrics[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    assert (large.checkpoint, large.parameters, large.counts) == (plain.checkpoint, plain.parameters, plain.counts)
    differing = [n for n, value in plain.metrics.items() if small.metrics[n] != pytest.approx(value, nan_ok=True)]
    assert "test/semantic/miou" in differing
    assert "test/classification/map" not in differing


def test_wrong_tiles_are_answered(command: Command, run: Path, network: vjo_train.Network, photos: Path) -> None:
    for tile, overlap, said in (
        (8, 0.25, "tile: found 8; must be a side of 32"),
        ("big", 0.25, "tile: found 'big'"),
        ((64,), 0.25, r"tile: found \(64,\)"),
        (64, 1.0, "overlap: found 1.0; must be from 0 to 0.9"),
    ):
        with pytest.raises(ConfigError, match=said):
            network(photos / "a.png", tile=tile, overlap=overlap)
    words = [f"run={run}", f"source={photos}", "output=found"]
    for word, key in (("tile=8", "tile"), ("tile=big", "tile"), ("overlap=2", "overlap"), ("tile=[64,64,64]", "tile")):
        status, _, err = command("vjo-predict", *words, word)
        assert (status, err.startswith(f"vjo-predict: error: {key}: ")) == (2, True), err
    status, _, err = command("vjo-predict", *words, "tile=64", "tasks=[classification]")
    assert status == 2
    assert "tile: classification say" in err


def test_masks_that_would_fill_the_memory_are_refused(
    network: vjo_train.Network, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_MASK_BYTES", 1000)
    with pytest.raises(DataError, match=r"masks: .* objects on 150 x 100 pixels"):
        network(photos / "a.png", tile=64)
