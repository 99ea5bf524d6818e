"""A training step, a resumed one and an export with each kind of backbone, on a canvas that is no square."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from tests.config.test_conf import compose
from tests.tiny import batch
from tests.training.test_module import fit, state
from vjo_train.config import build
from vjo_train.errors import CheckpointError
from vjo_train.inference import onnx_file
from vjo_train.inference.export import Wanted, export
from vjo_train.inference.exporting.traced import Traced
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch

CANVAS = (64, 96)
KINDS = {
    "timm": ["backbone=timm", "backbone.name=test_convnext"],
    "channels_last": ["backbone=timm", "backbone.name=test_mambaout"],
    "vit": ["backbone=vit", "backbone.name=test_vit"],
    "dilated": ["backbone=resnet50", "backbone.output_stride=16", "backbone.norm=batch"],
}


def network(kind: str, *more: str) -> MultiTaskModule:
    if kind != "dilated":
        pytest.importorskip("timm")
    semantic = "semantic_deeplab" if kind == "dilated" else "semantic"
    torch.manual_seed(0)
    options = ["neck.channels=16", "heads.semantic.width=16", "trainer.channels_last=true"]
    return build.model(
        compose(*KINDS[kind], f"heads=[classification,{semantic}]", "dataset.classes=[a,b,c]", *options, *more)
    )


def step(number: int = 0) -> Batch:
    return batch(
        2, tasks=("classification", "semantic"), labelled=[frozenset({"classes", "semantic"})] * 2, step=number
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_moves_every_parameter_of_the_backbone_that_a_head_reads(kind: str, tmp_path: Path) -> None:
    module = network(kind, "optimizer=adamw", "lr_schedule=constant")
    before = state(module)
    after = state(fit(module, [step()], tmp_path))
    read = {name for name, _ in module.named_parameters() if "backbone" in name and ".pyramid.c2." not in name}
    assert read
    assert not {name for name in read if torch.equal(before[name], after[name])}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_export_gives_the_same_figures(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    module = network(kind).eval()
    backbone, file = module.sharing.backbone, tmp_path / "network.onnx"
    own = OmegaConf.create({"dataset": {"classes": []}})
    said = onnx_file.metadata(own, backbone.channels, backbone.strides, 1, "float32", False)
    export(Traced(module, module.tasks, CANVAS, decoded=True), Wanted(file, "onnx", "float32", said, 1e-3, 1), None)
    assert onnx_file.load_pyramid(file) == (backbone.channels, backbone.strides)


@pytest.mark.parametrize("kind", ["timm", "vit"])
def test_a_run_with_layer_decay_goes_on_to_the_same_weights_and_with_no_other(kind: str, tmp_path: Path) -> None:
    import pytorch_lightning as pl

    def go(folder: str, layer_decay: float, epochs: int, resume: Any = None) -> MultiTaskModule:
        keys = ["optimizer=adamw", f"optimizer.layer_decay={layer_decay}", "lr_schedule=constant"]
        keep = pl.callbacks.ModelCheckpoint(dirpath=tmp_path / folder, filename="end", enable_version_counter=False)
        module = network(kind, *keys)
        return fit(module, [step(0), step(1)], tmp_path, max_epochs=epochs, callbacks=[keep], resume=resume)

    straight = state(go("straight", 0.7, 2))
    go("first", 0.7, 1)
    resumed = state(go("second", 0.7, 2, tmp_path / "first" / "end.ckpt"))
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name
    for other in (0.9, 1.0):
        with pytest.raises(CheckpointError, match=r"other learning rates|another optimizer"):
            go("third", other, 2, tmp_path / "first" / "end.ckpt")
