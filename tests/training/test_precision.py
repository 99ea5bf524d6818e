from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests import tiny
from vjo_train.training.losses import step_losses
from vjo_train.training.precision import cast_once, choose_precision


class Casts(TorchDispatchMode):
    """How often each weight is cast."""

    def __init__(self, weights: list[torch.nn.Parameter]) -> None:
        super().__init__()
        self.counts = {p.data_ptr(): 0 for p in weights}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._to_copy.default and args[0].data_ptr() in self.counts:
            self.counts[args[0].data_ptr()] += 1
        return func(*args, **(kwargs or {}))


def trainer(precision: Any) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    return cast_once(pl.Trainer(accelerator="cpu", precision=precision, **quiet))


def test_mixed_precision_casts_a_weight_once_a_step_and_gives_the_gradients_of_torchs_autocast() -> None:
    """Though the towers of the detector are used at every level."""
    batch, module = tiny.batch(), tiny.module().train()
    convolutions = [m.weight for m in module.modules() if isinstance(m, torch.nn.Conv2d)]

    def gradients(context: Any) -> list[torch.Tensor | None]:
        with context:
            outputs = module(batch.images)
            known = {t: [module.head(t).labelled(target) for target in batch.targets] for t in module.tasks}
            per_image = {t: module.head(t).loss(outputs[t], batch.targets) for t in module.tasks}
        total = torch.stack(list(step_losses(per_image, known).shares.values())).sum()
        return list(torch.autograd.grad(total, list(module.parameters()), allow_unused=True))

    with Casts(convolutions) as casts:
        found = gradients(trainer("bf16-mixed").precision_plugin.forward_context())
    assert set(casts.counts.values()) == {1}
    expected = gradients(torch.autocast("cpu", torch.bfloat16))
    for one, other, (name, _) in zip(found, expected, module.named_parameters(), strict=True):
        if "p7" not in name:  # some libraries' gradient of a convolution of one cell differs from run to run
            torch.testing.assert_close(one, other, atol=0, rtol=0, msg=name)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_trainer_keeps_its_precision(precision: str) -> None:
    found = trainer(precision)
    assert found.precision == precision
    assert found.strategy.precision_plugin is found.precision_plugin
    with found.precision_plugin.forward_context():
        product = torch.nn.Linear(2, 2)(torch.ones(1, 2))
    assert product.dtype == (torch.bfloat16 if precision == "bf16-mixed" else torch.float32)


def test_what_is_chosen_stays() -> None:
    for precision in ("32-true", "bf16-mixed", "16-mixed"):
        assert choose_precision(precision, "cpu") == precision
    assert choose_precision("auto", "cpu") in ("32-true", "bf16-mixed")
