"""Tasks that few images are labelled for, on one rank and on two; and heads that train alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tests import tiny
from tests.processes import free_port, run_ranks
from tests.training.test_module import Snapshots, assert_same, fit, state
from vjo_train.optim.optimizers import SGD, AdamW
from vjo_train.training.module import MultiTaskModule
from vjo_train.training.strategy import SummedGradients
from vjo_train.types import Batch
from vjo_train.weighting.gradients import GradientWeighting
from vjo_train.weighting.pcgrad import PCGrad

TASKS = ("classification", "detection", "semantic", "instance")
BOXES = frozenset({"classes", "boxes"})


class Equal(GradientWeighting):
    """Weights of 1; keeps the tasks and the Gramian of every batch."""

    def __init__(self) -> None:
        super().__init__(tasks=TASKS)
        self.seen: list[tuple[tuple[str, ...], Tensor]] = []

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        self.seen.append((tuple(tasks), gramian))
        return torch.ones_like(values)


def test_one_labelled_image_in_a_hundred(tmp_path: Path) -> None:
    """Image 40 alone has masks: semantic and instance are in its batch only, and there alone their heads move."""
    weighting, snapshots, rare = Equal(), Snapshots(), 10
    batches = [
        tiny.batch(tasks=TASKS, labelled=[tiny.ALL if step == rare and i == 0 else BOXES for i in range(4)], step=step)
        for step in range(25)
    ]
    module = tiny.module(TASKS, weighting=weighting, optimizer=AdamW(lr=0.001, weight_decay=0.1))
    first = state(module)
    fit(module, batches, tmp_path, callbacks=[snapshots], gradient_clip_val=1.0)
    assert [tasks for tasks, _ in weighting.seen] == [TASKS if step == rare else TASKS[:2] for step in range(25)]
    assert all(bool((gramian.diagonal() > 0).all()) for _, gramian in weighting.seen)
    states = [first, *snapshots.states]
    for step, (before, after) in enumerate(pairwise(states)):
        assert all(bool(value.isfinite().all()) for name, value in after.items() if not name.startswith("weighting"))
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        moved = {name.split(".")[1] for name in changed if name.startswith("heads")}
        assert moved == set(TASKS if step == rare else TASKS[:2])


def ranked(rank: int | None, folder: Path) -> MultiTaskModule:
    """Three steps and a validation; only image 1 of each batch has masks, and it goes to rank 1. None: one process."""
    share = slice(None) if rank is None else slice(rank, None, 2)
    batches = []
    for step in range(4):
        whole = tiny.batch(tasks=TASKS, labelled=[BOXES, tiny.ALL, BOXES, BOXES], step=step)
        mine = [value[share] for value in (whole.images, whole.targets, whole.ids, whole.scales)]
        batches.append(Batch(*mine, tasks=TASKS, originals=whole.targets[share], step=step))  # type: ignore[arg-type]
    weighting = PCGrad(tasks=TASKS, seed=0)
    module = tiny.module(TASKS, weighting=weighting)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1 if rank is None else 2,
        strategy="auto" if rank is None else SummedGradients(process_group_backend="gloo"),
        use_distributed_sampler=False,
        max_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    loaders = [DataLoader(part, batch_size=None) for part in (batches[:3], batches[3:])]  # type: ignore[arg-type]
    trainer.fit(module, *loaders)
    return module


def worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    module = ranked(rank, Path(folder))
    torch.save((module.state_dict(), dict(module.trainer.callback_metrics)), f"{folder}/{rank}.pt")


def test_masks_on_one_rank_alone_give_the_result_of_one_process(tmp_path: Path) -> None:
    run_ranks(worker, free_port(), str(tmp_path))
    one = ranked(None, tmp_path)
    expected = dict(one.trainer.callback_metrics)
    assert "val/instance/loss" in expected
    for rank in (0, 1):
        weights, metrics = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in one.state_dict().items():
            torch.testing.assert_close(weights[name], value, atol=1e-6, rtol=1e-4, msg=name)
        assert metrics.keys() == expected.keys()
        for task in ("semantic", "instance"):
            for name in (f"train/{task}/loss_epoch", f"val/{task}/loss"):
                torch.testing.assert_close(metrics[name], expected[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("task", TASKS)
def test_one_head_alone_is_the_plain_loop_bit_for_bit(task: str, tmp_path: Path) -> None:
    """Both the network of this head alone and that of four heads, of which only this one is on."""
    batches = [tiny.batch(tasks=(task,), labelled=[tiny.ALL] * 4, step=step) for step in range(3)]
    for tasks in ((task,), TASKS):
        options: Any = {"weighting": PCGrad(tasks=tasks)} if tasks == TASKS else {}
        trained = fit(tiny.module(tasks, **options), batches, tmp_path)
        plain = tiny.module(tasks, **options)
        optimizer = SGD(lr=0.01, momentum=0.9, weight_decay=1e-2).build(plain)
        head = plain.head(task)
        for batch in batches:
            images = (batch.images - plain.mean) / plain.std
            loss = head.loss(head(plain.sharing(images, (task,)).tasks[task]), batch.targets).sum() / len(batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        moved = ("sharing", f"heads.{task}")
        assert_same(*({k: v for k, v in m.state_dict().items() if k.startswith(moved)} for m in (trained, plain)))
        untouched = {k: v for k, v in tiny.module(tasks).state_dict().items() if k.startswith("heads")}
        others = {k for k in untouched if not k.startswith(moved)}
        assert_same({k: trained.state_dict()[k] for k in others}, {k: untouched[k] for k in others})
