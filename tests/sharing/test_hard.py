"""Where hard sharing ends for `weighting.at=features`."""

import pytest
import torch

from tests import tiny
from vjo_train.sharing.pyramid import channels


@pytest.mark.parametrize("tasks", [("classification", "detection"), ("detection", "semantic")])
def test_the_gradients_of_two_tasks_meet_where_the_shared_part_ends(tasks: tuple[str, str]) -> None:
    """Classification reads the backbone and detection the neck, so that they have no level in common."""
    module = tiny.module(tasks)
    shared = module.sharing(torch.rand(2, 3, tiny.SIZE, tiny.SIZE), tasks)
    reached = []
    for task in tasks:
        outputs = [feature.sum() for level, feature in shared.tasks[task].items() if level in module.head(task).levels]
        found = torch.autograd.grad(sum(outputs), shared.representation, retain_graph=True, allow_unused=True)
        reached.append({k for k, gradient in enumerate(found) if gradient is not None})
    assert reached[0] & reached[1]
    mixed = "classification" in tasks
    assert {id(p) for p in shared.behind} == {id(p) for p in module.sharing.neck.parameters() if mixed}
    assert mixed == (len(shared.representation) == len(channels(module.sharing.backbone)))
