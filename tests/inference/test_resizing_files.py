"""Exported files that take pictures of any size: what they say is what the program says of the same pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from PIL import Image

import vjo_train
from tests.inference.test_exporting import Elsewhere, convert
from tests.inference.test_prediction import make_run
from vjo_train.config import jobs
from vjo_train.data.letterbox import Picture, blank, letterbox
from vjo_train.errors import ConfigError
from vjo_train.inference.exporting.parts import Node, network_part
from vjo_train.inference.exporting.resizing import frames_of, on_canvas, to_pictures
from vjo_train.runs import run_folder
from vjo_train.runs.results import read_results

Command = Callable[..., tuple[int, str, str]]
CANVAS = (64, 96)
SIZES = [(64, 96), (33, 70), (100, 75), (127, 190), (20, 30), (1, 50), (110, 7), (63, 95), (65, 97), (90, 50)]


def picture(size: tuple[int, int], seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Smooth, with noise: uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(size[::-1])
    return np.clip(np.asarray(coarse).astype(int) + rng.integers(-20, 21, (*size, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_plain_operators_lay_a_picture_where_the_program_does(size: tuple[int, int]) -> None:
    pixels = torch.from_numpy(picture(size)).permute(2, 0, 1)
    wanted = blank(1, *CANVAS)
    placed = letterbox(Picture.bare(pixels), CANVAS, pixels=wanted[0])
    frames = frames_of(pixels[None], CANVAS)
    assert tuple(frames.sizes[0].int().tolist()) == placed.size
    assert float(frames.scales[0]) == pytest.approx(placed.scale)
    found = on_canvas(pixels[None], frames)
    assert found.dtype == torch.uint8
    assert (found.int() - wanted.int()).abs().max() <= 1
    height, width = placed.size
    outside = torch.ones(CANVAS, dtype=torch.bool)
    outside[:height, :width] = False
    assert torch.equal(found[0][:, outside], wanted[0][:, outside]), "the padding is exact: poolings look for it"

    maps = torch.randn(1, 3, *CANVAS, generator=torch.Generator().manual_seed(0))
    there = F.interpolate(maps[..., :height, :width], size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(to_pictures(maps, frames, *size), there, atol=1e-4, rtol=0)


def test_resizing_is_no_part_of_the_network() -> None:
    nodes = {
        "wide": Node("MatMul", ["", ""]),
        "tall": Node("MatMul", ["", "wide"]),
        "whole": Node("Round", ["tall"]),
        "scale": Node("Sub", ["whole", ""]),
        "body": Node("Conv", ["scale", ""]),
        "last": Node("Conv", ["body", ""]),
    }
    assert network_part(nodes) == ({"scale", "body", "last"}, {"last"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["heads=[classification,detection,semantic]", "heads.detection.depth=1", "heads.detection.levels=[p4,p5]"]
    words += ["heads.semantic.width=16", "heads.semantic.levels=[p4,p5]", "dataset.size=[64,96]"]
    return make_run(tmp_path_factory.mktemp("runs") / "run", *words)


@pytest.fixture(scope="module")
def file(run: Path) -> Path:
    path = run / "pictures.onnx"
    own = {"run": str(run), "checkpoint": None, "format": "onnx", "output": str(path), "tolerance": 1e-3}
    own |= {"precision": "float32", "calibration": 1, "tasks": None, "decoded": True, "resize": True}
    jobs.export(OmegaConf.merge(OmegaConf.load(run / run_folder.CONFIG), own))
    return path


@pytest.mark.slow
def test_another_program_gives_it_pictures_and_gets_results_in_their_pixels(run: Path, file: Path) -> None:
    network = vjo_train.load(run)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["images"]
    names = [given.name for given in session.get_outputs()]
    for size in ((64, 96), (57, 90), (120, 101)):
        pictures = [picture(size, seed) for seed in range(2)]
        given = np.stack(pictures).transpose(0, 3, 1, 2)
        found = dict(zip(names, session.run(None, {"images": given}), strict=True))
        assert found["semantic.map"].shape == (2, *size)
        for k, wanted in enumerate(network(pictures)):
            scores = wanted.get("classification", vjo_train.Scores).scores
            np.testing.assert_allclose(found["classification.probabilities"][k], scores, atol=0.02)
            assert (found["semantic.map"][k] == wanted.get("semantic", vjo_train.ClassMap).indices).mean() > 0.97
            best = wanted.get("detection", vjo_train.Objects).xyxy[:5]
            boxes = found["detection.boxes"][k]
            for box in best:
                assert np.abs(boxes - box).max(axis=1).min() < 1.0
            assert (boxes <= [size[1], size[0], size[1], size[0]]).all()


def test_the_program_itself_runs_it(command: Command, run: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for k, size in enumerate(((57, 90), (64, 96))):
        Image.fromarray(picture(size, k)).save(tmp_path / "photos" / f"{k}.png")
    words = ["source=photos", "pictures=false"]
    assert command("vjo-predict", f"run={run}", *words, "output=torch")[0] == 0
    assert command("vjo-predict", f"model={file}", *words, "output=onnx")[0] == 0
    one, other = (json.loads(Path(f"{name}/classification.json").read_text()) for name in ("torch", "onnx"))
    for mine, found in zip(one, other, strict=True):
        assert mine["scores"] == pytest.approx(found["scores"], abs=0.02)
    with Image.open("torch/semantic/0.png") as mine, Image.open("onnx/semantic/0.png") as found:
        assert (np.asarray(mine) == np.asarray(found)).mean() > 0.97

    few = ["train=1", "val=1", "test=6", "image_size=80"]
    words = [*(f"dataset.generate.{key}" for key in few), "dataset.root=drawn", "trainer.progress=false", "insight=[]"]
    words += ["trainer.precision=32-true"]
    assert command("vjo-eval", f"run={run}", *words, "hydra.run.dir=plain")[0] == 0
    assert command("vjo-eval", f"model={file}", *words, "hydra.run.dir=file")[0] == 0
    wanted, figures = (read_results(Path(name) / "results.json").metrics for name in ("plain", "file"))
    for name in ("test/semantic/miou", "test/classification/map", "test/detection/map_area"):
        assert figures[name] == pytest.approx(wanted[name], abs=0.03), name

    with pytest.raises(ConfigError, match=r"tile: .*pictures\.onnx resizes pictures itself"):
        vjo_train.load(file)(picture((57, 90)), tile=64)
    status, _, err = command("vjo-export", f"run={run}", "resize=true")
    assert (status, err.count("\n")) == (2, 1)
    assert "resize: found true with decoded=false" in err


def test_openvino_says_the_same(file: Path, tmp_path: Path, aside: Pool) -> None:
    path = tmp_path / "pictures.xml"
    aside.apply(convert, (file, path, False))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_outputs()]
    given = {"images": np.stack([picture((57, 90), seed) for seed in range(2)]).transpose(0, 3, 1, 2).copy()}
    wanted, found = dict(zip(names, session.run(None, given), strict=True)), Elsewhere(path, aside)(given)
    np.testing.assert_allclose(found["classification.probabilities"], wanted["classification.probabilities"], atol=1e-3)
    assert (found["semantic.map"] == wanted["semantic.map"]).mean() > 0.99
