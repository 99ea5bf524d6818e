import pytest
import torch

from vjo_train.errors import ConfigError
from vjo_train.weighting.fixed import FixedWeighting


def test_tasks_left_out_weigh_one_and_absent_tasks_take_no_place():
    weighting = FixedWeighting(tasks=["a", "b", "c"], lambdas={"c": 0.25, "a": 2})
    assert weighting.weights(torch.rand(3), ["a", "b", "c"], 0).tolist() == [2, 1, 0.25]
    assert weighting.weights(torch.rand(2), ["c", "a"], 0).tolist() == [0.25, 2]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_impossible_weight_is_refused(value):
    with pytest.raises(ConfigError, match=r"weighting\.lambdas\.a should be a finite number >= 0"):
        FixedWeighting(tasks=["a"], lambdas={"a": value})


def test_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="no task is called `detecton`; the tasks are a, detection"):
        FixedWeighting(tasks=["a", "detection"], lambdas={"detecton": 1})
