"""The training step: who is moved by which task, and what stays the same under Lightning's features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from tests import tiny
from vjo_train.errors import NumericsError
from vjo_train.optim.optimizers import SGD, AdamW
from vjo_train.training.module import MultiTaskModule, all_finite
from vjo_train.types import Batch
from vjo_train.weighting.base import TaskLosses, Weighting
from vjo_train.weighting.dwa import DWA
from vjo_train.weighting.equal import EqualWeighting
from vjo_train.weighting.fixed import FixedWeighting
from vjo_train.weighting.uncertainty import Uncertainty

BOTH = ("classification", "detection")


def fit(module: MultiTaskModule, batches: Sequence[Batch], folder: Path, **flags: Any) -> MultiTaskModule:
    """Trains on `batches`, one after another, in each epoch; goes on from the checkpoint `resume`."""
    callbacks = list(flags.pop("callbacks", []))
    resume = flags.pop("resume", None)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=flags.pop("max_epochs", 1),
        logger=False,
        enable_checkpointing=any(isinstance(callback, pl.callbacks.Checkpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=callbacks,
        **flags,
    )
    loader: DataLoader[Batch] = DataLoader(list(batches), batch_size=None, shuffle=False)  # type: ignore[arg-type]
    trainer.fit(module, loader, ckpt_path=resume, weights_only=True)
    return module


class Snapshots(pl.Callback):
    """The network after each step."""

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        self.states.append(state(pl_module))


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


def test_the_step_is_that_of_plain_pytorch(tmp_path: Path) -> None:
    batches = [tiny.batch(step=step) for step in range(3)]
    trained = fit(tiny.module(weighting=FixedWeighting(tasks=BOTH, lambdas={"classification": 0.5})), batches, tmp_path)
    plain = tiny.module()
    optimizer = SGD(lr=0.01, momentum=0.9, weight_decay=1e-2).build(plain)
    for batch in batches:
        outputs = plain(batch.images)
        losses = {task: plain.head(task).loss(output, batch.targets).mean() for task, output in outputs.items()}
        optimizer.zero_grad()
        (0.5 * losses["classification"] + losses["detection"]).backward()
        optimizer.step()
    for (name, a), b in zip(trained.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1, momentum=0.9, weight_decay=0.1), AdamW(lr=0.01, weight_decay=0.1)])
def test_a_step_of_one_task_leaves_the_other_head_bit_identical(optimizer: SGD | AdamW, tmp_path: Path) -> None:
    # Two joint steps first, so that momentum and moments are not zero.
    batches = [*(tiny.batch(step=step) for step in range(2)), tiny.batch(tasks=("detection",), step=2)]
    snapshots = Snapshots()
    fit(tiny.module(optimizer=optimizer), batches, tmp_path, callbacks=[snapshots])
    before, after = snapshots.states[-2:]
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert not any(key.startswith("heads.classification") for key in changed)
    assert any(key.startswith("heads.detection") for key in changed)
    assert any(key.startswith("sharing.backbone") for key in changed)


def test_a_task_that_no_image_is_labelled_for_moves_nothing_of_its_own(tmp_path: Path) -> None:
    module = tiny.module()
    before = state(module)
    fit(module, [tiny.batch(labelled=[frozenset({"classes"})] * 4)], tmp_path)
    after = state(module)
    assert_same(*({k: v for k, v in s.items() if k.startswith("heads.detection")} for s in (before, after)))
    assert not any(torch.isnan(value).any() for value in after.values())
    assert "train/detection/loss" not in module.trainer.callback_metrics


def test_unlabelled_images_do_not_count(tmp_path: Path) -> None:
    """The detection loss of a batch with two labelled images is that of these two alone."""
    names = [frozenset({"classes", "boxes"})] * 2 + [frozenset({"classes"})] * 2
    whole = tiny.batch(labelled=names)
    half = Batch(whole.images[:2], whole.targets[:2], whole.ids[:2], whole.scales[:2], ("detection",), step=0)
    a = fit(tiny.module(), [Batch(**{**vars(whole), "tasks": ("detection",)})], tmp_path)
    b = fit(tiny.module(), [half], tmp_path)
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-7, rtol=1e-5, msg=name)


def test_accumulated_batches_are_one_batch(tmp_path: Path) -> None:
    halves = [tiny.batch(size=2, step=step) for step in range(2)]
    whole = Batch(
        torch.cat([h.images for h in halves]),
        [t for h in halves for t in h.targets],
        [i for h in halves for i in h.ids],
        torch.cat([h.scales for h in halves]),
        BOTH,
        step=0,
    )
    a = fit(tiny.module(), halves, tmp_path, accumulate_grad_batches=2, gradient_clip_val=0.1)
    b = fit(tiny.module(), [whole], tmp_path, gradient_clip_val=0.1)
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("weighting", [None, DWA(tasks=("classification",))])
def test_one_head_is_the_same_run_whatever_the_weighting(weighting: Weighting | None, tmp_path: Path) -> None:
    tasks = ("classification",)
    batches = [tiny.batch(tasks=tasks, step=step) for step in range(2)]
    a = fit(tiny.module(tasks, weighting=weighting), batches, tmp_path, max_epochs=3)
    b = fit(tiny.module(tasks), batches, tmp_path, max_epochs=3)
    keep = {key for key in b.state_dict() if not key.startswith("weighting")}
    assert_same({k: a.state_dict()[k] for k in keep}, {k: b.state_dict()[k] for k in keep})


class Probe(EqualWeighting):
    """Trains like `equal`, and looks at everything else that a step offers."""

    meta_tasks = ("detection",)

    def backward(self, step: TaskLosses) -> dict[str, torch.Tensor]:
        assert step.images is not None
        assert step.meta is not None
        self.first, self.second, self.trained = step.images.again(), step.images.again(), step.images.losses
        self.shares = {t: (step.images.shares[:, k] * self.trained[t]).sum() for k, t in enumerate(step.tasks)}
        self.losses, self.held_out = step.losses, (step.meta(), step.meta())
        assert step.images.summary is not None
        assert not step.images.summary.requires_grad
        return super().backward(step)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_forwards_beside_the_step_change_nothing_and_draw_the_same(precision: str, tmp_path: Path) -> None:
    """With dropout and BatchNorm; labels are partial, and the batch of held-out images is another."""

    def network(weighting: Weighting) -> MultiTaskModule:
        module = tiny.module(weighting=weighting)
        dropout = module.get_submodule("heads.classification.dropout")
        assert isinstance(dropout, torch.nn.Dropout)
        dropout.p = 0.5
        stage = module.get_submodule("sharing.backbone.stages.0")
        assert isinstance(stage, torch.nn.Sequential)
        stage.append(torch.nn.BatchNorm2d(8))
        return module

    def batches() -> list[Batch]:
        names = [frozenset({"classes", "boxes"})] * 3 + [frozenset({"classes"})]
        batches = [tiny.batch(labelled=names, step=step) for step in range(2)]
        for batch in batches:
            batch.meta = tiny.batch(tasks=("detection", "classification"), seed=1, step=batch.step)
        return batches

    probe = Probe(tasks=BOTH)
    looked = fit(network(probe), batches(), tmp_path, precision=precision)
    plain = fit(network(EqualWeighting(tasks=BOTH)), batches(), tmp_path, precision=precision)
    # Some libraries' bfloat16 gradient of a convolution of one cell is not the same from run to run.
    kept = [key for key in state(plain) if not key.startswith("weighting") and "p7" not in key]
    assert_same(*({key: state(m)[key] for key in kept} for m in (looked, plain)))
    assert_same(probe.first, probe.second)
    assert all(loss.dtype == torch.float32 for loss in probe.first.values())
    if precision == "32-true":
        assert_same(probe.first, {task: loss.detach() for task, loss in probe.trained.items()})
    for task, loss in probe.losses.items():
        torch.testing.assert_close(probe.shares[task], loss)
    one, two = probe.held_out
    assert set(one) == {"detection"}
    assert torch.equal(one["detection"], two["detection"])


def test_a_loss_that_is_not_finite_stops_with_task_batch_and_images(tmp_path: Path) -> None:
    module = tiny.module()
    with torch.no_grad():
        module.get_parameter("heads.classification.linear.bias").fill_(float("nan"))
    with pytest.raises(NumericsError, match=r"loss of classification is not finite at batch 0 \(images 000000, "):
        fit(module, [tiny.batch()], tmp_path)


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_found_among_numbers_whose_squares_overflow(odd: float) -> None:
    large = [torch.full((3,), 1e30), torch.full((2, 2), -1e30)]
    assert all_finite(large)
    assert not all_finite([*large, torch.tensor([1.0, odd])])


class Poison(pl.Callback):
    """Puts infinity into the gradient of one parameter."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        gradient = pl_module.get_parameter(self.name).grad
        assert gradient is not None
        gradient.fill_(math.inf)


@pytest.mark.parametrize("limit", [None, 0.1])
@pytest.mark.parametrize(
    "name", ["sharing.neck.fpn.inner_blocks.0.0.bias", "heads.detection.scales", "weighting.log_variances.1"]
)
def test_a_gradient_that_is_not_finite_is_found_with_and_without_clipping(
    name: str, limit: float | None, tmp_path: Path
) -> None:
    """Clipping has read the gradients of sharing and heads; those of a weighting it leaves alone."""
    module = tiny.module(weighting=Uncertainty(tasks=BOTH))
    with pytest.raises(NumericsError, match=f"The gradient of {name} is not finite at batch 0"):
        fit(module, [tiny.batch()], tmp_path, callbacks=[Poison(name)], gradient_clip_val=limit)


def test_each_head_and_the_shared_part_are_clipped_by_themselves(tmp_path: Path) -> None:
    """A long gradient of one task shortens neither the other head's step nor more than it must."""
    limit, batch = 0.05, tiny.batch()
    plain = tiny.module()
    outputs = plain(batch.images)
    loss = sum(plain.head(t).loss(o, batch.targets).mean() for t, o in outputs.items())
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    before = {name: [p.grad.norm() for p in part if p.grad is not None] for name, part in plain.clipped_parts().items()}
    norms = {name: float(torch.stack(own).norm()) for name, own in before.items()}
    assert set(norms) == {"shared", *BOTH}
    assert norms["detection"] > limit
    for part in plain.clipped_parts().values():
        torch.nn.utils.clip_grad_norm_(part, limit)
    SGD(lr=0.01, momentum=0.9, weight_decay=1e-2).build(plain).step()
    trained = fit(tiny.module(), [batch], tmp_path, gradient_clip_val=limit)
    for (name, a), b in zip(trained.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-7, rtol=1e-5, msg=name)
    clipped = {part: float(trained.trainer.callback_metrics[f"train/clipped/{part}"]) for part in norms}
    assert clipped == {part: float(norm > limit) for part, norm in norms.items()}
