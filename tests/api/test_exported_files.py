"""Files of `vjo-export` in every format, loaded as a run is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

import vjo_train
from tests.inference.test_prediction import make_run
from tests.processes import apart
from vjo_train.config import jobs
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs import run_folder

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["heads=[classification,detection]", "heads.detection.depth=1", "heads.detection.levels=[p4,p5]"]
    return make_run(tmp_path_factory.mktemp("runs") / "run", *words)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "a.png"
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8))
    coarse.resize((90, 57)).save(path)
    return path


def export(run: Path, form: str, decoded: bool, resize: bool = False) -> Path:
    path = run / f"model{'.pt2' if form == 'torch' else '.xml' if form == 'openvino' else '.onnx'}"
    own = {"run": str(run), "checkpoint": None, "format": form, "output": str(path), "tolerance": 1e-3}
    own |= {"precision": "float32", "calibration": 1, "tasks": None, "decoded": decoded, "resize": resize}
    jobs.export(OmegaConf.merge(OmegaConf.load(run / run_folder.CONFIG), own))
    return path


def check(run: Path, path: Path, photo: Path) -> None:
    """The file finds what the run finds."""
    found, wanted = vjo_train.load(path)(photo), vjo_train.load(run)(photo)
    one, other = found.get("detection", vjo_train.Objects), wanted.get("detection", vjo_train.Objects)
    assert one.names == other.names != []
    np.testing.assert_allclose(one.xyxy, other.xyxy, atol=1e-3)
    np.testing.assert_allclose(found["classification"].scores, wanted["classification"].scores, atol=1e-4)


def test_a_program_of_torch_is_loaded(run: Path, photo: Path) -> None:
    path = export(run, "torch", decoded=False)
    check(run, path, photo)
    few = vjo_train.load(path, overrides=["heads.detection.detections_per_image=2"])
    assert len(few(photo)["detection"]) == 2
    with pytest.raises(ConfigError, match=r"precision: found 'bf16-mixed', but .*model\.pt2 computes in"):
        vjo_train.load(path, precision="bf16-mixed")
    with pytest.raises(ConfigError, match="an exported file computes on auto, cpu or cuda"):
        vjo_train.load(path, device="mps")


@pytest.mark.slow
def test_a_file_of_openvino_is_loaded(run: Path, photo: Path) -> None:
    """In a process of its own: OpenVINO keeps the streams that it finds."""
    apart(check_openvino, run, photo)


def check_openvino(run: Path, photo: Path) -> None:
    check(run, export(run, "openvino", decoded=False), photo)


def test_a_file_that_decodes_takes_no_other_thresholds(command: Command, run: Path, photo: Path) -> None:
    path = export(run, "onnx", decoded=True)
    word = "heads.detection.score_threshold=0.3"
    said = r"heads\.detection\.score_threshold: found 0\.3, but the objects in .*model\.onnx are decoded with 0\.05"
    with pytest.raises(ConfigError, match=said):
        vjo_train.load(path, overrides=[word])
    vjo_train.load(path, overrides=["heads.detection.score_threshold=0.05"])
    for name, words in (("vjo-predict", [f"source={photo}", "output=found"]), ("vjo-eval", [])):
        status, _, err = command(name, f"model={path}", *words, word)
        assert (status, err.count("\n")) == (2, 1)
        assert err.startswith(f"{name}: error: heads.detection.score_threshold: found 0.3")


def test_what_is_no_file_of_any_format_is_said(photo: Path) -> None:
    with pytest.raises(CheckpointError, match=r"or a file of vjo-export \(\.onnx, \.xml, \.pt2\)"):
        vjo_train.load(photo)
