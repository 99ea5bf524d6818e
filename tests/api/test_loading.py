"""`vjo_train.load` and what its networks say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faster_coco_eval.core import mask as rle
from hydra.core.hydra_config import HydraConfig
from PIL import Image

import vjo_train
from tests.inference.test_prediction import make_run
from vjo_train.errors import CheckpointError, ConfigError, DataError

Command = Callable[..., tuple[int, str, str]]

TASKS = (
    *("classification", "category", "detection", "instance", "semantic", "keypoints"),
    *("depth", "normals", "edges", "saliency", "human_parts"),
)
INSTANCE = (
    *("levels=[p4,p5,p6]", "roi_levels=[p4,p5]", "proposals=20", "eval_proposals=20"),
    *("hidden=16", "mask_depth=1", "mask_width=16", "detections_per_image=3", "score_threshold=0"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tasks, and the merged one."""
    words = [f"heads=[{','.join(TASKS)}]", "merge=[panoptic]", "heads.detection.depth=1", "merge.panoptic.score=0"]
    words += [f"heads.instance.{key}" for key in INSTANCE]
    words += [f"heads.{task}.width=16" for task in TASKS[-5:]] + ["heads.semantic.width=16", "heads.keypoints.points=3"]
    words += ["heads.keypoints.hidden=16", "heads.keypoints.point_depth=1", "heads.keypoints.eval_proposals=20"]
    return make_run(tmp_path_factory.mktemp("runs") / "run", *words)


@pytest.fixture(scope="module")
def network(run: Path) -> vjo_train.Network:
    return vjo_train.load(run)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of several kinds and sizes, one so large that it is reduced while it is decoded."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name, size, mode in (
        ("a.png", (64, 64), "RGB"),
        ("b.jpg", (90, 50), "L"),
        ("c.png", (33, 70), "RGBA"),
        ("d.png", (300, 200), "RGB"),
        ("e.png", (40, 30), "P"),
    ):
        coarse = Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize(size).convert(mode).save(folder / name)
    Image.fromarray(generator.integers(0, 65536, (40, 50), dtype=np.uint16)).save(folder / "f.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    coarse.resize((70, 40)).save(folder / "g.jpg", exif=turned)
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def same(one: Any, other: Any) -> None:
    """Two predictions are equal to the bit."""
    assert one.results.keys() == other.results.keys()
    np.testing.assert_array_equal(one.image, other.image)
    for task in one.results:
        mine, theirs = vars(one[task]), vars(other[task])
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=f"{task}.{name}")


def test_results_are_those_of_the_command_to_the_bit(
    command: Command, run: Path, network: vjo_train.Network, photos: Path
) -> None:
    assert command("vjo-predict", f"run={run}", f"source={photos}", "output=found")[0] == 0
    found = network(files(photos))
    written = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in Path("found").glob("*.json")}
    for task in ("detection", "instance", "keypoints"):
        mine = [row for k, one in enumerate(found, 1) for row in one.to_coco(k)[task]]
        assert json.loads(json.dumps(mine)) == written[task] != []
    for k, one in enumerate(found, 1):
        name = Path(one.name).stem
        scores = {row["image_id"]: row["scores"] for row in written["classification"]}[k]
        own = one.get("classification", vjo_train.Scores).by_name()
        assert {key: round(score, 6) for key, score in own.items()} == scores
        assert {row["image_id"]: row["category"] for row in written["category"]}[k] == one["category"].best
        segments = written["panoptic"]["annotations"][k - 1]
        assert one.get("panoptic", vjo_train.PanopticMap).to_coco(k, f"{name}.png") == [segments]
        for task, pixels in (
            ("semantic", one["semantic"].indices),
            ("human_parts", one["human_parts"].indices),
            ("panoptic", one["panoptic"].to_rgb()),
            ("edges", np.round(one["edges"].values * 255)),
            ("saliency", np.round(one["saliency"].values * 255)),
            ("depth", np.round(one["depth"].values / np.float32(0.001)).clip(0, 65535)),
        ):
            with Image.open(f"found/{task}/{name}.png") as image:
                np.testing.assert_array_equal(np.asarray(image), pixels, err_msg=task)
        with Image.open(f"found/pictures/{name}.jpg") as image:
            one.draw().save("drawn.jpg", quality=92)
            assert Path("drawn.jpg").read_bytes() == Path(image.filename).read_bytes()


def test_results_have_the_shapes_that_they_say(network: vjo_train.Network, photos: Path) -> None:
    one = network(photos / "c.png")
    assert one.image.shape == (70, 33, 3)
    assert set(one.results) == {*TASKS, "panoptic"} == set(network.tasks)
    objects = one.get("instance", vjo_train.Objects)
    assert objects.mask is not None
    assert objects.mask.shape == (len(objects), 70, 33)
    assert (objects.xyxy <= [33, 70, 33, 70]).all()
    assert (np.diff(objects.confidence) <= 0).all()
    assert objects.names == [network.classes[k] for k in objects.class_id]
    keypoints = one.get("keypoints", vjo_train.Objects).keypoints
    assert keypoints is not None
    assert keypoints.shape[1:] == (3, 3)
    assert one.get("depth", vjo_train.PixelMap).values.shape == (70, 33)
    normals = one.get("normals", vjo_train.PixelMap).values
    np.testing.assert_allclose(np.linalg.norm(normals, axis=2), np.ones((70, 33)), rtol=1e-5)
    assert one.get("category", vjo_train.Scores).scores.sum() == pytest.approx(1)
    with pytest.raises(TypeError, match="depth: the result is of type PixelMap, not Objects"):
        one.get("depth", vjo_train.Objects)
    with pytest.raises(KeyError, match="the tasks are classification"):
        one["boxes"]


def test_a_picture_in_any_form_is_the_same(network: vjo_train.Network, photos: Path) -> None:
    for path in files(photos):
        by_file = network(path)
        assert by_file.name == str(path)
        same(by_file, network(str(path)))
        with Image.open(path) as image:
            if path.suffix == ".png" or path.name == "g.jpg":
                same(by_file, network(image))
            stored = np.array(image)
        if path.name in ("a.png", "c.png", "d.png", "f.png"):
            same(by_file, network(stored))
        if path.name in ("a.png", "c.png"):
            same(by_file, network(torch.from_numpy(stored).permute(2, 0, 1)))
        if path.name == "b.jpg":
            same(by_file, network(stored[..., None]))
    assert network(photos / "g.jpg").image.shape == (70, 40, 3)


def test_a_list_gives_a_list_of_any_length(network: vjo_train.Network, photos: Path) -> None:
    paths = files(photos)
    alone = network(paths)
    assert isinstance(alone, list)
    assert network([]) == []
    assert len(network(paths[:1])) == 1
    several = network(path for path in paths)
    for one, other in zip(alone, several, strict=True):
        same(one, other)
    for one, other in zip(alone, network.stream(photos), strict=True):
        same(one, other)
    assert [one.name for one in network.stream(f"{photos}/*.jpg")] == [str(photos / "b.jpg"), str(photos / "g.jpg")]
    frames = np.zeros((2, 20, 30, 3), np.uint8)
    assert len(list(network.stream(frames))) == 2


def test_a_stream_asks_for_a_batch_at_a_time(run: Path) -> None:
    network = vjo_train.load(run, tasks=["classification"], batch_size=2)
    asked = []

    def frames() -> Iterator[np.ndarray[Any, Any]]:
        for k in range(10**6):
            asked.append(k)
            yield np.full((20, 30, 3), k % 256, np.uint8)

    found = network.stream(frames())
    assert next(found).image[0, 0, 0] == 0
    assert next(found).image[0, 0, 0] == 1
    assert asked == [0, 1]


def test_threshold_leaves_objects_out(network: vjo_train.Network, photos: Path) -> None:
    every = network(photos / "a.png").get("detection", vjo_train.Objects)
    middle = float(np.median(every.confidence))
    some = network(photos / "a.png", threshold=middle)
    kept = some.get("detection", vjo_train.Objects)
    assert 0 < len(kept) < len(every)
    np.testing.assert_array_equal(kept.xyxy, every.at_least(middle).xyxy)
    assert set(every.of(every.names[0]).names) == {every.names[0]}
    none = network(photos / "a.png", threshold=1.0)
    assert len(none["instance"]) == 0
    assert none["instance"].mask.shape == (0, 64, 64)
    assert none["instance"].to_coco() == []
    assert none.draw().size[0] >= 64


def test_masks_and_stuff_in_cocos_form(network: vjo_train.Network, photos: Path) -> None:
    one = network(photos / "b.jpg")
    objects, semantic = one.get("instance", vjo_train.Objects), one.get("semantic", vjo_train.ClassMap)
    assert objects.mask is not None
    for row, mask in zip(objects.to_coco(7), objects.mask, strict=True):
        assert row["image_id"] == 7
        np.testing.assert_array_equal(rle.decode(row["segmentation"]), mask)
    rows = semantic.to_coco()
    assert [network.classes[row["category_id"] - 1] for row in rows] == semantic.present
    painted = sum((rle.decode(row["segmentation"]).astype(int) * row["category_id"] for row in rows), np.zeros(1, int))
    np.testing.assert_array_equal(painted, semantic.indices)


def test_supervision_takes_the_objects(network: vjo_train.Network, photos: Path) -> None:
    supervision = pytest.importorskip("supervision")
    for threshold in (0.0, 1.0):
        objects = network(photos / "a.png", threshold=threshold).get("instance", vjo_train.Objects)
        found = supervision.Detections(**objects.to_supervision())
        assert len(found) == len(objects)
        np.testing.assert_array_equal(found.mask, objects.mask)
        assert found.data["class_name"].tolist() == objects.names


def test_the_fields_for_supervision_are_of_its_types(network: vjo_train.Network, photos: Path) -> None:
    fields = network(photos / "a.png").get("instance", vjo_train.Objects).to_supervision()
    count = len(fields["xyxy"])
    assert count > 0
    assert (fields["xyxy"].shape, fields["confidence"].shape) == ((count, 4), (count,))
    assert (fields["class_id"].dtype, fields["mask"].dtype) == (np.dtype(np.int64), np.dtype(bool))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 5, 3)), "images: found an array of float64; must be uint8"),
        (np.zeros((2, 4, 5, 3), np.uint8), r"shape \[2, 4, 5, 3\].*Several pictures are given as a list"),
        (np.zeros((3, 4, 5), np.uint8), r"must be \[H, W, 3\]"),
        (torch.zeros(4, 5, dtype=torch.uint8), r"tensor of shape \[4, 5\]; must be \[3, H, W\]"),
        (torch.zeros(2, 3, 4, 5, dtype=torch.uint8), "several are given as a list"),
        (7, "images: found int"),
        ("nothing.png", "nothing.png: the file is missing"),
        (".", r"a folder; stream\(folder\)"),
    ],
)
def test_what_is_no_picture_is_said(network: vjo_train.Network, image: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        network(image)
    with pytest.raises(DataError):
        network([np.zeros((4, 5, 3), np.uint8), image])


def test_bad_pictures_stop_a_stream_or_are_skipped(
    network: vjo_train.Network, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jpg").write_bytes((photos / "b.jpg").read_bytes()[:300])
    (tmp_path / "b.jpg").write_bytes((photos / "b.jpg").read_bytes())
    with pytest.raises(DataError, match=r"a\.jpg: damaged"):
        list(network.stream(tmp_path))
    assert [Path(one.name).name for one in network.stream(tmp_path, on_bad_image="skip")] == ["b.jpg"]
    assert "a.jpg" in caplog.text
    (tmp_path / "half.png").write_bytes((photos / "d.png").read_bytes()[:2000])
    with Image.open(tmp_path / "half.png") as image, pytest.raises(DataError, match=r"half\.png: damaged"):
        network(image)
    with pytest.raises(DataError, match="a stream takes several"):
        network.stream(np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(ConfigError, match="which is no file"):
        network.stream("nowhere/*.png")


def test_a_run_a_checkpoint_and_keys_of_the_run(run: Path, photos: Path) -> None:
    whole = vjo_train.load(run, tasks=["detection"])
    same(
        whole(photos / "a.png"),
        vjo_train.load(run / "checkpoints" / "last.ckpt", tasks=["detection"])(photos / "a.png"),
    )
    same(whole(photos / "a.png"), vjo_train.load(str(run), tasks=["detection"], checkpoint="last")(photos / "a.png"))
    few = vjo_train.load(run, tasks=["detection"], overrides=["heads.detection.detections_per_image=2"], device="cpu")
    assert len(few(photos / "a.png")["detection"]) == 2
    half = vjo_train.load(run, tasks=["detection"], precision="bf16-mixed")(photos / "a.png")["detection"]
    full = whole(photos / "a.png")["detection"]
    assert half.confidence.dtype == np.float32
    assert not np.array_equal(half.confidence, full.confidence)
    np.testing.assert_allclose(half.confidence[:3], full.confidence[:3], atol=0.02)


def test_a_wrong_path_is_answered(run: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a folder without .*; must be the folder of a run, .*Runs nearby"):
        vjo_train.load(run.parent)
    with pytest.raises(ConfigError, match="which does not exist; must be the folder of a run"):
        vjo_train.load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"a\.png is damaged or no ONNX file .*must be the folder of a run"):
        vjo_train.load(photos / "a.png")
    loose = tmp_path / "best.ckpt"
    loose.write_bytes((run / "checkpoints" / "last.ckpt").read_bytes())
    with pytest.raises(ConfigError, match="lies in no run's folder"):
        vjo_train.load(loose)
    assert vjo_train.load(run, checkpoint=loose, tasks=["category"]).tasks == ("category",)
    for arguments, said in (
        ({"tasks": ["detektion"]}, "did you mean 'detection'"),
        ({"tasks": "detection"}, r"must be a list, such as \['detection'\]"),
        ({"device": "gpu"}, "must be auto, cpu, cuda, cuda:1 or mps"),
        ({"device": "cuda:99"}, "this machine has"),
        ({"precision": "half"}, "trainer.precision"),
        ({"batch_size": 0}, "batch_size"),
        ({"overrides": ["heads.detection.depht=3"]}, "did you mean 'depth'"),
        ({"checkpoint": "nothing"}, "must be best, last or a file"),
    ):
        with pytest.raises((ConfigError, CheckpointError), match=said):
            vjo_train.load(run, **arguments)


def test_hydras_config_of_the_process_stays(run: Path) -> None:
    before = HydraConfig.instance().cfg
    vjo_train.load(run, tasks=["category"])
    assert HydraConfig.instance().cfg is before


def test_names_are_there_and_cost_nothing_before_they_are_used() -> None:
    code = "import sys, vjo_train; assert 'torch' not in sys.modules and 'hydra' not in sys.modules"
    code += "; assert set(vjo_train.__all__) <= set(dir(vjo_train))"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in vjo_train.__all__:
        assert getattr(vjo_train, name)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        getattr(vjo_train, "lod")  # noqa: B009
