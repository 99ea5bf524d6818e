"""Endless shuffled sequences over some images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Sample(NamedTuple):
    """One image of a batch, and the key of its augmentation."""

    image: int
    stream: str
    """Which endless sequence of images it comes from."""
    round: int
    """How often it has come in that sequence before, or more: no number comes twice for an image."""


class Stream:
    """An endless sequence over some images, one shuffled round after another; a pure function of (seed, position).

    Without weights, a round has all images once. With them it has about as many places, and each image as often as its
    weight says, or the whole numbers next to that: systematic sampling over a shuffled order.

    Args:
        name: of the sequence; part of the seed.
        images: their numbers.
        seed: of all shuffling.
        weights: by the number of an image, above 0: how often it comes, relative to the others; None: equally often.
    """

    def __init__(
        self,
        name: str,
        images: npt.NDArray[np.int64],
        seed: int,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.name, self.images, self.seed = name, images, seed
        self._shares = None if weights is None else weights[images] / weights[images].mean()
        self._cached: tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]] = (-1, images, images)

    def __getitem__(self, position: int) -> Sample:
        number, place = divmod(position, len(self.images))
        if self._cached[0] != number:
            rng = np.random.default_rng([self.seed, number, *self.name.encode()])
            drawn = rng.permutation(self.images) if self._shares is None else self._draw(self._shares, rng)
            self._cached = (number, drawn, _earlier(drawn))
        _, drawn, earlier = self._cached
        return Sample(int(drawn[place]), self.name, number * self._most + int(earlier[place]))

    def batch(self, number: int, size: int) -> list[Sample]:
        """The images of the `number`-th of batches of `size`, from 0."""
        return [self[position] for position in range(number * size, (number + 1) * size)]

    @property
    def _most(self) -> int:
        """How often an image may come in a round."""
        return 1 if self._shares is None else int(np.ceil(self._shares.max())) + 1

    def _draw(self, shares: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        order = rng.permutation(len(self.images))
        ends = np.cumsum(shares[order])
        places = np.arange(len(self.images)) + rng.random()
        taken = np.minimum(np.searchsorted(ends, places, side="right"), len(order) - 1)
        return rng.permutation(self.images[order[taken]])


def _earlier(drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[N]: how often each image has come before in the round."""
    order = np.argsort(drawn, kind="stable")
    starts = np.flatnonzero(np.diff(drawn[order], prepend=-1))
    counts = np.diff(starts, append=len(drawn))
    earlier = np.empty(len(drawn), np.int64)
    earlier[order] = np.arange(len(drawn)) - np.repeat(starts, counts)
    return earlier
