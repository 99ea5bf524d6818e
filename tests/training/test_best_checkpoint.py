"""The checkpoint that was best on val: by which sign, and in which folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from vjo_train.training.best_checkpoint import Kept, carry_best, checkpoint_callbacks
from vjo_train.training.early_stopping import Patience


@pytest.mark.parametrize("higher", [True, False])
def test_the_sign_is_that_of_the_metric(tmp_path: Path, higher: bool) -> None:
    best, last = checkpoint_callbacks(tmp_path, "val/depth/abs_rel", higher)
    assert (best.mode, last.monitor) == ("max" if higher else "min", None)
    patience = Patience("val/depth/abs_rel", 1, higher)
    assert bool(patience.monitor_op(torch.tensor(0.2), torch.tensor(0.1))) is higher


def test_the_best_so_far_goes_along_into_another_folder(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "checkpoints").mkdir(parents=True)
    (old / "checkpoints/best.ckpt").write_text("weights")
    first = checkpoint_callbacks(old, "val/monitor")[0]
    path = str(old / "checkpoints/best.ckpt")
    first.best_model_path = first.kth_best_model_path = path
    first.best_k_models, first.best_model_score = {path: torch.tensor(0.7)}, torch.tensor(0.7)
    state = first.state_dict()
    second = checkpoint_callbacks(new, "val/monitor")[0]
    carry_best([second], old / "checkpoints/last.ckpt", new, write=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.load_state_dict(state)
    here = str(new / "checkpoints/best.ckpt")
    assert Path(here).read_text() == "weights"
    assert (second.best_model_path, float(second.best_model_score or 0)) == (here, pytest.approx(0.7))
    assert list(second.best_k_models) == [here]
    assert Path(path).is_file(), "the old run stays as it was"


def test_a_run_without_a_best_checkpoint_takes_none_along(tmp_path: Path) -> None:
    callback = checkpoint_callbacks(tmp_path / "new", "val/monitor")[0]
    carry_best([callback], tmp_path / "old/checkpoints/last.ckpt", tmp_path / "new", write=True)
    assert isinstance(callback, Kept)
    assert not callback.carried
