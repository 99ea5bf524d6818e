"""A head whose three losses are three tasks of the weighting, in the training step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tests import tiny
from tests.training.test_module import Snapshots, fit
from vjo_train.types import Batch
from vjo_train.weighting.fixed import FixedWeighting
from vjo_train.weighting.mgda import MGDA

TASKS = ("classification", "instance")
NAMES = ("classification", "instance/box", "instance/mask", "instance/category")


def batch(step: int = 0, tasks: tuple[str, ...] = TASKS) -> Batch:
    return tiny.batch(tasks=tasks, labelled=[tiny.ALL] * 4, step=step)


class Logged(pl.Callback):
    """What was logged at each step."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self.metrics.append(dict(trainer.callback_metrics))


def test_equal_weights_give_the_undivided_run(tmp_path: Path) -> None:
    batches = [batch(step) for step in range(3)]
    parts = fit(tiny.module(TASKS, split=True), batches, tmp_path)
    whole = fit(tiny.module(TASKS), batches, tmp_path)
    for (name, a), b in zip(parts.named_parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=name)


def test_parts_are_logged_and_weighted_by_name(tmp_path: Path) -> None:
    lambdas = {"instance/box": 2.0, "instance/mask": 0.0, "classification": 0.5}
    module = tiny.module(TASKS, split=True, weighting=FixedWeighting(tasks=NAMES, lambdas=lambdas))
    logged = Logged()
    fit(module, [batch()], tmp_path, callbacks=[logged])
    found = {name: float(logged.metrics[0][f"train/{name}/weight"]) for name in NAMES}
    assert found == {"instance/category": 1.0, **lambdas}
    parts = [float(logged.metrics[0][f"train/instance/{part}/loss"]) for part in ("box", "mask", "category")]
    plain = tiny.module(TASKS)
    head = plain.head("instance")
    known = batch()
    loss = head.loss(plain(known.images, ("instance",))["instance"], known.targets).mean()
    assert sum(parts) == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("at", ["parameters", "features"])
def test_other_tasks_leave_the_whole_head_alone(at: str, tmp_path: Path) -> None:
    """Also what its three losses train together, which the weighting treats as shared."""
    weighting = MGDA(tasks=NAMES, at=at)  # type: ignore[arg-type]
    batches = [batch(0), batch(1), batch(2, ("classification",))]
    snapshots = Snapshots()
    fit(tiny.module(TASKS, split=True, weighting=weighting), batches, tmp_path, callbacks=[snapshots])
    first, second, third = snapshots.states
    moved = [{key for key in a if not torch.equal(a[key], b[key])} for a, b in ((first, second), (second, third))]
    head = {key for key in first if key.startswith("heads.instance")}
    assert any(key.startswith("heads.instance.mask_branch") for key in moved[0])
    assert not head & moved[1]
    assert any(key.startswith("sharing.backbone") for key in moved[1])
