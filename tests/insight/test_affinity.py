"""Task affinity: closed forms, gaps, files that survive a stop, and a run that stays as it is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests import tiny
from vjo_train.insight.affinity import Affinity
from vjo_train.insight.lookahead import affinity, lookahead
from vjo_train.report.affinity import Measured, read
from vjo_train.training.losses import StepLosses, step_losses
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch

BOTH = frozenset({"classes", "boxes"})


def test_on_quadratics_it_is_the_closed_form() -> None:
    """L_j = |theta - c_j|^2 / 2: after a step of task i, theta - c_j - eta (theta - c_i)."""
    theta = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64).float())
    centres = {"a": torch.tensor([0.0, 1.0, 1.0]), "b": torch.tensor([2.0, 0.0, -1.0])}

    def losses() -> StepLosses:
        per_image = {task: ((theta - centre) ** 2).sum()[None] / 2 for task, centre in centres.items()}
        return step_losses(per_image, {task: [True] for task in centres})

    theta.grad = torch.ones(3)
    kept, memory = theta.detach().clone(), theta.data_ptr()
    tasks, before, after = lookahead(losses, [theta], [0.1])
    found = affinity(before, after)
    for i, source in enumerate(tasks):
        moved = kept - 0.1 * (kept - centres[source])
        for j, target in enumerate(tasks):
            wanted = 1 - ((moved - centres[target]) ** 2).sum() / ((kept - centres[target]) ** 2).sum()
            assert float(found[i, j]) == pytest.approx(float(wanted), rel=1e-5)
    assert (found.diagonal() - (1 - 0.9**2)).abs().max() < 1e-6
    assert theta.data_ptr() == memory
    assert torch.equal(theta, kept)
    assert torch.equal(theta.grad, torch.ones(3))


def test_what_is_not_defined_is_a_gap() -> None:
    before, after = torch.tensor([0.0, 2.0]), torch.tensor([[1.0, math.inf], [0.0, 1.0]])
    assert affinity(before, after).isnan().tolist() == [[True, True], [True, False]]
    assert affinity(before, after)[1, 1] == 0.5


class Half(nn.BatchNorm2d):
    """Statistics and random draws: what looking must leave alone."""

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(input), 0.2, self.training)


def network() -> MultiTaskModule:
    module = tiny.module()
    stage = module.get_submodule("sharing.backbone.stages.0")
    assert isinstance(stage, nn.Sequential)
    stage.append(Half(8))
    return module


def fit(
    module: MultiTaskModule, batches: Sequence[Batch], folder: Path, *callbacks: pl.Callback, **options: Any
) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(module, DataLoader(list(batches), batch_size=None))  # type: ignore[arg-type]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_with_it_is_the_run_without_it(tmp_path: Path, accumulate: int) -> None:
    """Weights and statistics to the bit, with momentum, dropout, BatchNorm and accumulated gradients."""
    batches = [tiny.batch(step=step) for step in range(4)]
    looked, plain = network(), network()
    insight = Affinity(output=tmp_path, every=1)
    fit(looked, batches, tmp_path, insight, accumulate_grad_batches=accumulate)
    fit(plain, batches, tmp_path, accumulate_grad_batches=accumulate)
    assert [k for k, value in plain.state_dict().items() if not torch.equal(value, looked.state_dict()[k])] == []
    assert sorted({row.step for row in insight.measured}) == [0, 1, 2, 3]


def test_it_is_what_a_step_on_one_task_does(tmp_path: Path) -> None:
    """A second way to the same figures: the step by hand, on a copy of the network."""
    batch = tiny.batch()
    insight = Affinity(output=tmp_path, every=1)
    fit(tiny.module(), [batch], tmp_path, insight)

    def losses(module: MultiTaskModule) -> dict[str, Tensor]:
        return {task: module.head(task).loss(out, batch.targets).mean() for task, out in module(batch.images).items()}

    for row in insight.measured:
        module = tiny.module()
        before = losses(module)
        before[row.source].backward()
        with torch.no_grad():
            for p in module.sharing.shared_parameters():
                p -= 0.01 * p.grad if p.grad is not None else 0
        wanted = 1 - float(losses(module)[row.target].detach() / before[row.target].detach())
        assert row.affinity == pytest.approx(wanted, rel=0.02, abs=2e-6)
    by_pair = {(row.source, row.target): row.affinity for row in insight.measured}
    assert len(by_pair) == 4
    assert all(by_pair[task, task] > 0 for task in ("classification", "detection"))


def test_absent_tasks_leave_gaps_and_the_files_say_what_was_measured(tmp_path: Path) -> None:
    tasks = ("classification", "detection", "semantic")
    labels = [[BOTH] * 2, [frozenset({"classes"})] * 2, [tiny.ALL] * 2]
    batches = [tiny.batch(2, tasks=tasks, labelled=names, step=step) for step, names in enumerate(labels)]
    insight = Affinity(output=tmp_path, every=1)
    fit(tiny.module(tasks), batches, tmp_path, insight)
    counts = {step: sum(row.step == step for row in insight.measured) for step in range(3)}
    assert counts == {0: 4, 1: 0, 2: 9}
    content = json.loads((tmp_path / "affinity.json").read_text())
    assert content["tasks"] == list(tasks)
    assert content["measured"] == [[2, 2, 1], [2, 2, 1], [1, 1, 1]]
    assert insight.figures()["train/affinity/classification/detection"] == content["mean"][0][1]
    assert [row[:3] for row in read(tmp_path / "affinity.csv")] == [row[:3] for row in insight.measured]


def test_a_resumed_run_drops_what_comes_again_and_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "affinity.csv"
    path.write_text("step,source,target,affinity\n0,a,b,0.5\n2,a,b,0.25\n4,a,b,0.1")
    assert read(path) == [Measured(0, "a", "b", 0.5), Measured(2, "a", "b", 0.25)]
    module = tiny.module()
    module.batches = 2
    insight = Affinity(output=tmp_path, every=2)
    fit(module, [tiny.batch(step=2)], tmp_path, insight)
    assert [row.step for row in read(path)] == [0, 2, 2, 2, 2]


def test_under_a_schedule_of_one_task_at_a_time_there_is_nothing(tmp_path: Path) -> None:
    insight = Affinity(output=tmp_path, every=1)
    fit(tiny.module(), [tiny.batch(tasks=("detection",))], tmp_path, insight)
    assert insight.figures() == {}
    assert json.loads((tmp_path / "affinity.json").read_text())["mean"] == [[None, None], [None, None]]
