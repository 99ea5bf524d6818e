"""Pictures in, results out: what `vjo_train.load` gives."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, TypeAlias, overload

import numpy as np
from PIL import Image
from torch import Tensor

from vjo_train.errors import ConfigError, DataError
from vjo_train.inference.inputs import load
from vjo_train.inference.picture_results import Prediction, at_least
from vjo_train.inference.pictures import Given, ImageFile, Readable, readable
from vjo_train.inference.prediction import Network as Predicts
from vjo_train.inference.predictor import Predictor
from vjo_train.inference.results import result_of
from vjo_train.inference.sources import find_sources
from vjo_train.inference.tiling.windows import AUTO, Tiling

Tile: TypeAlias = int | tuple[int, int] | Literal["auto"]
OVERLAP = 0.25

log = logging.getLogger("vjo_train")


class Network:
    """A trained network: `network(picture)` gives a `Prediction`, `network([..])` a list of them.

    Made by `vjo_train.load`. The way of a picture, and so every figure, is that of `vjo-predict`.

    Attributes:
        tasks: the names of the results.
        classes: the names of the data set's C classes.
        size: (height, width) that pictures are scaled to fit on.
        batch_size: pictures per step.
        origin: the file of the weights.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.tasks = tuple(predictor.shows)
        self.classes = predictor.classes
        self.size = predictor.canvas
        self.batch_size = predictor.batch_size
        self.origin = predictor.origin

    def __repr__(self) -> str:
        return f"Network({self.origin!r}, tasks={list(self.tasks)}, {len(self.classes)} classes)"

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a text, an array or a tensor is one picture
        self, images: Given, *, threshold: float = 0.0, tile: Tile | None = None, overlap: float = OVERLAP
    ) -> Prediction: ...

    @overload
    def __call__(
        self, images: Iterable[Given], *, threshold: float = 0.0, tile: Tile | None = None, overlap: float = OVERLAP
    ) -> list[Prediction]: ...

    def __call__(
        self,
        images: Given | Iterable[Given],
        *,
        threshold: float = 0.0,
        tile: Tile | None = None,
        overlap: float = OVERLAP,
    ) -> Prediction | list[Prediction]:
        """Predicts on one picture, or on several.

        Args:
            images: one picture: the path of a file, an array [H, W, 3] of uint8 RGB, a picture of Pillow's, or a tensor
                [3, H, W] of uint8 RGB. Or a list, or anything else that gives such pictures; they may differ in size
                and form.
            threshold: objects of a lower confidence are left out; those below the head's own `score_threshold` are
                never there.
            tile: pictures larger than this, a side or (height, width) in their own pixels, are cut into windows of it,
                which are predicted one by one and put together; `auto`: `size`. None: pictures are scaled to fit.
            overlap: share of a window that its neighbours see too, 0 to 0.9.

        Returns:
            A `Prediction` for one picture; a list in the order of the pictures for several.

        Raises:
            DataError: a picture that cannot be read, or is none.
            ConfigError: a wrong `tile` or `overlap`.
        """
        if isinstance(images, str | os.PathLike | np.ndarray | Image.Image | Tensor) or not isinstance(
            images, Iterable
        ):
            network = self._predictor.network(self._tiling(tile, overlap))
            (found,) = self._predicted(network, [(0, readable(images))], threshold, "error")
            return found
        return list(self.stream(images, threshold=threshold, tile=tile, overlap=overlap))

    def stream(
        self,
        images: str | os.PathLike[str] | Iterable[Given],
        *,
        threshold: float = 0.0,
        on_bad_image: Literal["error", "skip"] = "error",
        tile: Tile | None = None,
        overlap: float = OVERLAP,
    ) -> Iterator[Prediction]:
        """Predicts on any number of pictures; no more than a batch of them is in memory.

        Args:
            images: a folder, searched to the bottom; a pattern such as `photos/*.jpg`; or pictures as above, also from
                a generator, which is asked for a batch at a time.
            threshold: as above.
            on_bad_image: of pictures that cannot be read: `error` raises, `skip` leaves them out and says so in the log
                `vjo_train`.
            tile: as above.
            overlap: as above.

        Returns:
            The predictions in the order of the pictures.

        Raises:
            ConfigError: there is no such folder, or no picture in it; a wrong `tile` or `overlap`.
            DataError: a picture that cannot be read, or is none.
        """
        if on_bad_image not in ("error", "skip"):
            raise DataError(f"on_bad_image: found {on_bad_image!r}; must be error or skip.")
        network = self._predictor.network(self._tiling(tile, overlap))
        return self._in_batches(network, _all(images), threshold, on_bad_image)

    def _tiling(self, tile: Tile | None, overlap: float) -> Tiling | None:
        """How large pictures are cut.

        Raises:
            ConfigError: a wrong value.
        """
        if tile is None:
            return None
        sides = self.size if tile == AUTO else (tile, tile) if isinstance(tile, int) else tile
        if isinstance(sides, str) or len(sides) != 2 or not all(isinstance(k, int) and k >= 32 for k in sides):
            raise ConfigError(f"tile: found {tile!r}; must be a side of 32 pixels or more, (height, width), or 'auto'.")
        if not 0 <= overlap <= 0.9:
            raise ConfigError(f"overlap: found {overlap!r}; must be from 0 to 0.9.")
        return Tiling((sides[0], sides[1]), overlap)

    def _in_batches(
        self, network: Predicts, images: Iterator[Readable], threshold: float, on_bad_image: str
    ) -> Iterator[Prediction]:
        rest = enumerate(images)
        while part := list(islice(rest, self.batch_size)):
            yield from self._predicted(network, part, threshold, on_bad_image)

    def _predicted(
        self, network: Predicts, part: list[tuple[int, Readable]], threshold: float, on_bad_image: str
    ) -> Iterator[Prediction]:
        """The predictions for one batch, by the places of its pictures."""
        own = self._predictor
        loaded = load(dict(part), canvas=own.canvas, tasks=own.tasks, span=own.span)
        for why in loaded.unreadable.values():
            if on_bad_image == "error":
                raise DataError(why)
            log.warning("Skipped %s", why)
        if not loaded.places:
            return
        found = network(loaded.batch, loaded.pictures)
        for name, picture, published in zip(loaded.batch.ids, loaded.pictures, found, strict=True):
            kept = {task: at_least(prediction, threshold) for task, prediction in published.items()}
            results = {task: result_of(said, own.classes, own.heads.get(task)) for task, said in kept.items()}
            pixels = picture.permute(1, 2, 0).numpy()
            yield Prediction(name, pixels, results, own.classes, kept, own.shows)


def _all(images: str | os.PathLike[str] | Iterable[Given]) -> Iterator[Readable]:
    if isinstance(images, str | os.PathLike):
        return (ImageFile(source.path) for source in find_sources(os.fspath(images)))
    one = isinstance(images, Image.Image) or (isinstance(images, np.ndarray | Tensor) and images.ndim < 4)
    if one or not isinstance(images, Iterable):
        raise DataError(f"images: found one {type(images).__name__}; a stream takes several, such as a list.")
    return (readable(image, f"images[{place}]") for place, image in enumerate(images))
