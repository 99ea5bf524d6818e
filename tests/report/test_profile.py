"""What `trainer.profile` writes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from tests import tiny
from vjo_train.report.profile import FIRST, STEPS, Profile, parts, parts_table


def test_the_steps_parts_are_taken_apart() -> None:
    durations = {
        "[_TrainingEpochLoop].train_dataloader_next": [1.0, 3.0],
        "[Strategy]SingleDeviceStrategy.batch_to_device": [0.5],
        "[Strategy]SingleDeviceStrategy.training_step": [2.0, 2.0],
        "[Strategy]SingleDeviceStrategy.backward": [3.0, 3.0],
        "[LightningModule]MultiTaskModule.optimizer_step": [6.0, 6.5],
        "[LightningModule]MultiTaskModule.backward": [2.9, 2.9],
        "[Strategy]SingleDeviceStrategy.validation_step": [1.0],
        "run_training_batch": [7.0, 7.5],
    }
    known = parts(durations)
    assert known["data wait"] == (2, 4.0)
    assert known["forward and losses"] == (2, 4.0)
    assert known["backward and weighting"] == (2, 6.0)
    assert known["optimizer"] == (2, 2.5)
    assert "23.5%" in parts_table({"one": (1, 23.5), "other": (2, 76.5)})


def test_a_training_leaves_parts_operators_and_a_trace(tmp_path: Path) -> None:
    profile = Profile(tmp_path / "profile")
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[profile],
        profiler=profile.actions,
    )
    batches = [tiny.batch(2, step=step) for step in range(FIRST + STEPS)]
    trainer.fit(tiny.module(), DataLoader(batches, batch_size=None))
    lines = (tmp_path / "profile/parts.txt").read_text().splitlines()
    assert [line.split("  ")[0] for line in lines[1:3]] == ["data wait", "copy to the device"]
    assert all(int(line[24:32]) == FIRST + STEPS for line in lines[1:] if not line.startswith("validation"))
    operators = (tmp_path / "profile/operators.txt").read_text()
    assert "aten::" in operators
    events = json.loads(gzip.decompress((tmp_path / "profile/trace.json.gz").read_bytes()))["traceEvents"]
    for name in ("shared features", "head: detection", "loss: classification", "backward and weighting", "weights"):
        assert sum(event.get("name") == name for event in events) >= STEPS, name
    assert "run_training_batch" in (tmp_path / "profile/fit-lightning.txt").read_text()
