"""The focal loss against torchvision's."""

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from vjo_train.heads.detection.focal import focal_loss


@pytest.mark.parametrize("spread", [1.0, 30.0, 0.0])
def test_loss_and_gradient_are_those_of_torchvision(spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(3, 40, 5, generator=generator, dtype=torch.float64)
    image, row = (torch.rand(3, 40, generator=generator) < 0.3).nonzero(as_tuple=True)
    label = torch.randint(0, 5, image.shape, generator=generator)
    wanted = torch.zeros_like(logits)
    wanted[image, row, label] = 1
    results = []
    for loss in (
        lambda x: focal_loss(x, image, row, label),
        lambda x: sigmoid_focal_loss(x, wanted).sum(2),
    ):
        own = logits.clone().requires_grad_()
        value = loss(own)
        value.square().sum().backward()
        results.append((value.detach(), own.grad))
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-12)


def test_no_positives_and_float32() -> None:
    logits = torch.linspace(-100, 100, 24).reshape(2, 4, 3)
    none = torch.empty(0, dtype=torch.int64)
    expected = sigmoid_focal_loss(logits, torch.zeros_like(logits)).sum(2)
    torch.testing.assert_close(focal_loss(logits, none, none, none), expected)
