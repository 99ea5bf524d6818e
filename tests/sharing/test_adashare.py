"""Policies: their samples and losses, what is run of a network, and what a fixed policy leaves alone."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import tiny
from tests.sharing.test_every_way import assert_close
from tests.sharing.ways import LABELLED, THREE, Residual, adashare
from tests.training.test_module import fit
from vjo_train.backbones.torchvision import TorchvisionBackbone
from vjo_train.errors import ConfigError
from vjo_train.optim.optimizers import AdamW
from vjo_train.sharing.adashare import AdaShare
from vjo_train.sharing.hard import HardSharing
from vjo_train.sharing.policy import annealed, disagreement, logistic_noise, relaxed, sparsity
from vjo_train.sharing.residual import blended, run
from vjo_train.training.module import MultiTaskModule

ONES = {task: [1, 1, 1, 1] for task in THREE}
MIXED = {"classification": [1, 0, 1, 1], "detection": [1, 0, 0, 1], "semantic": [1, 0, 0, 1]}


def build(tasks: Any = THREE, optimizer: Any = None, **keys: Any) -> MultiTaskModule:
    return tiny.module(tasks, sharing=partial(adashare, **keys), optimizer=optimizer)


def sharing_of(module: MultiTaskModule) -> AdaShare:
    assert isinstance(module.sharing, AdaShare)
    return module.sharing


def test_all_blocks_for_all_are_hard_sharing(tmp_path: Path) -> None:
    def hard(backbone: nn.Module, **keys: Any) -> HardSharing:
        return HardSharing(backbone=Residual(), **keys)

    batches = [tiny.batch(tasks=THREE, labelled=LABELLED, step=step) for step in range(3)]
    one = fit(build(policy=ONES), batches, tmp_path)
    other = fit(tiny.module(THREE, sharing=hard), batches, tmp_path)
    assert_close(one, other)
    images = tiny.batch().images
    other.load_state_dict({k: v for k, v in one.state_dict().items() if ".policies." not in k})
    found, wanted = (m.eval()(images) for m in (one, other))
    assert all(torch.equal(found[task], wanted[task]) for task in ("classification", "semantic"))


@pytest.mark.parametrize("name", ["resnet10", "resnet50"])
def test_a_share_of_a_block_lies_between_its_shortcut_and_itself(name: Any) -> None:
    torch.manual_seed(0)
    backbone = TorchvisionBackbone(name=name).eval()
    block = backbone.get_submodule("stages.1.0")
    x = torch.rand(2, backbone.channels["c2"], 8, 8)
    torch.testing.assert_close(blended(block, x, torch.tensor(1.0)), block(x))
    torch.testing.assert_close(blended(block, x, torch.tensor(0.0)), run(block, x, False))


def test_cold_samples_run_a_block_as_often_as_its_chance_says() -> None:
    logits = torch.tensor([-2.0, 0.0, 1.0])
    drawn = torch.stack([relaxed(logits, logistic_noise((0, n), 3), 0.01) for n in range(4000)])
    torch.testing.assert_close(drawn.mean(0), logits.sigmoid(), atol=0.03, rtol=0)
    hot = relaxed(logits, logistic_noise((0, 0), 3), 1e6)
    torch.testing.assert_close(hot, torch.full((3,), 0.5))


def test_losses_are_those_of_the_formulas() -> None:
    a, b = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([1.0, 1.0, 3.0])
    chances = torch.stack([a, b]).sigmoid()
    torch.testing.assert_close(sparsity({"a": a, "b": b}), chances.log().mean())
    expected = sum((3 - n) / 3 * abs(float(chances[0, n] - chances[1, n])) for n in range(3)) / 3
    assert float(disagreement({"a": a, "b": b})) == pytest.approx(expected, rel=1e-5)
    assert float(disagreement({"a": a})) == 0


def test_the_temperature_falls_by_equal_factors() -> None:
    assert [annealed(p, 8.0, 0.5) for p in (-1, 0, 0.5, 1, 2)] == pytest.approx([8, 8, 2, 0.5, 0.5])


def test_each_distinct_path_is_run_once_and_skipped_blocks_are_not() -> None:
    module = build(policy=MIXED).eval()
    ran: Counter[str] = Counter()
    for name, part in sharing_of(module).backbone.named_modules():
        if name.endswith(".conv2"):
            part.register_forward_hook(lambda *_, name=name: ran.update([name.split(".")[1]]))
    module(tiny.batch().images, THREE)
    assert ran == {"0": 1, "2": 1, "3": 2}
    ran.clear()
    module(tiny.batch().images, ("detection", "semantic"))
    assert ran == {"0": 1, "3": 1}


def test_blocks_past_what_a_head_reads_are_not_run() -> None:
    backbone = Residual()
    sharing = AdaShare(backbone=backbone, neck=nn.Identity(), levels={"a": ("c3",), "b": ("c4",)}, warmup=0, fixed=1)
    for mode in (True, False):
        found = sharing.train(mode)(torch.randn(1, 3, 64, 64), ("a", "b"))
        assert {task: list(features) for task, features in found.tasks.items()} == {
            "a": ["c2", "c3"],
            "b": ["c2", "c3", "c4"],
        }
        assert found.summary is None


def test_evaluation_runs_what_training_under_that_policy_would() -> None:
    module = build().eval()
    with torch.no_grad():
        for task, blocks in MIXED.items():
            sharing_of(module).policies[task].logits.copy_(torch.tensor(blocks) - 0.5)
    fixed = build(policy=MIXED)
    state = {key: value for key, value in module.state_dict().items() if ".policies." not in key}
    fixed.load_state_dict(state, strict=False)
    module.load_state_dict(module.state_dict())  # decides anew
    images = tiny.batch().images
    found, wanted = (m.eval()(images, ("semantic",))["semantic"] for m in (module, fixed))
    assert torch.equal(found, wanted)
    assert torch.equal(found, fixed.train()(images, ("semantic",))["semantic"])


def test_a_policy_is_warmed_up_sought_and_fixed(tmp_path: Path) -> None:
    """Of four steps the second and third seek."""
    module = build(warmup=0.25, fixed=0.75, sparsity=1.0, optimizer=AdamW(lr=0.1))
    policy = sharing_of(module).policies["detection"]
    seen = []

    def look(*_: Any) -> None:
        seen.append(policy.logits.detach().clone())

    module.sharing.register_forward_pre_hook(look)
    fit(module, [tiny.batch(tasks=THREE, labelled=LABELLED, step=step) for step in range(4)], tmp_path)
    look()
    moved = [bool((a != b).any()) for a, b in pairwise(seen)]
    assert moved == [False, True, True, False]
    assert sharing_of(module).ways["detection"] == tuple((policy.logits > 0).tolist())
    logged = module.trainer.callback_metrics
    assert 0 <= float(logged["train/sharing/run/detection"]) <= 1
    assert float(logged["train/sharing/sparsity"]) < 0


def test_the_samples_of_a_step_depend_on_its_place_in_the_training_alone() -> None:
    sharing, other = sharing_of(build()), sharing_of(build())
    other.start_step(0.1)
    for one in (sharing, other):
        one.start_step(0.5)
    assert all(torch.equal(sharing.noise[task], other.noise[task]) for task in THREE)
    assert not torch.equal(sharing.noise["detection"], sharing.noise["semantic"])
    other.start_step(0.5 + 1e-6)
    assert not torch.equal(sharing.noise["detection"], other.noise["detection"])


def test_what_no_loss_needs_is_dropped() -> None:
    """Of a task that reads the first stage alone only sparsity moves the other blocks."""
    torch.manual_seed(0)
    sharing = AdaShare(
        backbone=Residual(), neck=nn.Identity(), levels={"low": ("c2",), "high": ("c5",)}, warmup=0, fixed=1, sharing=0
    )
    optimizer = torch.optim.Adam(sharing.policies.parameters(), lr=0.1)
    images = torch.randn(4, 3, 64, 64)
    whole = sharing.eval()(images, ("high",)).tasks["high"]["c5"].detach()
    sharing.train()
    for n in range(60):
        sharing.start_step(n / 60)
        found = sharing(images, ("low", "high"))
        need = (found.tasks["high"]["c5"] - whole).square().mean() / whole.var()
        optimizer.zero_grad()
        (20 * need + sum(found.auxiliary.values())).backward()
        optimizer.step()
    sharing.eval()
    assert sharing.ways["low"][1:] == (False, False, False)
    assert sharing.ways["high"][-2:] == (True, True)


def test_log_odds_learn_at_their_own_rate_without_decay() -> None:
    module = build(lr_factor=30.0)
    groups = AdamW(lr=0.01, weight_decay=0.1).build(module).param_groups
    (own,) = [group for group in groups if group["lr"] == pytest.approx(0.3)]
    assert {id(p) for p in own["params"]} == {id(p) for p in sharing_of(module).policies.parameters()}
    assert own["weight_decay"] == 0
    assert not [p for p in sharing_of(build(policy=ONES)).policies.parameters() if p.requires_grad]


def test_one_image_with_one_label_trains(tmp_path: Path) -> None:
    module = build(optimizer=AdamW(lr=0.01))
    fit(
        module, [tiny.batch(size=1, labelled=[frozenset({"classes"})], tasks=THREE, step=s) for s in range(2)], tmp_path
    )
    assert all(p.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fixed": 0.2, "warmup": 0.3}, r"sharing.fixed: found 0.2; must be after sharing.warmup, 0.3"),
        ({"policy": {**ONES, "depht": [1] * 4}}, r"sharing.policy.depht: there is no such head"),
        (
            {"policy": {**ONES, "semantic": [1, 2, 1, 1]}},
            r"sharing.policy.semantic: found \[1, 2, 1, 1\]; must be a list",
        ),
        ({"policy": {"semantic": [1] * 4}}, r"sharing.policy.classification: found \[\]; must be a list of 4 times"),
    ],
)
def test_what_is_no_policy_is_refused(keys: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**keys)


def test_a_backbone_without_residual_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match="TinyBackbone has stages without residual blocks"):
        tiny.module(sharing=AdaShare)
