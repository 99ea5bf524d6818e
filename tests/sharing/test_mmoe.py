from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests import tiny
from tests.sharing.ways import BUILD, THREE
from tests.training.test_module import fit
from vjo_train.sharing.mmoe import MMoE, gate_figures, mix
from vjo_train.sharing.pyramid import pyramid

IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def build() -> MMoE:
    sharing = tiny.module(THREE, sharing=BUILD["mmoe"]).sharing
    assert isinstance(sharing, MMoE)
    return sharing


def test_a_mixture_is_the_sum_of_gated_experts() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 3, 3, generator=generator)
    changes = [torch.randn(2, 4, 3, 3, generator=generator) for _ in range(3)]
    gate = torch.randn(2, 3, generator=generator).softmax(1)
    experts = torch.stack([x + change for change in changes], 1)
    torch.testing.assert_close(mix(x, changes, gate), (gate[:, :, None, None, None] * experts).sum(1))


def test_gates_start_even_and_differ_by_task_and_image_once_they_are_trained() -> None:
    sharing = build()
    first = sharing(IMAGES, THREE)
    torch.testing.assert_close(first.tasks["detection"]["p3"], first.tasks["semantic"]["p3"])
    assert first.figures["entropy_detection"] == pytest.approx(1)
    nn.init.normal_(sharing.gates["detection"].weight, std=50.0)
    later = sharing(IMAGES, THREE)
    changed = (later.tasks["detection"]["p3"] - first.tasks["detection"]["p3"]).abs().amax((1, 2, 3))
    assert (changed > 0).all()
    torch.testing.assert_close(later.tasks["semantic"]["p3"], first.tasks["semantic"]["p3"])
    assert later.figures["entropy_detection"] < 0.9


def test_a_gate_that_is_shut_but_for_one_expert_gives_that_expert() -> None:
    sharing = build()
    sharing.gates["semantic"].bias.data = torch.tensor([0.0, 0.0, 1000.0])
    features = pyramid(sharing.backbone, sharing.neck, IMAGES, ["p4"])
    expected = features["p4"] + sharing.experts["neck"][2](features["p4"])
    torch.testing.assert_close(sharing(IMAGES, ("semantic",)).tasks["semantic"]["p4"], expected)


def test_experts_serve_all_levels_of_the_neck_and_each_of_the_backbone_s_alone() -> None:
    assert set(build().experts) == {"neck", "c5"}


def test_figures_of_gates() -> None:
    gates = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    figures = {name: float(value) for name, value in gate_figures({"a": gates}).items()}
    assert figures == pytest.approx({"gate_a_0": 0.75, "gate_a_1": 0.25, "entropy_a": 0.5})


def test_gates_are_logged(tmp_path: Path) -> None:
    module = tiny.module(sharing=BUILD["mmoe"])
    fit(module, [tiny.batch()], tmp_path)
    logged = module.trainer.callback_metrics
    assert sum(float(logged[f"train/sharing/gate_detection_{e}"]) for e in range(3)) == pytest.approx(1)
    assert "train/sharing/entropy_classification" in logged
