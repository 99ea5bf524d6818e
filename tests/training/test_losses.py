"""Per-image losses and flags put together to task losses."""

from __future__ import annotations

import torch

from vjo_train.training.losses import step_losses


def test_each_task_is_the_mean_over_its_own_labelled_images() -> None:
    known = {"a": [True, False, True], "b": [False, False, False], "c": [False, True, False]}
    images = {task: torch.tensor([1.0, 2.0, 6.0], requires_grad=True) for task in known}
    losses = step_losses(images, known)
    assert list(losses.values) == ["a", "c"]
    assert losses.counts == {"a": 2, "c": 1}
    assert {task: float(value) for task, value in losses.values.items()} == {"a": 3.5, "c": 2.0}
    assert losses.labelled["a"].tolist() == [True, False, True]
    torch.testing.assert_close(losses.per_image["a"], torch.tensor([1.0, 0.0, 6.0]))
    losses.shares["a"].backward()
    assert images["a"].grad is not None
    assert images["a"].grad.tolist() == [0.5, 0.0, 0.5]
    assert images["c"].grad is None
