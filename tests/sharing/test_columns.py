"""Columns of a cross-stitch network that start from single-task runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from vjo_train.config import build
from vjo_train.errors import CheckpointError, ConfigError, VjoError

SMALL = ("backbone=resnet10", "neck.channels=16", "heads.detection.depth=1")
PAIR = ("classification", "detection")
STITCHED = ("sharing=cross_stitch", "sharing.own_share=1")


def config(*overrides: str, small: Sequence[str] = SMALL) -> DictConfig:
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        return compose("train", [*small, *overrides])


def run(folder: Path, task: str, *overrides: str, checkpoint: bool = True) -> Path:
    """What a run of one task leaves, with random weights."""
    small = SMALL if task == "detection" else SMALL[:2]
    cfg = config(f"heads=[{task}]", *overrides, small=small)
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(cfg, folder / ".hydra" / "config.yaml")
    (folder / "checkpoints").mkdir()
    if checkpoint:
        torch.save({"state_dict": build.model(cfg).state_dict(), "batches": 1}, folder / "checkpoints" / "best.ckpt")
    return folder


def from_runs(**folders: Path) -> str:
    return f"sharing.columns_from={{{','.join(f'{task}:{folder}' for task, folder in folders.items())}}}"


def test_columns_and_heads_are_those_of_the_runs(tmp_path: Path) -> None:
    """With identity units, what the single-task runs compute; the third task starts from the backbone."""
    folders = {task: run(tmp_path / task, task) for task in PAIR}
    cfg = config("heads=[classification,detection,semantic]", *STITCHED, from_runs(**folders))
    module = build.model(cfg).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    build.start_columns(module, cfg)
    for task, folder in folders.items():
        alone = build.model(OmegaConf.load(folder / ".hydra" / "config.yaml")).eval()
        alone.load_state_dict(torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"])
        found, wanted = (m.sharing(images.float(), (task,)).tasks[task] for m in (module, alone))
        assert all(torch.equal(found[level], wanted[level]) for level in module.head(task).levels)
        for key, value in alone.head(task).state_dict().items():
            assert torch.equal(module.head(task).state_dict()[key], value)
    after = module.state_dict()
    kept = ("sharing.backbone.2.", "sharing.necks.semantic.", "heads.semantic.", "sharing.units.")
    assert all(torch.equal(before[key], after[key]) for key in after if key.startswith(kept))


MISFITS: list[tuple[tuple[str, ...], str, type[VjoError]]] = [
    (("backbone=resnet18",), r"with backbone.name=resnet18; must be resnet10\.", ConfigError),
    (("backbone.norm=group",), r"with backbone.norm=group; must be batch\.", ConfigError),
    (("sharing=cross_stitch",), r"with sharing=.*CrossStitch; must be .*HardSharing\.", ConfigError),
    (("heads=[detection,semantic]",), r"heads=\['detection', 'semantic'\]; must be \['detection'\]\.", ConfigError),
    (
        ("heads.detection.depth=2",),
        r"is of another network: heads\.detection\..* is not in this network",
        CheckpointError,
    ),
    (("neck.channels=32",), r"is of another network: sharing\.neck\..* is \(32,.*, here \(16,", CheckpointError),
]


@pytest.mark.parametrize(("overrides", "message", "kind"), MISFITS, ids=[" ".join(words) for words, *_ in MISFITS])
def test_a_run_that_does_not_fit_is_named_with_what_differs(
    overrides: Any, message: str, kind: type[VjoError], tmp_path: Path
) -> None:
    folder = run(tmp_path / "detection", "detection", *overrides)
    cfg = config(*STITCHED, from_runs(detection=folder))
    with pytest.raises(kind, match=message):
        build.start_columns(build.model(cfg), cfg)


def test_a_run_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "detection", "detection", checkpoint=False)
    cfg = config(*STITCHED, from_runs(detection=folder))
    with pytest.raises(CheckpointError, match=r"sharing.columns_from.detection: no best or last checkpoint in"):
        build.start_columns(build.model(cfg), cfg)


def test_gradients_at_the_features_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"weighting.at: found features, where .* never meet under CrossStitch"):
        build.model(config(*STITCHED, "weighting=pcgrad", "weighting.at=features"))
