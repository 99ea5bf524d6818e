"""How often images come in training so that rare classes are seen more (Gupta, Dollar, Girshick 2019, LVIS)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def repeat_factors(shown: npt.NDArray[np.int64], images: int, count: int, threshold: float) -> npt.NDArray[np.float64]:
    """The repeat factor of each image, r_i = max over its classes c of max(1, sqrt(t / f_c)); 1 of one without any.

    Args:
        shown: [P, 2] pairs, each once, of an image and a class that it shows.
        images: I, how many numbers of images there are.
        count: of how many images f_c is the share that show class c.
        threshold: t: classes in a smaller share of the images than this come more often.

    Returns:
        [I], 1 or more.
    """
    factors = np.ones(images)
    if len(shown):
        share = np.bincount(shown[:, 1]) / count
        own = np.sqrt(threshold / share[shown[:, 1]])
        np.maximum.at(factors, shown[:, 0], own)
    return factors
