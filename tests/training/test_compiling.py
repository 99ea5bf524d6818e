"""A compiled network is the same network: outputs, gradients, state dict."""

from __future__ import annotations

import os
import shutil
from functools import partialmethod
from typing import Any

import pytest
import torch
from torch import nn

from tests import tiny
from vjo_train.errors import ConfigError
from vjo_train.training.compiling import compile_network, compiled_parts
from vjo_train.training.module import MultiTaskModule

COMPILER = shutil.which(os.environ.get("CXX", "g++"))
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")


def gradients(module: MultiTaskModule, batch: Any) -> dict[str, torch.Tensor]:
    """Of each task's loss by a backward of its own, through one graph, as gradient weightings take them."""
    shared = module.share(batch.images, module.tasks)
    losses = module._per_image(batch, shared)
    found = {}
    for task, loss in losses.items():
        module.zero_grad()
        loss.mean().backward(retain_graph=True)
        found |= {f"{task} {name}": p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    return found


def check(tasks: tuple[str, ...]) -> None:
    eager, compiled = tiny.module(tasks), tiny.module(tasks)
    compile_network(compiled)
    assert compiled.state_dict().keys() == eager.state_dict().keys()
    compiled.load_state_dict(eager.state_dict())
    batch = tiny.batch(2, tasks=tasks, labelled=[tiny.ALL] * 2)
    found, expected = gradients(compiled, batch), gradients(eager, batch)
    for name, gradient in found.items():  # compiled code has zeros where eager code has no gradient
        wanted = expected.get(name, torch.zeros_like(gradient))
        torch.testing.assert_close(
            gradient, wanted, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert found.keys() >= expected.keys()


@needs_compiler
def test_all_parts_are_compiled_and_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the graphs that the compiler would get, run as they are."""
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    check(("classification", "detection", "semantic"))
    module = tiny.module()
    assert len(list(compiled_parts(module))) == 4 + 1 + 2  # stages, neck, heads


@needs_compiler
def test_compiled_code_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stage only: each takes the compiler seconds."""
    monkeypatch.setattr(
        "vjo_train.training.compiling.compiled_parts", lambda module: [module.sharing.backbone.stages[3]]
    )
    check(("classification",))


def test_without_a_compiler_the_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"trainer\.compile: found no C\+\+ compiler 'no-such-compiler'"):
        compile_network(tiny.module())
