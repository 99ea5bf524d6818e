"""What a forward costs."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from tests import tiny
from vjo_train.report.throughput import inference_flops


def test_operations_are_counted_as_by_hand() -> None:
    """Twice the multiplications of each convolution and matrix product on one image of the batch."""
    module = tiny.module(("classification", "semantic")).eval()
    expected = 0

    def count(layer: Any, inputs: Any, output: Any) -> None:
        nonlocal expected
        size = layer.kernel_size[0] * layer.kernel_size[1] if isinstance(layer, nn.Conv2d) else 1
        expected += round(2 * output.numel() * size * layer.weight.shape[1])

    batch = tiny.batch(3, tasks=("classification", "semantic"))
    whole = inference_flops(module, batch)
    layers = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    module.predict(batch.first(1))
    for hook in hooks:
        hook.remove()
    assert whole == pytest.approx(expected)
