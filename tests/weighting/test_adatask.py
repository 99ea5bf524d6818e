"""Each task's gradient in units of its own size."""

from __future__ import annotations

import torch

from vjo_train.weighting.adatask import AdaTask


def merge(weighting, rows, tasks):
    jacobian = torch.stack(rows).double()
    merged, _ = weighting.merge([row.clone() for row in rows], jacobian @ jacobian.T, tasks)
    return merged


def test_by_hand():
    weighting = AdaTask(tasks=["a", "b"], beta=0.5)
    rows = [[torch.tensor([3.0, 0.0]), torch.tensor([-1.0, 2.0])], [torch.tensor([1.0, 4.0]), torch.tensor([1.0, 2.0])]]
    # At first every mean square is the square itself, so that signs are left; the plain sum [2, 2] sets the length.
    level = (2**2 + 2**2) ** 0.5 / 1.0  # |[1 - 1, 0 + 1]| = 1
    torch.testing.assert_close(merge(weighting, rows[0], ["a", "b"]), level * torch.tensor([0.0, 1.0]))
    mean = [[(0.5 * 9 / 2 + 1 / 2) / 0.75, (16 / 2) / 0.75], [(0.5 / 2 + 1 / 2) / 0.75, (0.5 * 4 / 2 + 4 / 2) / 0.75]]
    expected = [level * sum(rows[1][k][i] / mean[k][i] ** 0.5 for k in (0, 1)) for i in (0, 1)]
    torch.testing.assert_close(merge(weighting, rows[1], ["a", "b"]), torch.stack(expected))


def test_the_scale_of_a_loss_does_not_turn_the_update():
    generator = torch.Generator().manual_seed(0)
    plain, scaled = AdaTask(tasks=["a", "b"]), AdaTask(tasks=["a", "b"])
    for _ in range(3):
        a, b = torch.randn(2, 50, generator=generator)
        one, two = merge(plain, [a, b], ["a", "b"]), merge(scaled, [1000 * a, b], ["a", "b"])
        torch.testing.assert_close(one / one.norm(), two / two.norm(), rtol=1e-4, atol=1e-6)


def test_an_absent_task_keeps_its_state():
    weighting = AdaTask(tasks=["a", "b"])
    merge(weighting, [torch.ones(3), torch.full((3,), 2.0)], ["a", "b"])
    before = weighting.square[1].clone()
    merge(weighting, [torch.ones(3)], ["a"])
    assert torch.equal(weighting.square[1], before)
    assert weighting.seen.tolist() == [2, 1]
