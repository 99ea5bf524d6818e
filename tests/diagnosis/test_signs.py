from __future__ import annotations

import math

import pytest

from vjo_train.diagnosis.signs import read_signs

TASKS = ("detection", "semantic")


def row(**cells: object) -> dict[str, str]:
    return {name.replace("__", "/"): str(value) for name, value in cells.items()}


def looked(detection: float, semantic: float, **more: object) -> dict[str, str]:
    norms = {
        "train__weighting__gradient_norm__detection": detection,
        "train__weighting__gradient_norm__semantic": semantic,
    }
    weights = {"train__detection__weight": 1.0, "train__semantic__weight": 1.0}
    return row(**{**norms, **weights, **more})


def test_shares_are_of_the_weighted_lengths_and_means_over_epochs() -> None:
    history = [looked(1, 3), looked(2, 1, train__detection__weight=0.5)]
    signs = read_signs([history], TASKS)
    assert signs["detection"].shares == pytest.approx({"detection": (0.25 + 0.5) / 2, "semantic": (0.75 + 0.5) / 2})


def test_a_negative_weight_has_a_length_too() -> None:
    shares = read_signs([[looked(1, 3, train__detection__weight=-1.0)]], TASKS)["detection"].shares
    assert shares == pytest.approx({"detection": 0.25, "semantic": 0.75})


def test_what_scaling_by_element_comes_to_takes_the_place_of_weights() -> None:
    more = {"train__weighting__update_norm__detection": 1, "train__weighting__update_norm__semantic": 1}
    assert read_signs([[looked(1, 99, **more)]], TASKS)["semantic"].shares["semantic"] == 0.5


def test_parts_of_a_split_loss_count_together() -> None:
    history = [
        row(
            train__weighting__gradient_norm__detection=4,
            train__detection__weight=1,
            **{
                "train__weighting__gradient_norm__instance/box": 3,
                "train__instance/box__weight": 2,
                "train__weighting__gradient_norm__instance/mask": 6,
                "train__instance/mask__weight": 1,
                "train__weighting__cosine__detection/instance/box": -0.5,
                "train__weighting__cosine__detection/instance/mask": 0.1,
                "train__weighting__cosine__instance/box/instance/mask": 0.9,
            },
        )
    ]
    signs = read_signs([history], ("detection", "instance"))
    assert signs["instance"].shares == pytest.approx({"detection": 0.25, "instance": 0.75})
    assert signs["detection"].cosines == pytest.approx({"instance": -0.2})


def test_cosines_losses_and_clipping_are_means_over_seeds() -> None:
    one = [
        row(**{"train__weighting__cosine__detection/semantic": 0.2, "train__detection__loss": 2.0}),
        row(train__detection__loss=1.0, val__detection__loss=3.0, train__clipped__shared=0.1),
    ]
    other = [row(train__detection__loss=2.0, val__detection__loss=5.0, train__clipped__detection=0.4)]
    signs = read_signs([one, other], TASKS)["detection"]
    assert signs.cosines == {"semantic": 0.2}
    assert (signs.train_loss, signs.val_loss, signs.clipped) == (1.5, 4.0, 0.4)


@pytest.mark.parametrize(
    "history",
    [[], [row(epoch=0)], [looked(1, "nan")], [looked(0, 0)], [looked(1, "")], [row(train__detection__loss="broken")]],
)
def test_what_is_not_in_the_log_is_not_known(history: list[dict[str, str]]) -> None:
    signs = read_signs([history], TASKS)["detection"]
    assert signs.shares == {}
    assert signs.cosines == {}
    assert math.isnan(signs.clipped)
    assert math.isnan(signs.train_loss)


def test_a_task_that_is_off_leaves_the_epoch_out() -> None:
    alternating = [looked(1, 1), row(train__weighting__gradient_norm__detection=5, train__detection__weight=1)]
    assert read_signs([alternating], TASKS)["detection"].shares["detection"] == 0.5
