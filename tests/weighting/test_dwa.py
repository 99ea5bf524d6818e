import math

import torch

from vjo_train.weighting.dwa import DWA, dwa_weights


def feed(weighting, epoch, **losses):
    values = [
        torch.tensor([per_task[i] for per_task in losses.values()]) for i in range(len(next(iter(losses.values()))))
    ]
    return [weighting.weights(v, list(losses), epoch) for v in values][-1]


def test_weights_follow_the_ratio_of_epoch_means():
    weighting = DWA(tasks=["a", "b"], temperature=2.0)
    assert feed(weighting, 0, a=[4.0, 2.0], b=[1.0, 3.0]).tolist() == [1, 1]  # means 3 and 2
    assert feed(weighting, 1, a=[1.0, 2.0], b=[2.0, 4.0]).tolist() == [1, 1]  # means 1.5 and 3
    first, second = math.exp(0.5 / 2), math.exp(1.5 / 2)
    expected = torch.tensor([first, second]).double() * 2 / (first + second)
    torch.testing.assert_close(feed(weighting, 2, a=[9.0], b=[9.0]), expected)
    torch.testing.assert_close(feed(weighting, 2, a=[1.0], b=[0.1]), expected)  # constant within the epoch


def test_a_task_absent_for_an_epoch_keeps_its_history():
    weighting = DWA(tasks=["a", "b"])
    for epoch, b in enumerate([4.0, 3.0]):
        feed(weighting, epoch, a=[1.0], b=[b])
    feed(weighting, 2, a=[1.0])
    feed(weighting, 3, a=[1.0], b=[1.0])
    weights = feed(weighting, 3, a=[1.0], b=[1.0])
    torch.testing.assert_close(weights, dwa_weights(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 4.0]), 2.0).double())


def test_a_solved_task_gives_no_nan():
    weights = dwa_weights(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]), 2.0)
    assert weights.isfinite().all()
    assert weights.sum().item() == 2.0
