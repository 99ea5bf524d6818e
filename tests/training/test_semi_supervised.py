"""Images that lack labels in the training step."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from tests import tiny
from tests.processes import free_port, run_ranks
from tests.training.test_module import fit, state
from tests.training.test_run import assert_same_run, rows, stop_after, train
from vjo_train.errors import ConfigError
from vjo_train.runs.results import read_results
from vjo_train.semi.mean_teacher import MeanTeacher
from vjo_train.training.module import MultiTaskModule
from vjo_train.training.strategy import SummedGradients
from vjo_train.types import Batch
from vjo_train.weighting.pcgrad import PCGrad

TASKS = ("classification", "detection", "semantic", "instance")
KINDS = [tiny.ALL, frozenset({"classes", "boxes"})]


def batches(count: int, labelled: list[frozenset[str]] | None = None) -> list[Batch]:
    """Two images with labels and three that lack some; of the last one every label is withheld."""
    made = []
    for step in range(count):
        extra = tiny.batch(3, tasks=TASKS, labelled=[KINDS[1], frozenset(), tiny.ALL], step=step, seed=7)
        extra.hidden = {task: [False, False, True] for task in TASKS}
        made.append(replace(tiny.batch(2, tasks=TASKS, labelled=labelled or KINDS, step=step), unlabelled=extra))
    return made


def module(teacher: MeanTeacher | None) -> MultiTaskModule:
    made = tiny.module(TASKS, weighting=PCGrad(tasks=TASKS, seed=0))
    made.semi = teacher
    return made


def test_a_teacher_that_knows_nothing_adds_nothing(tmp_path: Path) -> None:
    """An untrained teacher is sure of nothing: every weight is as without one."""
    plain, taught = module(None), module(MeanTeacher(sure=dict.fromkeys(TASKS, 0.999), ramp_up=0))
    for one in (plain, taught):
        fit(one, batches(3), tmp_path)
    for name, value in state(taught).items():
        torch.testing.assert_close(value, state(plain)[name], atol=1e-6, rtol=1e-5, msg=name)
    logged = taught.trainer.callback_metrics
    assert [float(logged[f"train/{task}/taught"]) for task in TASKS] == [0, 0, 0, 0]


def joined(factor: float, sure: float) -> tuple[MultiTaskModule, Batch, Batch]:
    made = module(MeanTeacher(weight=factor, ramp_up=0, sure=dict.fromkeys(TASKS, sure)))
    made.on_fit_start()
    made._trainer = SimpleNamespace(global_step=0, estimated_stepping_batches=1, global_rank=0)  # type: ignore
    made.log = lambda *_, **__: None  # type: ignore
    (batch,) = batches(1)
    assert batch.unlabelled is not None
    assert made.semi is not None
    return made, batch, made.with_taught(batch, batch.unlabelled, made.semi)


def test_the_loss_is_that_of_the_labels_and_the_factor_times_that_of_the_teacher() -> None:
    """To the mean over the labelled images comes the sum over the taught ones by the number that lack the label."""
    made, batch, whole = joined(0.3, 0.02)
    assert len(whole) == 5
    assert torch.equal(whole.images[:2], batch.images)
    losses = made._losses(whole, made.share(whole.images, TASKS))
    lacking = {"classification": 2, "detection": 2, "semantic": 3, "instance": 3}
    count = 0
    for task in TASKS:
        head = made.head(task)
        outputs = head(made.share(whole.images, (task,)).tasks[task])
        each = head.loss(outputs, whole.taught[task])
        flags = [head.labelled(one) for one in whole.taught[task]]
        real = each[:2].sum() / sum(flags[:2])
        expected = real + 0.3 * each[2:].sum() / lacking[task]
        torch.testing.assert_close(losses.values[task], expected.detach(), atol=1e-5, rtol=1e-5)
        assert not flags[2] or task not in ("classification", "detection")  # labelled by itself
        count += sum(flags[2:])
    assert count >= 4


def test_withheld_labels_are_compared_and_never_learned() -> None:
    _, batch, whole = joined(1.0, 0.02)
    extra = batch.unlabelled
    assert extra is not None
    truth = extra.targets[2]["boxes"]
    taught = whole.taught["detection"][4]
    assert "boxes" not in taught or not torch.equal(taught["boxes"].xyxy, truth.xyxy)
    assert whole.targets[4].labelled == frozenset()


def test_a_part_of_the_batch_keeps_its_labels_and_factors() -> None:
    _, _, whole = joined(1.0, 0.02)
    part = whole.first(3)
    assert part.taught["semantic"] == whole.taught["semantic"][:3]
    assert torch.equal(part.loss_weights["detection"], whole.loss_weights["detection"][:3])


def ranked(rank: int | None, folder: Path) -> MultiTaskModule:
    """Three steps; two labelled and four other images each, shared out by twos. None: one process."""
    made = module(MeanTeacher(strength=0.0, ramp_up=0, sure=dict.fromkeys(TASKS, 0.02)))
    parts = []
    for whole in batches(3):
        assert whole.unlabelled is not None
        more = tiny.batch(4, tasks=TASKS, labelled=[KINDS[1], frozenset(), tiny.ALL, tiny.ALL], step=whole.step, seed=7)
        more.hidden = {task: [False, False, True, False] for task in TASKS}
        share = slice(None) if rank is None else slice(rank, None, 2)
        parts.append(replace(whole.part(share), unlabelled=more.part(share)))
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1 if rank is None else 2,
        strategy="auto" if rank is None else SummedGradients(process_group_backend="gloo"),
        use_distributed_sampler=False,
        max_epochs=1,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(made, DataLoader(parts, batch_size=None))  # type: ignore[arg-type]
    return made


def worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    made = ranked(rank, Path(folder))
    torch.save((made.state_dict(), dict(made.trainer.callback_metrics)), f"{folder}/{rank}.pt")


def test_two_ranks_with_a_teacher_give_the_result_of_one_process(tmp_path: Path) -> None:
    run_ranks(worker, free_port(), str(tmp_path))
    one = ranked(None, tmp_path)
    expected = dict(one.trainer.callback_metrics)
    assert float(expected["train/detection/taught"]) > 0
    for rank in (0, 1):
        weights, metrics = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in one.state_dict().items():
            torch.testing.assert_close(weights[name], value, atol=1e-6, rtol=1e-4, msg=name)
        for name in [name for name in expected if "/taught" in name]:
            torch.testing.assert_close(metrics[name], expected[name], atol=1e-5, rtol=1e-4, msg=name)


FEW = ["dataset.labels={classification:3,detection:1}", "semi=mean_teacher", "semi.sure={classification:0.5}"]
ALTERNATING = ["schedule=alternating", "trainer.accumulate_grad_batches=2", "dataset.workers=2"]


@pytest.mark.parametrize("extra", [[], ALTERNATING])
def test_a_run_with_a_teacher_goes_on_bit_equal(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path, extra: list[str]
) -> None:
    """Three and one labelled images, the others taught; stopped inside an epoch."""
    cut = tmp_path / "cut"
    stop_after(5, cache, cut, *FEW, *extra)
    train(cache, cut, "trainer.resume=auto", *FEW, *extra)
    whole = undisturbed(*FEW, *extra)
    assert_same_run(whole, cut)
    results = read_results(whole / "results.json")
    assert results.counts["train"] == {"images": 14, "classification": 3, "detection": 1}
    assert "train/detection/taught" in rows(whole)[-1]
    assert "Images without labels" in (whole / "report.html").read_text()
    saved = [torch.load(run / "checkpoints/last.ckpt", weights_only=True)["teacher"] for run in (whole, cut)]
    assert saved[0]["steps"] == saved[1]["steps"] > 0
    for name, value in saved[0]["network"].items():
        assert torch.equal(value, saved[1]["network"][name]), name


def test_nothing_to_learn_without_labels(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="semi: each of the 14 training images is labelled for classification, det"):
        train(cache, tmp_path, "semi=mean_teacher")
