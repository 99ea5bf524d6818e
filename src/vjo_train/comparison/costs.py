"""What the networks of a comparison cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from vjo_train.comparison.reading import Run


@dataclass(frozen=True)
class Cost:
    """What one seed's network costs, or, for single-task runs, the networks of all tasks together.

    Attributes:
        parameters: of the network.
        seconds: of training.
        images_per_second: at inference, all tasks; of training where that is not known.
        at_inference: which of the two it is.
        flops: of one image at inference; NaN where that is not known.
    """

    parameters: float
    seconds: float
    images_per_second: float
    at_inference: bool
    flops: float


def cost_of(run: Run) -> Cost:
    """The cost of a finished run."""
    results = run.results
    assert results is not None
    inference = results.inference_images_per_second
    known = math.isfinite(inference)
    speed = inference if known else results.images_per_second
    return Cost(results.parameters, results.wall_seconds, speed, known, results.inference_flops)


def together(costs: Sequence[Cost]) -> Cost:
    """The cost of several networks that run one after another on every image."""
    per_image = sum(1 / cost.images_per_second for cost in costs)
    return Cost(
        sum(cost.parameters for cost in costs),
        sum(cost.seconds for cost in costs),
        1 / per_image,
        all(cost.at_inference for cost in costs),
        sum(cost.flops for cost in costs),
    )


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """The cost of an average one of several seeds."""
    return Cost(
        fmean(cost.parameters for cost in costs),
        fmean(cost.seconds for cost in costs),
        fmean(cost.images_per_second for cost in costs),
        all(cost.at_inference for cost in costs),
        fmean(cost.flops for cost in costs),
    )
