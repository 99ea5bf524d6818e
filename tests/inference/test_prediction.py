"""From a run's checkpoint to files for users, and to ONNX and back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO
from faster_coco_eval.core import mask as rle
from omegaconf import OmegaConf, open_dict
from PIL import Image

import vjo_train
from tests.tiny import BACKBONE
from vjo_train.config import build, jobs
from vjo_train.config.compose import Composer
from vjo_train.errors import ConfigError, DataError
from vjo_train.inference.prediction_files import PredictionFiles
from vjo_train.inference.sources import find_sources
from vjo_train.runs import run_folder
from vjo_train.runs.results import read_results

Answer = tuple[int, str, str]
Command = Callable[..., Answer]

SMALL = (
    "neck.channels=16",
    "dataset.size=64",
    "dataset.workers=0",
    "dataset.batch_size=4",
    "trainer.accelerator=cpu",
)


def make_run(folder: Path, *overrides: str, backbone: Sequence[str] = BACKBONE) -> Path:
    """A run's folder, with a checkpoint of random weights whose scores differ enough to be ranked."""
    cfg = Composer("train").compose([*backbone, *SMALL, *overrides])
    with open_dict(cfg):
        del cfg["hydra"]
    torch.manual_seed(0)
    module = build.model(cfg)
    with torch.no_grad():
        for name, weight in module.heads.named_parameters():
            if name.endswith(("logits.weight", "sides.weight")):
                weight *= 60
    (folder / "checkpoints").mkdir(parents=True)
    (folder / ".hydra").mkdir()
    OmegaConf.save(cfg, folder / run_folder.CONFIG)
    torch.save({"state_dict": module.state_dict(), "batches": 0}, folder / "checkpoints" / "last.ckpt")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four tasks, and the merged one."""
    heads = ["heads=[classification,detection,semantic,instance]", "heads.detection.depth=1", "heads.semantic.width=16"]
    heads += ["merge=[panoptic]", "merge.panoptic.score=0"]
    heads += ["heads.detection.levels=[p4,p5]", "heads.semantic.levels=[p4,p5]"]  # each level is traced anew
    small = (
        "levels=[p4,p5]",
        "roi_levels=[p4,p5]",
        "proposals=20",
        "eval_proposals=20",
        "hidden=16",
        "mask_depth=1",
        "mask_width=16",
        "detections_per_image=3",
        "score_threshold=0",
    )
    return make_run(tmp_path_factory.mktemp("runs") / "run", *heads, *(f"heads.instance.{key}" for key in small))


@pytest.fixture(scope="module")
def onnx(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's export with decoded outputs: one head has no others."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    own = {"run": str(run), "checkpoint": None, "format": "onnx", "output": str(path), "tolerance": 1e-3}
    own |= {"precision": "float32", "calibration": 1}
    jobs.export(
        OmegaConf.merge(OmegaConf.load(run / run_folder.CONFIG), own, {"tasks": None, "decoded": True, "resize": False})
    )
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures of several sizes and kinds in folders, and a file that is none."""
    folder = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for name, (width, height), mode in (
        ("a.png", (64, 64), "RGB"),
        ("b.jpg", (90, 50), "L"),
        ("deep/c.png", (33, 70), "RGBA"),
        ("deep/d.bmp", (64, 48), "RGB"),
        (".hidden/e.png", (64, 64), "RGB"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize((width, height)).convert(mode).save(folder / name)
    (folder / "b2.jpg").write_bytes((folder / "b.jpg").read_bytes()[:300])
    (folder / "notes.txt").write_text("no picture")
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_predict_writes_what_it_says_and_names_what_it_skips(command: Command, run: Path, photos: Path) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    status, out, err = command("vjo-predict", f"run={run}", f"source={photos}", "output=found", "batch_size=2")
    assert (status, err) == (3, "")
    assert "Skipped " in out
    assert "b2.jpg: damaged or no picture" in out
    assert {path: path.read_bytes() for path in before} == before

    images = read(Path("found/images.json"))
    names = ["a.png", "b.jpg", "deep/c.png", "deep/d.bmp"]
    assert [image["file_name"] for image in images["images"]] == names
    assert [(image["width"], image["height"]) for image in images["images"]][1:3] == [(90, 50), (33, 70)]
    assert [skipped["file_name"] for skipped in images["skipped"]] == ["b2.jpg"]
    assert [category["name"] for category in images["categories"]][:2] == ["circle", "square"]

    truth = COCO("found/images.json")
    loaded = truth.loadRes("found/detection.json")
    assert set(loaded.getImgIds()) <= set(truth.getImgIds())
    boxes = loaded.loadAnns(loaded.getAnnIds())
    assert {box["category_id"] for box in boxes} <= set(range(1, 7))
    sizes = {image["id"]: (image["width"], image["height"]) for image in images["images"]}
    for box in boxes:
        x, y, width, height = box["bbox"]
        assert 0 <= x < x + width <= sizes[box["image_id"]][0] + 1e-3
        assert 0 <= y < y + height <= sizes[box["image_id"]][1] + 1e-3
    scores = read(Path("found/classification.json"))
    assert [row["file_name"] for row in scores] == names
    assert all(len(row["scores"]) == 6 for row in scores)
    for name, size in (("a", (64, 64)), ("deep/c", (33, 70))):
        with Image.open(f"found/semantic/{name}.png") as image:
            assert (image.mode, image.size) == ("P", size)
            assert np.asarray(image).max() <= 6
    drawn = {str(path.relative_to("found/pictures")) for path in Path("found/pictures").rglob("*.jpg")}
    assert drawn == {"a.jpg", "b.jpg", "deep/c.jpg", "deep/d.jpg"}


def test_predictions_are_those_of_an_evaluation(command: Command, run: Path) -> None:
    cfg = OmegaConf.load(run / run_folder.CONFIG)
    cfg.dataset.generate = {**cfg.dataset.generate, "train": 1, "val": 1, "test": 5, "image_size": 80}
    data = build.datamodule(cfg)
    data.prepare_data()
    ids = [str(data.index.ids[row]) for row in data.rows("test")]
    pattern = f"{data.root}/JPEGImages/{ids[0][0]}*.jpg"
    status, _, _ = command("vjo-predict", f"run={run}", f"source='{pattern}'", "output=found", "pictures=false")
    assert status == 0
    assert not Path("found/pictures").exists()

    module = build.model(cfg, restored=True)
    module.load_state_dict(torch.load(run / "checkpoints" / "last.ckpt")["state_dict"])
    data.set_tasks({task: module.head(task).needs for task in module.tasks}, schedule=None)
    found = read(Path("found/detection.json"))
    place = 0
    for batch in data.test_dataloader():
        with torch.no_grad():
            predictions = module.eval().predict(batch)
        for detections, semantic, name in zip(
            predictions["detection"], predictions["semantic"], batch.ids, strict=True
        ):
            place += 1
            mine = [row for row in found if row["image_id"] == place]
            boxes = np.array([row["bbox"] for row in mine]).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            np.testing.assert_allclose(boxes, detections.boxes, atol=2e-3)
            assert [row["category_id"] - 1 for row in mine] == detections.labels.tolist()
            with Image.open(f"found/semantic/{name}.png") as image:
                assert (np.asarray(image) == semantic.numpy()).mean() > 0.999
    assert place == 5
    assert len(found) > 5


def test_a_prediction_imports_nothing_that_only_training_needs(photos: Path, tmp_path: Path) -> None:
    """Lightning and torchmetrics take seconds, which whoever predicts would wait for."""
    run = make_run(tmp_path / "run", "heads=[classification,detection,instance]", backbone=["backbone=resnet10"])
    words = ["vjo-predict", f"run={run}", f"source={photos / 'b.jpg'}", f"output={tmp_path / 'found'}"]
    code = f"""
import sys
sys.argv = {words}
from vjo_train.cli import commands
try:
    commands.predict()
finally:
    print(*sorted(sys.modules), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"pytorch_lightning", "lightning_fabric", "torchmetrics", "scipy", "pandas"}
    assert not slow & {*done.stdout.split()}
    assert any((tmp_path / "found").rglob("*.json"))


def test_onnx_gives_the_same_predictions(command: Command, run: Path, onnx: Path, photos: Path) -> None:
    words = [f"source={photos}", "batch_size=3"]
    assert command("vjo-predict", f"run={run}", *words, "output=torch")[0] == 3
    assert command("vjo-predict", f"model={onnx}", *words, "output=onnx")[0] == 3
    for task in ("detection", "instance"):
        mine, other = read(Path(f"torch/{task}.json")), read(Path(f"onnx/{task}.json"))
        assert len(mine) == len(other) > 5
        for key in ("image_id", "category_id"):
            assert [row[key] for row in mine] == [row[key] for row in other]
        for key in ("bbox", "score"):
            a, b = (np.array([row[key] for row in rows]) for rows in (mine, other))
            np.testing.assert_allclose(a, b, atol=1e-3)
    for one, two in zip(mine, other, strict=True):
        assert (rle.decode(one["segmentation"]) == rle.decode(two["segmentation"])).mean() > 0.99
    mine, other = read(Path("torch/classification.json")), read(Path("onnx/classification.json"))
    for one, two in zip(mine, other, strict=True):
        np.testing.assert_allclose(list(one["scores"].values()), list(two["scores"].values()), atol=1e-4)
    for task, least in (("semantic", 0.999), ("panoptic", 0.99)):
        for path in Path("torch", task).rglob("*.png"):
            with Image.open(path) as one, Image.open("onnx" / path.relative_to("torch")) as two:
                assert (np.asarray(one) == np.asarray(two)).mean() > least


def test_python_loads_the_file_as_it_does_the_run(run: Path, onnx: Path, photos: Path) -> None:
    network, own = vjo_train.load(onnx), vjo_train.load(run)
    assert network.tasks == own.tasks == ("classification", "detection", "semantic", "instance", "panoptic")
    one, other = network(photos / "b.jpg"), own(photos / "b.jpg")
    for task in ("detection", "instance"):
        mine, found = one.get(task, vjo_train.Objects), other.get(task, vjo_train.Objects)
        assert mine.names == found.names != []
        np.testing.assert_allclose(mine.xyxy, found.xyxy, atol=1e-3)
    np.testing.assert_allclose(one["classification"].scores, other["classification"].scores, atol=1e-4)
    for arguments, said in ({"checkpoint": "last"}, "checkpoint: an"), ({"device": "cuda:1"}, "device: found 'cuda:1'"):
        with pytest.raises(ConfigError, match=said):
            vjo_train.load(onnx, **arguments)


def test_an_evaluation_of_a_file_gives_the_figures_of_its_run(command: Command, run: Path, onnx: Path) -> None:
    few = ["train=1", "val=1", "test=6", "image_size=80"]
    words = [*(f"dataset.generate.{key}" for key in few), "dataset.root=drawn", "trainer.progress=false", "insight=[]"]
    words += ["trainer.precision=32-true"]
    assert command("vjo-eval", f"run={run}", *words, "hydra.run.dir=torch")[0] == 0
    assert command("vjo-eval", f"model={onnx}", *words)[0] == 0
    (folder,) = (onnx.parent / "eval").iterdir()
    wanted, found = read_results(Path("torch/results.json")), read_results(folder / "results.json")
    assert set(found.metrics) == set(wanted.metrics)
    for name, value in wanted.metrics.items():
        assert found.metrics[name] == pytest.approx(value, abs=1e-3, nan_ok=True), name
    assert (found.data, found.parameters, found.counts) == (wanted.data, wanted.parameters, wanted.counts)
    assert (found.precision, found.checkpoint) == ("float32", str(onnx))
    assert found.inference_images_per_second > 0
    assert (folder / "report.html").is_file()

    status, _, err = command("vjo-eval", f"model={onnx}", f"run={run}")
    assert (status, err) == (2, "vjo-eval: error: model: vjo-eval takes either run=DIR or model=FILE, not both.\n")


TRAINED = (
    *BACKBONE,
    *SMALL,
    "heads.detection.depth=1",
    "heads.detection.levels=[p4,p5]",
    "dataset.generate.image_size=64",
    "dataset.size=[48,64]",
    "dataset.generate.train=64",
    "dataset.generate.val=4",
    "dataset.generate.test=12",
    "dataset.generate.hardness=0",
    "optimizer.lr=0.05",
    "trainer.max_epochs=4",
    "trainer.progress=false",
    "insight=[]",
)


@pytest.mark.slow
def test_a_trained_run_and_its_files_find_the_same(command: Command) -> None:
    """Of a network that has learned, whose scores lie close together; `trainer.precision` is `auto`."""
    assert command("vjo-train", *TRAINED, "dataset.root=shapes", "hydra.run.dir=run")[0] == 0
    one = ["run=run", "tasks=[detection]"]
    assert command("vjo-export", *one, "output=raw.onnx")[0] == 0
    assert command("vjo-export", *one, "output=decoded.onnx", "decoded=true")[0] == 0
    words = ["source='shapes/JPEGImages/2*.jpg'", "pictures=false"]
    assert command("vjo-predict", "run=run", *words, "output=torch")[0] == 0
    mine = read(Path("torch/detection.json"))
    assert len(mine) > 100
    for name in ("raw", "decoded"):
        assert command("vjo-predict", f"model={name}.onnx", *words, f"output={name}")[0] == 0
        other = read(Path(name) / "detection.json")
        assert len(mine) == len(other)
        for row in mine:  # equal scores may come in another order
            found = [one for one in other if all(one[key] == row[key] for key in ("image_id", "category_id"))]
            figures = np.array([[*one["bbox"], one["score"]] for one in found])
            assert np.abs(figures - [*row["bbox"], row["score"]]).max(axis=1).min() < 1e-3


def test_another_program_gets_boxes_in_the_pixels_of_its_files(
    command: Command, run: Path, onnx: Path, photos: Path
) -> None:
    """As docs/predict.md says it: pictures scaled and laid on the canvas, and their sizes."""
    import onnxruntime

    names = ["a.png", "b.jpg", "deep/c.png"]
    pictures = [Image.open(photos / name).convert("RGB") for name in names]
    canvases = np.full((3, 64, 64, 3), (124, 116, 104), np.uint8)
    for canvas, picture in zip(canvases, pictures, strict=True):
        scale = 64 / max(picture.size)
        width, height = (max(1, round(side * scale)) for side in picture.size)
        canvas[:height, :width] = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    sizes = np.array([(picture.height, picture.width) for picture in pictures])
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    images = canvases.transpose(0, 3, 1, 2)
    outputs = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, {"images": images, "sizes": sizes}), strict=True)
    )

    words = [f"source='{photos}/**/*.*g'", "output=found", "pictures=false", "tasks=[detection,classification]"]
    assert command("vjo-predict", f"run={run}", *words)[0] == 3
    rows, scores = read(Path("found/detection.json")), read(Path("found/classification.json"))
    found = {image["file_name"]: image["id"] for image in read(Path("found/images.json"))["images"]}
    for k, name in enumerate(names):
        (own,) = [row["scores"] for row in scores if row["file_name"].endswith(name)]
        np.testing.assert_allclose(outputs["classification.probabilities"][k], list(own.values()), atol=0.02)
        (place,) = [number for file, number in found.items() if file.endswith(name)]
        mine = [row for row in rows if row["image_id"] == place]
        count = int((outputs["detection.labels"][k] >= 0).sum())
        assert count > 0
        boxes = outputs["detection.boxes"][k]
        assert not boxes[count:].any()
        if (sizes[k] == 64).all():  # else the two programs' interpolations differ
            wanted = np.array([row["bbox"] for row in mine])
            wanted[:, 2:] += wanted[:, :2]
            np.testing.assert_allclose(boxes[:count], wanted, atol=1e-3)
            assert outputs["detection.labels"][k, :count].tolist() == [row["category_id"] - 1 for row in mine]
        assert (boxes[:count] <= sizes[k][[1, 0, 1, 0]]).all()
    assert outputs["semantic.map"].shape == (3, 64, 64)
    assert outputs["instance.masks"].shape == (3, 3, 28, 28)


def test_a_file_of_some_tasks_needs_nothing_of_the_others(command: Command, tmp_path: Path, photos: Path) -> None:
    words = ["heads=[classification,detection,semantic,instance]", "heads.detection.depth=1"]
    words += ["heads.detection.levels=[p4,p5]", "heads.semantic.width=16", "merge=[panoptic]"]
    own = make_run(tmp_path / "own", *words, "weighting=fixed", "weighting.lambdas={semantic:2}")
    assert command("vjo-export", f"run={own}", "tasks=[detection]", "output=net.onnx")[0] == 0
    assert command("vjo-predict", "model=net.onnx", f"source={photos}", "output=onnx")[0] == 3
    assert command("vjo-predict", f"run={own}", f"source={photos}", "output=torch", "tasks=[detection]")[0] == 3
    mine, other = read(Path("torch/detection.json")), read(Path("onnx/detection.json"))
    assert len(mine) == len(other) > 5
    np.testing.assert_allclose([row["bbox"] for row in mine], [row["bbox"] for row in other], atol=1e-3)
    for folder in (Path("torch"), Path("onnx")):
        assert {path.name for path in folder.glob("*.json")} == {"images.json", "detection.json"}


def test_a_single_task_run_has_its_own_task(command: Command, tmp_path: Path, photos: Path) -> None:
    words = ["heads=[classification,detection,semantic]", "single=classification"]
    alone = make_run(tmp_path / "alone", *words)
    assert command("vjo-predict", f"run={alone}", f"source={photos}", "output=torch", "pictures=false")[0] == 3
    assert {path.name for path in Path("torch").glob("*.json")} == {"images.json", "classification.json"}
    for name, place in (("export", []), ("predict", [f"source={photos}", "output=other"])):
        status, _, err = command(f"vjo-{name}", f"run={alone}", *place, "tasks=[detection]")
        assert (status, err) == (
            2,
            f"vjo-{name}: error: tasks: found 'detection', which the run did not train; must be of classification.\n",
        )
    assert command("vjo-export", f"run={alone}", "tasks=[classification]", "output=net.onnx")[0] == 0
    assert command("vjo-predict", "model=net.onnx", f"source={photos}", "output=onnx")[0] == 3
    mine, other = read(Path("torch/classification.json")), read(Path("onnx/classification.json"))
    for one, two in zip(mine, other, strict=True):
        np.testing.assert_allclose(list(one["scores"].values()), list(two["scores"].values()), atol=1e-4)


def test_self_supervised_heads_say_nothing_of_a_picture(command: Command, tmp_path: Path, photos: Path) -> None:
    own = make_run(tmp_path / "own", "heads=[rotation,classification]")
    assert command("vjo-export", f"run={own}", "output=net.onnx")[0] == 0
    assert command("vjo-predict", "model=net.onnx", f"source={photos}", "output=onnx")[0] == 3
    assert command("vjo-predict", f"run={own}", f"source={photos}", "output=torch")[0] == 3
    for folder in (Path("torch"), Path("onnx")):
        assert {path.name for path in folder.glob("*.json")} == {"images.json", "classification.json"}
    status, _, err = command("vjo-export", f"run={own}", "tasks=[rotation]")
    said = "tasks: found 'rotation', which the run has for training alone (it is self-supervised); must be of classif"
    assert (status, said in err) == (2, True), err


def test_the_file_says_what_it_is(onnx: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    images, sizes = session.get_inputs()
    assert (sizes.name, sizes.type, sizes.shape[1:]) == ("sizes", "tensor(int64)", [2])
    assert (images.name, images.type, images.shape[1:]) == ("images", "tensor(uint8)", [3, 64, 64])
    assert isinstance(images.shape[0], str), "any number of images"
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["vjo_train.classes"])[0] == "circle"
    outputs = {output.name: output.shape for output in session.get_outputs()}
    assert {"detection.logits", "detection.locations.points", "semantic"} <= set(outputs)
    assert outputs["detection.boxes"][1:] == [100, 4]
    assert outputs["instance.boxes"][1:] == [3, 4]


def test_a_file_that_differs_is_not_written(command: Command, run: Path) -> None:
    words = [f"run={run}", "output=out/net.onnx", "tolerance=1e-12", "tasks=[classification]"]
    status, _, err = command("vjo-export", *words)
    assert "tolerance: the output classification of the file differs by " in err
    assert "Nothing was written." in err
    assert status == 2
    assert list(Path("out").iterdir()) == []


def test_masks_are_written_as_cocos_codes(command: Command, run: Path, photos: Path) -> None:
    status, out, _ = command("vjo-predict", f"run={run}", f"source='{photos}/*.png'", "output=found")
    assert status == 0
    assert " of instance, 1 of panoptic: found" in out
    found = COCO("found/images.json").loadRes("found/instance.json")
    annotations = found.loadAnns(found.getAnnIds())
    assert annotations
    for one in annotations:
        mask = rle.decode(one["segmentation"])
        assert mask.shape == (64, 64)
        rows, columns = np.nonzero(mask)
        x, y, width, height = one["bbox"]
        assert all((columns + 0.5 >= x) & (columns + 0.5 < x + width) & (rows + 0.5 >= y) & (rows + 0.5 < y + height))


def test_boxes_are_in_the_picture_as_viewers_show_it(command: Command, run: Path, tmp_path: Path) -> None:
    """A phone's picture is stored lying on its side, with a note on how to turn it."""
    folder = tmp_path / "phone"
    folder.mkdir()
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((90, 50))
    coarse.save(folder / "stored.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    coarse.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=exif)
    assert (
        command("vjo-predict", f"run={run}", f"source={folder}", "output=found", "tasks=[detection,semantic]")[0] == 0
    )
    one, other = read(Path("found/images.json"))["images"]
    assert (one["width"], one["height"]) == (other["width"], other["height"]) == (90, 50)
    rows = read(Path("found/detection.json"))
    upright, turned = ([row | {"image_id": 0} for row in rows if row["image_id"] == k] for k in (1, 2))
    assert upright == turned != []
    for place in ("semantic/{}.png", "pictures/{}.jpg"):
        with Image.open("found/" + place.format("stored")) as a, Image.open("found/" + place.format("turned")) as b:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_what_was_found_before_ctrl_c_is_kept(
    command: Command, run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = PredictionFiles.add

    def stopped(self: PredictionFiles, place: int, *rest: Any) -> None:
        if place == 3:
            raise KeyboardInterrupt
        add(self, place, *rest)

    monkeypatch.setattr(PredictionFiles, "add", stopped)
    words = [f"source={photos}", "output=found", "tasks=[detection]", "batch_size=1"]
    status, out, err = command("vjo-predict", f"run={run}", *words)
    assert (status, err) == (130, "vjo-predict: interrupted\n")
    assert "Interrupted: the first 2 images are in found." in out
    assert [image["file_name"] for image in read(Path("found/images.json"))["images"]] == ["a.png", "b.jpg"]
    assert {row["image_id"] for row in read(Path("found/detection.json"))} <= {1, 2}


def test_what_cannot_be_written_ends_the_prediction(
    command: Command, run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: PredictionFiles, place: int, *rest: Any) -> None:
        raise DataError(f"picture {place}: no space left.")

    monkeypatch.setattr(PredictionFiles, "add", full)
    words = [f"source={photos}", "output=found", "tasks=[classification]", "batch_size=1"]
    status, _, err = command("vjo-predict", f"run={run}", *words)
    assert status == 2
    assert "picture 0: no space left." in err


def test_results_of_an_earlier_prediction_are_named(command: Command, run: Path, photos: Path) -> None:
    words = [f"run={run}", f"source={photos}/a.png", "output=found", "pictures=false"]
    assert "Of an earlier" not in command("vjo-predict", *words, "tasks=[classification]")[1]
    status, out, _ = command("vjo-predict", *words, "tasks=[detection]")
    assert status == 0
    assert "Of an earlier prediction: found/classification.json" in out


def test_sources(photos: Path, tmp_path: Path) -> None:
    def names(text: str, output: Path = tmp_path / "out") -> Sequence[str]:
        return [source.name for source in find_sources(text, output)]

    assert names(str(photos)) == ["a", "b", "b2", "deep/c", "deep/d"]
    assert names(str(photos), photos / "deep") == ["a", "b", "b2"], "an output folder is no source"
    assert names(f"{photos}/**/*.png") == ["a", "deep/c"]
    (photos / "list.txt").write_text(f"b.jpg\n\n{photos}/deep/c.png\nmissing.jpg\n")
    assert names(str(photos / "list.txt")) == ["b", "deep/c", "missing"], "a file that is missing is told later"
    (photos / "A.jpg").write_bytes(b"")
    assert names(str(photos))[:2] == ["A.jpg", "a.png"], "two pictures of one name"
    with pytest.raises(ConfigError, match="which is no file, no folder and matches no file"):
        names(str(photos / "*.gif"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="a folder without images"):
        names(str(tmp_path / "empty"))


MISTAKES = [
    (
        "predict",
        "source=p output=o",
        "run: missing; vjo-predict run=DIR needs the folder of a run (or model=FILE).",
    ),
    ("predict", "run=RUN output=o", "source: no value given; must be text of length >= 1 or a whole number >= 0."),
    ("predict", "run=RUN source=p", "output: no value given; must be text of length >= 1."),
    (
        "predict",
        "run=RUN source=p output=o treshold=1",
        "Key 'treshold' is not in the config; did you mean 'thr",
    ),
    (
        "predict",
        "run=RUN source=p output=o threshold=2",
        "threshold: found 2 (a whole number); must be a number >=",
    ),
    (
        "predict",
        "run=RUN source=p output=o accelerator=gpus",
        "must be one of auto, cpu, gpu or null; did you mean",
    ),
    (
        "predict",
        "run=RUN source=nowhere output=o",
        "source: found 'nowhere', which is no file, no folder and match",
    ),
    (
        "predict",
        "run=RUN source=p output=o checkpoint=best",
        "checkpoint: no best checkpoint in 'RUN' (found: last",
    ),
    (
        "predict",
        "run=RUN source=p output=p/x.png",
        "output: 'p/x.png' cannot be made: 'p/x.png' is no folder that",
    ),
    (
        "predict",
        "run=RUN source=pictures output=.",
        "output: 'pictures/x.jpg' would be overwritten, which is a source",
    ),
    (
        "predict",
        "run=RUN source=p/bad.png output=o",
        "source: none of the 1 files could be read: p/bad.png: dama",
    ),
    ("predict", "run=RUN model=m.onnx source=p output=o", "model: vjo-predict takes either run=DIR or model=FILE"),
    ("predict", "model=m.onnx source=p output=o", "model: found 'm.onnx', which is no file; must be a file of"),
    ("predict", "model=p/bad.png source=p output=o", "model: p/bad.png is damaged or no ONNX file ("),
    (
        "predict",
        "model=ONNX source=p output=o checkpoint=last",
        "checkpoint: an exported file holds the weights of one",
    ),
    ("predict", "run=RUN,RUN source=p output=o", "gives several values; vjo-predict predicts with one run at a time."),
    ("predict", "-m run=RUN source=p output=o", "-m: vjo-predict predicts with one run at a time."),
    ("export", "run=RUN output=x.onnx", "heads.instance: the raw outputs of MaskRCNN cannot leave the network"),
    ("export", "run=RUN decoded=yes output=x.onnx", "decoded: found 'yes' (text); must be true or false"),
    ("export", "output=x.onnx", "run: missing; vjo-export run=DIR needs the folder of a run."),
    ("export", "run=RUN format=tflite", "format: found 'tflite' (text); must be one of onnx, openvino, torch."),
    ("export", "run=RUN tasks=[detecton]", "tasks: found 'detecton', which the run does not have; did you mean 'detec"),
    ("export", "run=RUN tasks=[detection,detection]", "tasks: found 'detection' twice; each task may be named once."),
    (
        "predict",
        "run=RUN source=p output=o tasks=[sematic]",
        "tasks: found 'sematic', which the run does not have; did",
    ),
    ("export", "run=RUN output=p/x.png/m.onnx", "output: 'p/x.png' cannot be made"),
]


@pytest.mark.parametrize(("name", "words", "message"), MISTAKES, ids=[words for _, words, _ in MISTAKES])
def test_mistake(command: Command, run: Path, onnx: Path, name: str, words: str, message: str) -> None:
    for folder in ("p", "pictures"):
        Path(folder).mkdir()
    Image.new("RGB", (64, 64)).save("p/x.png")
    Image.new("RGB", (64, 64)).save("pictures/x.jpg")
    Path("p/bad.png").write_bytes(b"not a picture")
    status, out, err = command(f"vjo-{name}", *words.replace("RUN", str(run)).replace("ONNX", str(onnx)).split())
    assert message.replace("RUN", str(run)) in err
    assert err.startswith(f"vjo-{name}: error: ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in out + err
    assert status == 2
    assert not Path("o/images.json").exists()
