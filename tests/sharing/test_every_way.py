"""What must hold for every way of sharing: under schedules, weightings, precision, accumulation and a resume."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from tests import tiny
from tests.sharing.ways import ALL, BUILD, DENSE, LABELLED, NO_BATCH_NORM, THREE, parameters_of
from tests.training.test_module import Snapshots, assert_same, fit, state
from vjo_train.optim.optimizers import SGD, AdamW
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch
from vjo_train.weighting.graddrop import GradDrop
from vjo_train.weighting.gradients import GradientWeighting
from vjo_train.weighting.meta import MetaWeighting

WAYS = sorted(BUILD)


class Ones(GradientWeighting):
    """All the machinery of a gradient method, with weights 1: the update of equal weighting."""

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return torch.ones(len(tasks), dtype=torch.float64)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("way", WAYS)
def test_all_heads_train_from_partial_labels_and_predict(way: str, precision: Any, tmp_path: Path) -> None:
    module = tiny.module(ALL, sharing=BUILD[way], channels_last=True, optimizer=AdamW(lr=0.001))
    before = state(module)
    batches = [tiny.batch(tasks=ALL, labelled=LABELLED, step=step) for step in range(2)]
    fit(module, batches, tmp_path, precision=precision)
    after = state(module)
    assert all(value.isfinite().all() for value in after.values())
    still = {name for name in before if name.startswith("sharing.") and torch.equal(before[name], after[name])}
    # All but p6 and p7 of a task's own neck, if its head reads neither.
    assert not {name for name in still if "extra_blocks" not in name}
    with torch.no_grad():
        predictions = module.eval().predict(batches[0])
    assert {task: len(found) for task, found in predictions.items()} == dict.fromkeys(ALL, 4)


@pytest.mark.parametrize("way", WAYS)
def test_a_step_of_one_task_leaves_all_that_is_another_s_bit_identical(way: str, tmp_path: Path) -> None:
    batches = [*(tiny.batch(step=step) for step in range(2)), tiny.batch(tasks=("detection",), step=2)]
    snapshots = Snapshots()
    module = tiny.module(sharing=BUILD[way], optimizer=AdamW(lr=0.01, weight_decay=0.1))
    fit(module, batches, tmp_path, callbacks=[snapshots])
    before, after = snapshots.states[-2:]
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert not parameters_of("classification", changed)
    assert parameters_of("detection", changed) == parameters_of("detection", after)


@pytest.mark.parametrize("way", WAYS)
def test_gradient_methods_with_weights_one_are_equal_weighting(way: str, tmp_path: Path) -> None:
    """Nothing is counted twice or left out: heads, branches, losses of the sharing; also at the features."""
    batches = [tiny.batch(tasks=THREE, labelled=LABELLED, step=step) for step in range(2)]
    make = partial(tiny.module, THREE, sharing=BUILD[way])
    plain = fit(make(), batches, tmp_path)
    ats: tuple[Any, ...] = ("parameters", "features", "last_shared")
    for at in ats:
        other = fit(make(weighting=Ones(tasks=THREE, at=at)), batches, tmp_path)
        assert_close(other, plain)


@pytest.mark.parametrize("way", WAYS)
def test_elementwise_methods_train(way: str, tmp_path: Path) -> None:
    module = tiny.module(sharing=BUILD[way], weighting=GradDrop(tasks=("classification", "detection"), seed=0))
    fit(module, [tiny.batch(step=step) for step in range(2)], tmp_path)
    assert all(p.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("tasks", [THREE, ("semantic",)], ids=["joint", "alternating"])
@pytest.mark.parametrize("way", WAYS)
def test_images_are_weighted_by_what_helps_held_out_ones(way: str, tasks: Sequence[str], tmp_path: Path) -> None:
    """The first batch trains with weights of 1, and all that is beside it leaves no trace but what is learned."""
    batch = tiny.batch(tasks=tasks, labelled=LABELLED)
    batch.meta = tiny.batch(tasks=THREE, labelled=LABELLED, seed=1)
    weighting = MetaWeighting(tasks=THREE, channels=16, virtual_lr=1e-4)
    before = weighting.learned.clone()
    looked = fit(tiny.module(THREE, sharing=BUILD[way], weighting=weighting), [batch], tmp_path)
    plain = fit(tiny.module(THREE, sharing=BUILD[way]), [batch], tmp_path)
    assert_close(looked, plain)
    for (name, a), b in zip(plain.sharing.named_buffers(), looked.sharing.buffers(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(before, weighting.learned)


@pytest.mark.parametrize("way", WAYS)
def test_accumulated_batches_are_one_batch(way: str, tmp_path: Path) -> None:
    whole = tiny.batch(tasks=THREE, labelled=DENSE)
    halves = [part(whole, slice(0, 2), 0), part(whole, slice(2, 4), 1)]
    make = partial(tiny.module, THREE, sharing=NO_BATCH_NORM[way], optimizer=SGD(lr=0.01, momentum=0.9))
    a = fit(make(), halves * 2, tmp_path, accumulate_grad_batches=2)
    b = fit(make(), [whole] * 2, tmp_path)
    assert_close(a, b)


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_run_is_bit_equal(way: str, tmp_path: Path) -> None:
    batches = [tiny.batch(step=step) for step in range(2)]
    keep = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    make = partial(tiny.module, sharing=BUILD[way], optimizer=AdamW(lr=0.01))
    whole = fit(make(), batches, tmp_path, max_epochs=2, callbacks=[keep])
    rest = fit(make(seed=1), batches, tmp_path, max_epochs=2, resume=tmp_path / "epoch=0.ckpt")
    assert rest.trainer.global_step == 4
    assert_same(state(whole), state(rest))


@pytest.mark.parametrize("way", WAYS)
def test_evaluation_asks_for_no_losses_and_draws_no_graph_past_what_is_read(way: str) -> None:
    module = tiny.module(sharing=BUILD[way]).eval()
    shared = module.sharing(torch.randn(2, 3, 64, 64), ("detection",))
    assert set(shared.tasks) == {"detection"}
    assert set(module.head("detection").levels) <= set(shared.tasks["detection"])
    assert not shared.auxiliary
    assert not shared.figures


def part(batch: Batch, share: slice, step: int) -> Batch:
    """Some of a batch's images as a batch of their own."""
    targets = batch.targets[share]
    return Batch(batch.images[share], targets, batch.ids[share], batch.scales[share], batch.tasks, targets, step)


def assert_close(a: MultiTaskModule, b: MultiTaskModule, atol: float = 2e-6) -> None:
    for name, p in b.named_parameters():
        torch.testing.assert_close(a.get_parameter(name), p, atol=atol, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
