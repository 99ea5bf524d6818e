"""Losses at full size, image by image: the values and gradients of all images at once."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.heads import test_semantic as semantic
from tests.heads.pixels import test_heads as pixels
from vjo_train.heads.pixels import base
from vjo_train.heads.pixels.base import PixelHead
from vjo_train.types import Target


def of_classes(**options: Any) -> tuple[PixelHead, list[Target]]:
    """With a class that nobody looked for, an image without a label, and one where no pixel counts."""
    targets = semantic.mixed()
    targets[0].annotated["semantic"] = np.array([True, False, True])
    return semantic.head("fpn", **options), targets


def of_values(name: str) -> tuple[PixelHead, list[Target]]:
    size = (pixels.SIDE, pixels.SIDE)
    labelled = [Target(size, {name: pixels.label(name, seed)}) for seed in range(3)]
    return pixels.head(name), [labelled[0], Target(size), *labelled[1:]]


CASES = {
    "semantic": of_classes,
    "semantic with dice": lambda: of_classes(dice=0.5),
    "semantic without background": lambda: of_classes(background=False),
    **{name: lambda name=name: of_values(name) for name in pixels.HEADS},
}


def losses_and_gradients(head: PixelHead, targets: list[Target]) -> tuple[Tensor, list[Tensor]]:
    """By two backward passes through one graph, as gradient weightings take them."""
    maps = head(semantic.features(4) | pixels.features(4)).detach()
    maps = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
    losses = head.loss(maps, targets)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    gradients = [torch.autograd.grad((w * losses).sum(), maps, retain_graph=True)[0] for w in (weights, -weights)]
    return losses.detach(), gradients


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_it_is_the_loss_of_all_at_once(case: str, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    head, targets = CASES[case]()
    found = {}
    for numbers in (1, 10**9):
        monkeypatch.setattr(base, "AT_ONCE", numbers)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            found[numbers] = losses_and_gradients(head, targets)
    (one, each), (together, whole) = found.values()
    torch.testing.assert_close(one, together, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(each, whole, rtol=1e-5, atol=1e-8)
    assert any(bool(gradient.any()) for gradient in each)


class Kept:
    """A tensor that a graph holds."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def test_little_is_kept_for_backward() -> None:
    """Nothing of full size, whose maps take 64 times what those of the head do."""
    head, targets = of_classes()
    maps = head(semantic.features(4)).detach().requires_grad_()
    alive: WeakSet[Kept] = WeakSet()

    def pack(tensor: Tensor) -> Kept:
        kept = Kept(tensor)
        alive.add(kept)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
        losses = head.loss(maps, targets)
    assert losses.requires_grad
    assert sum(kept.tensor.untyped_storage().nbytes() for kept in alive) < 2 * maps.untyped_storage().nbytes()
    with torch.no_grad():
        assert not head.loss(maps, targets).requires_grad
