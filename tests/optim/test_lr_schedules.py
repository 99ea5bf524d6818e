"""Learning-rate factors at the points where a user would check them."""

from __future__ import annotations

import pytest

from vjo_train.errors import ConfigError
from vjo_train.optim.lr_schedules import Constant, Cosine, MultiStep, Poly


def test_cosine_warms_up_and_ends_at_its_final_factor() -> None:
    schedule = Cosine(warmup=0.1, final=0.01)
    assert schedule.factor(0, 100) == pytest.approx(0.1, abs=1e-3)
    assert schedule.factor(50, 100) == pytest.approx(0.505)
    assert schedule.factor(100, 100) == pytest.approx(0.01)
    factors = [schedule.factor(step, 100) for step in range(10, 101)]
    assert factors == sorted(factors, reverse=True)


def test_multistep_drops_at_its_milestones() -> None:
    schedule = MultiStep(warmup=0.0, milestones=[0.5, 0.75], gamma=0.1)
    assert [schedule.factor(step, 100) for step in (0, 49, 50, 74, 75, 99)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_poly_falls_to_nothing() -> None:
    assert [Poly(power=2.0).factor(step, 100) for step in (0, 50, 100)] == pytest.approx([1, 0.25, 0])
    assert Poly().factor(50, 100) == pytest.approx(0.5**0.9)


def test_constant_stays() -> None:
    assert {Constant().factor(step, 10) for step in range(10)} == {1.0}


@pytest.mark.parametrize("milestones", [[0.8, 0.5], [0.5, 1.5], [0.0]])
def test_wrong_milestones_are_refused(milestones: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"lr_schedule.milestones: found"):
        MultiStep(milestones=milestones)
