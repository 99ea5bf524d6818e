"""How far a network's features are from its teachers'."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from vjo_train.distill.features import FeatureDistillation, Teacher, feature_distance
from vjo_train.errors import ConfigError
from vjo_train.heads.own_cells import placed
from vjo_train.sharing.features import SharedFeatures

WHOLE = torch.tensor([[0.0, 1.0, 0.0, 1.0]])


class Fixed(nn.Module):
    """Gives the same features for all tasks, whatever the images."""

    def __init__(self, **levels: Tensor) -> None:
        super().__init__()
        self.levels = levels

    def share(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        return placed(SharedFeatures({task: dict(self.levels) for task in tasks}, []), images)


def test_the_distance_is_that_of_directions() -> None:
    """0 for the same direction at any length, 2 at a right angle, 4 for the opposite one."""
    one = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    for other, expected in (([0.5, 0.0], 0.0), ([0.0, 7.0], 2.0), ([-1.0, 0.0], 4.0)):
        theirs = torch.tensor(other).view(1, 2, 1, 1).expand(1, 2, 2, 2)
        assert float(feature_distance(one, theirs, WHOLE)) == pytest.approx(expected)


def test_only_cells_of_the_picture_count_and_every_image_alike() -> None:
    """The left half of the first picture agrees; of the second all is picture, and none agrees."""
    mine = torch.ones(2, 1, 4, 4)
    theirs = -torch.ones(2, 1, 4, 4)
    theirs[0, :, :, :2] = 1
    extents = torch.tensor([[0.0, 1.0, 0.0, 0.5], [0.0, 1.0, 0.0, 1.0]])
    assert float(feature_distance(mine, theirs, extents)) == pytest.approx((0 + 4) / 2)


def test_features_of_zero_have_a_bounded_gradient() -> None:
    mine = torch.zeros(1, 3, 2, 2, requires_grad=True)
    feature_distance(mine, torch.ones(1, 3, 2, 2), WHOLE).backward()
    assert mine.grad is not None
    assert bool(mine.grad.isfinite().all())
    assert float(mine.grad.abs().max()) < 1e3


def test_the_layers_between_learn_what_a_linear_map_can() -> None:
    """Student features of which the teacher's are a linear map come to a distance of 0; the teacher stays as it is."""
    torch.manual_seed(0)
    mine = torch.randn(2, 4, 8, 8)
    theirs = torch.einsum("oc,bchw->bohw", torch.randn(3, 4), mine)
    teacher = Fixed(c5=theirs)
    distill = FeatureDistillation(teachers={"a": "run"}, weight=0.5)
    distill.bind({"a": Teacher(teacher, {"c5": 3})}, {"c5": 4}, {"a": ["c5"], "b": ["c5"]})
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    shared = Fixed(c5=mine).share(images, ("a", "b"))
    optimizer = torch.optim.Adam(distill.parameters(), lr=0.03)
    first = distill.losses(images, shared)
    assert list(first) == ["distill/a"]
    for _ in range(200):
        optimizer.zero_grad()
        (loss,) = distill.losses(images, shared).values()
        loss.backward()
        optimizer.step()
    assert float(first["distill/a"].detach()) > 0.5
    assert float(loss.detach()) < 0.01
    assert torch.equal(teacher.levels["c5"], theirs)


def test_teachers_that_do_not_fit_are_refused() -> None:
    distill = FeatureDistillation()
    with pytest.raises(ConfigError, match=r"distill.teachers.a: its head reads c4, this one c5, p3; they must have"):
        distill.bind({"a": Teacher(Fixed(), {"c4": 3})}, {"c5": 4, "p3": 4}, {"a": ["c5", "p3"]})
    distill.bind({"a": Teacher(Fixed(c5=torch.ones(1, 3, 4, 4)), {"c5": 3})}, {"c5": 4}, {"a": ["c5"]})
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with pytest.raises(ConfigError, match=r"distill.teachers.a: its c5 has 4 x 4 cells, here 2 x 2; strides must be"):
        distill.losses(images, Fixed(c5=torch.ones(1, 4, 2, 2)).share(images, ("a",)))
