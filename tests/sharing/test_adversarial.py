from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests import tiny
from tests.sharing.ways import THREE
from tests.training.test_module import assert_same, fit, state
from vjo_train.errors import ConfigError, NumericsError
from vjo_train.optim.optimizers import AdamW
from vjo_train.sharing.adversarial import AdversarialSharing, similarity
from vjo_train.sharing.features import SharedFeatures
from vjo_train.sharing.reversal import dann_ramp, reverse_gradient
from vjo_train.types import Features

BOTH = ("classification", "detection")
IMAGES = torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))


class Blind(AdversarialSharing):
    """The same network, without the losses of the sharing."""

    def forward(self, images: Tensor, tasks: Any) -> SharedFeatures:
        return replace(super().forward(images, tasks), auxiliary={})


def build(**options: Any) -> AdversarialSharing:
    sharing = tiny.module(THREE, sharing=partial(AdversarialSharing, width=16, **options)).sharing
    assert isinstance(sharing, AdversarialSharing)
    return sharing


# The parts


def test_the_ramp() -> None:
    assert dann_ramp(0.0, 10.0) == 0
    assert dann_ramp(0.1, 10.0) == pytest.approx(math.tanh(0.5))
    assert dann_ramp(1.0, 10.0) == pytest.approx(0.9999, abs=1e-4)


def test_the_gradient_is_reversed_and_scaled() -> None:
    values = torch.randn(5, requires_grad=True)
    out = reverse_gradient(values, 0.3)
    assert torch.equal(out, values)
    (out * torch.arange(5.0)).sum().backward()
    torch.testing.assert_close(values.grad, -0.3 * torch.arange(5.0))


def test_similarity_is_one_for_the_same_up_to_rotation_scale_and_offset() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(2, 4, 5, 5, generator=generator)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q
    b = 3 * torch.einsum("ij,bjhw->bihw", rotation, a) + 7
    torch.testing.assert_close(similarity(a, b), torch.ones(2))


def test_similarity_is_zero_where_no_channels_vary_together() -> None:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 4), torch.linspace(-1, 1, 4), indexing="ij")
    a, b = rows.expand(1, 3, 4, 4), columns.expand(1, 3, 4, 4)
    torch.testing.assert_close(similarity(a, b), torch.zeros(1))
    flat = torch.full((2, 3, 4, 4), 0.1, requires_grad=True)
    for one in (flat, torch.randn(2, 3, 1, 1, requires_grad=True)):
        found = similarity(one, torch.randn(one.shape))
        assert found.tolist() == pytest.approx([0, 0], abs=1e-6)
        (gradient,) = torch.autograd.grad(found.sum(), one)
        assert gradient.abs().max() < 1


def test_the_difference_loss_parts_the_branches() -> None:
    sharing = build(strength=0.0, difference=1.0)
    optimizer = torch.optim.Adam(sharing.parameters(), lr=0.003)
    history = []
    for _ in range(30):
        loss = sharing(IMAGES, ("semantic",)).auxiliary["difference"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.3 * history[0]


# The game


class Given(nn.Module):
    """A backbone whose images are its features [B, 8, h, w]."""

    def __init__(self, channels: dict[str, int]) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Features:
        return {"c5": images}


def played(sharing: AdversarialSharing, steps: int) -> tuple[float, float]:
    """Branches and discriminator follow the discriminator's loss, as it comes back through the reversal.

    Returns:
        The means of its accuracy and its loss over the last 50 steps.
    """
    generator = torch.Generator().manual_seed(0)
    learning = [
        {"params": sharing.discriminator.parameters(), "lr": 0.003},
        {"params": sharing.branches.parameters(), "lr": 0.001},
    ]
    optimizer = torch.optim.Adam(learning, betas=(0.0, 0.999))
    history = []
    for _ in range(steps):
        images = torch.randn(32, 8, 4, 4, generator=generator) + torch.randn(32, 8, 1, 1, generator=generator)
        shared = sharing(images, THREE)
        loss = shared.auxiliary["discriminator"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append([float(shared.figures["accuracy"]), float(loss.detach())])
    accuracy, loss = torch.tensor(history[-50:]).mean(0)
    return float(accuracy), float(loss)


def test_accuracy_rises_on_separable_features_and_falls_towards_chance_under_reversal() -> None:
    torch.manual_seed(0)
    levels = dict.fromkeys(THREE, ("c5",))
    sharing = AdversarialSharing(
        backbone=Given({"c5": 8}), neck=Given({}), levels=levels, width=16, strength=0.0, ramp=None, difference=0.0
    )
    for place, task in enumerate(THREE):  # each task's branch begins with channels of its own
        norm = sharing.branches[task]["c5"].shared[0][1]
        norm.bias.data[5 * place : 5 * place + 5] += 1.0
    accuracy, loss = played(sharing, 100)
    assert accuracy > 0.9
    sharing.strength = 1.0
    sharing.start_step(0.0)
    accuracy, loss = played(sharing, 300)
    assert 1 / 3 - 0.1 < accuracy < 2 / 3
    assert loss > 0.75 * math.log(3)  # which is what knowing nothing costs
    sharing.strength = 0.0
    sharing.start_step(0.0)
    again, easier = played(sharing, 100)
    assert again > accuracy
    assert easier < loss


def test_strength_zero_is_the_run_without_it(tmp_path: Path) -> None:
    """Bit for bit, all but the discriminator itself; the images it looks at are not changed by its looking."""
    batches = [tiny.batch(step=step) for step in range(3)]
    runs = {
        kind: fit(
            tiny.module(sharing=partial(kind, width=16, strength=0.0, difference=0.0), optimizer=AdamW(lr=0.01)),
            batches,
            tmp_path,
        )
        for kind in (AdversarialSharing, Blind)
    }
    own, blind = (
        {name: value for name, value in state(run).items() if "discriminator" not in name} for run in runs.values()
    )
    assert_same(own, blind)
    parts = [run.get_parameter("sharing.discriminator.2.bias") for run in runs.values()]
    assert not torch.equal(*parts)  # it learned, where it could


def test_the_reversed_gradient_reaches_branches_and_backbone_but_not_the_private_branch() -> None:
    sharing = build(strength=1.0, ramp=None, difference=0.0)
    sharing(IMAGES, THREE).auxiliary["discriminator"].backward()
    reached = {name for name, p in sharing.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert any(name.startswith("backbone.") for name in reached)
    assert any(".shared." in name for name in reached)
    assert not any(".private." in name or ".merge." in name for name in reached)


@pytest.mark.parametrize(("accumulate", "expected"), [(1, [0, 1 / 4, 2 / 4, 3 / 4]), (2, [0, 0, 1 / 2, 1 / 2])])
def test_the_reversal_follows_the_share_of_training_done(
    accumulate: int, expected: list[float], tmp_path: Path
) -> None:
    seen: list[float] = []

    class Recording(AdversarialSharing):
        def forward(self, images: Tensor, tasks: Any) -> SharedFeatures:
            seen.append(self.reversal)
            return super().forward(images, tasks)

    module = tiny.module(sharing=partial(Recording, width=16, strength=2.0))
    batches = [tiny.batch(step=step) for step in range(2)]
    fit(module, batches, tmp_path, max_epochs=2, accumulate_grad_batches=accumulate)
    assert seen == pytest.approx([2 * dann_ramp(p, 10.0) for p in expected])
    assert {"train/sharing/accuracy", "train/sharing/discriminator", "train/sharing/difference"} <= set(
        module.trainer.callback_metrics
    )


def test_in_turns_the_discriminator_sees_the_task_that_is_on() -> None:
    sharing = build()
    sharing.discriminator[2].weight.data.zero_()
    sharing.discriminator[2].bias.data = logits = torch.tensor([0.0, 0.0, 5.0])  # always guesses the third
    for place, task in enumerate(THREE):
        found = sharing(IMAGES, (task,))
        assert found.figures["accuracy"] == (place == 2)
        torch.testing.assert_close(found.auxiliary["discriminator"], -logits.log_softmax(0)[place])


# What is refused


def test_nothing_to_guess_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sharing=adversarial: found 1 head"):
        tiny.module(("detection",), sharing=AdversarialSharing)
    with pytest.raises(ConfigError, match=r"sharing\.depth: found 0; without branches all tasks have the same"):
        tiny.module(BOTH, sharing=partial(AdversarialSharing, depth=0))


def test_a_loss_of_the_sharing_that_is_not_finite_stops_with_its_name(tmp_path: Path) -> None:
    module = tiny.module(sharing=partial(AdversarialSharing, width=16))
    with torch.no_grad():
        module.get_parameter("sharing.discriminator.2.bias").fill_(float("nan"))
    with pytest.raises(NumericsError, match=r"The sharing's discriminator is not finite at batch 0 "):
        fit(module, [tiny.batch()], tmp_path)
