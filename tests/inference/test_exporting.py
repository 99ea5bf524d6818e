"""Files for other runtimes: what they give, in every format and precision."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import SIZE, module
from vjo_train.errors import CheckpointError
from vjo_train.heads.detection.suppression import suppress, suppress_in_torch
from vjo_train.inference.exporting import check, precision
from vjo_train.inference.exporting.onnx import write_onnx
from vjo_train.inference.exporting.openvino import read_onnx, write_openvino
from vjo_train.inference.exporting.parts import Node, network_part
from vjo_train.inference.exporting.torch import write_torch
from vjo_train.inference.exporting.traced import Traced, sample_images, sample_sizes
from vjo_train.inference.runtimes.base import Arrays, Runtime
from vjo_train.inference.runtimes.files import information, open_runtime

SAID = {"vjo_train.config": json.dumps({"name": "<a> & 'b' \"c\""}), "vjo_train.precision": "float32"}


@pytest.fixture(scope="module")
def network() -> Traced:
    made = module(("classification", "detection"))
    with torch.no_grad():
        for name, weight in made.heads.named_parameters():
            if name.endswith(("logits.weight", "sides.weight")):
                weight *= 20
    return Traced(made, ("classification", "detection"), (SIZE, SIZE), decoded=True)


@pytest.fixture(scope="module")
def onnx(network: Traced, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "model.onnx"
    write_onnx(network, path, SAID)
    return path


@pytest.fixture(scope="module")
def samples(network: Traced) -> list[Arrays]:
    images, sizes = sample_images(8, network.canvas).numpy(), sample_sizes(8, network.canvas).numpy()
    return [{"images": images[k : k + 1], "sizes": sizes[k : k + 1]} for k in range(8)]


def convert(onnx: Path, path: Path, half: bool) -> None:
    write_openvino(read_onnx(onnx), path, SAID, half=half)


def quantise(onnx: Path, path: Path, samples: list[Arrays]) -> None:
    write_openvino(precision.quantise_openvino(read_onnx(onnx), samples), path, {}, half=False)


def compute(path: Path, given: Arrays) -> Arrays:
    return dict(open_runtime(path)(given))


class Elsewhere:
    """An OpenVINO file, run in another process."""

    def __init__(self, path: Path, pool: Pool) -> None:
        self.path, self.pool, self.inputs = path, pool, ("images", "sizes")

    def __call__(self, given: Mapping[str, Any]) -> Arrays:
        found: Arrays = self.pool.apply(compute, (self.path, dict(given)))
        return found


def worst(network: Traced, path: Path, runtime: Runtime | None = None) -> float:
    assert information(path) | SAID == information(path), "what it says of itself comes back as it was put in"
    return max(check.compare(network, runtime or open_runtime(path)).values())


def test_an_onnx_file_gives_the_networks_figures_and_names_no_place_of_this_machine(
    network: Traced, onnx: Path
) -> None:
    assert worst(network, onnx) < 1e-4
    assert str(Path(__file__).parents[2]).encode() not in onnx.read_bytes()


@pytest.mark.slow
def test_openvino_gives_the_networks_figures(network: Traced, onnx: Path, tmp_path: Path, aside: Pool) -> None:
    path = tmp_path / "model.xml"
    aside.apply(convert, (onnx, path, False))
    assert worst(network, path, Elsewhere(path, aside)) < 1e-4
    whole = path.with_suffix(".bin").stat().st_size
    aside.apply(convert, (onnx, tmp_path / "half.xml", True))
    assert (tmp_path / "half.bin").stat().st_size < 0.6 * whole


def test_an_exported_program_runs_without_this_package(network: Traced, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    write_torch(network, path, SAID)
    assert worst(network, path) < 1e-4
    given = network.example(2)
    torch.save([tuple(given.values()), [tensor.detach() for tensor in network(**given)]], tmp_path / "figures.pt")
    program = """
import sys, torch
sys.modules["vjo_train"] = None
inputs, wanted = torch.load("figures.pt")
found = torch.export.load("model.pt2").module()(*inputs)
assert len(found) == len(wanted) > 5
assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(found[:2], wanted[:2]))
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)


def test_lower_precision_is_smaller_and_leaves_decoding_as_it_is(
    network: Traced, onnx: Path, samples: list[Arrays], tmp_path: Path
) -> None:
    import onnx as library

    half, eight = tmp_path / "half.onnx", tmp_path / "eight.onnx"
    shutil.copy(onnx, half)
    shutil.copy(onnx, eight)
    precision.to_float16(half)
    precision.quantise_onnx(eight, samples)
    given = {name: tensor.numpy() for name, tensor in network.example(3).items()}
    wanted = open_runtime(onnx)(given)
    for path, allowed in ((half, 0.001), (eight, 0.05)):
        found = open_runtime(path)(given)
        for name in ("classification.probabilities", "detection.logits", "detection.sides"):
            scale = max(1.0, float(np.abs(wanted[name]).max()))
            assert 0 < np.abs(found[name] - wanted[name]).mean() / scale < allowed, (path.name, name)
        np.testing.assert_array_equal(found["detection.locations.points"], wanted["detection.locations.points"])
        assert found["detection.boxes"].dtype == np.float32
        # The boxes are those that the file's own raw outputs mean, in float32.
        assert (found["detection.boxes"] <= given["sizes"][:, None, [1, 0, 1, 0]]).all()
    weights = library.load(eight).graph.initializer
    assert sum(w.data_type == library.TensorProto.INT8 for w in weights) > 5
    assert information(onnx) == information(half)
    assert information(onnx).items() <= information(eight).items()


def test_eight_bits_in_openvino(
    network: Traced, onnx: Path, samples: list[Arrays], tmp_path: Path, aside: Pool
) -> None:
    path = tmp_path / "eight.xml"
    aside.apply(quantise, (onnx, path, samples))
    given = {name: tensor.numpy() for name, tensor in network.example(3).items()}
    wanted, found = open_runtime(onnx)(given), Elsewhere(path, aside)(given)
    for name in ("classification.probabilities", "detection.logits", "detection.sides"):
        scale = max(1.0, float(np.abs(wanted[name]).max()))
        assert 0 < np.abs(found[name] - wanted[name]).mean() / scale < 0.05, name
    np.testing.assert_array_equal(found["detection.locations.points"], wanted["detection.locations.points"])


def test_which_part_of_a_graph_is_the_network() -> None:
    nodes = {
        "scale": Node("Sub", ["", ""]),
        "body": Node("Conv", ["scale", ""]),
        "act": Node("Relu", ["body"]),
        "boxes": Node("Conv", ["act", ""]),
        "shift": Node("Add", ["boxes", "grid"]),
        "grid": Node("Mul", ["", ""]),
        "best": Node("TopK", ["shift"]),
        "crops": Node("RoiAlign", ["act", "best"]),
        "hidden": Node("Gemm", ["crops", ""]),
        "classes": Node("Gemm", ["hidden", ""]),
        "found": Node("Sigmoid", ["classes"]),
    }
    inside, last = network_part(nodes)
    assert inside == {"scale", "body", "act", "boxes", "crops", "hidden", "classes"}
    assert last == {"boxes", "classes"}


def test_suppression_in_plain_operators_keeps_the_same_boxes() -> None:
    generator = torch.Generator().manual_seed(0)
    for count, groups, threshold in ((1, 1, 0.5), (60, 3, 0.5), (200, 2, 0.3)):
        corner = 60 * torch.rand(3, count, 2, generator=generator)
        boxes = torch.cat([corner, corner + 30 * torch.rand(3, count, 2, generator=generator)], 2)
        scores = torch.rand(3, count, generator=generator)
        scores[0, count // 2 :] = -torch.inf
        scores[1] = -torch.inf
        label = torch.randint(0, groups, (3, count), generator=generator)
        wanted = suppress(boxes, scores, label, groups, threshold)
        assert torch.equal(suppress_in_torch(boxes, scores, label, groups, threshold), wanted)


@pytest.mark.parametrize("ending", [".onnx", ".xml", ".pt2"])
def test_a_damaged_file_is_named(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad{ending}"
    path.write_bytes(b"<net><layers>PK\x03\x04")
    with pytest.raises(CheckpointError, match=rf"model: .*bad\{ending} is damaged or no "):
        information(path)
    with pytest.raises(CheckpointError, match="which is no file"):
        information(tmp_path / f"none{ending}")
