"""Pictures in, results out: what `vjo_train.load` gives."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, overload

import numpy as np
from PIL import Image
from torch import Tensor

from vjo_train.errors import DataError
from vjo_train.inference.inputs import load
from vjo_train.inference.picture_results import Prediction, at_least
from vjo_train.inference.pictures import Given, ImageFile, Readable, readable
from vjo_train.inference.predictor import Predictor
from vjo_train.inference.results import result_of
from vjo_train.inference.sources import find_sources

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
        self.tasks = tuple(predictor.heads)
        self.classes = predictor.classes
        self.size = predictor.canvas
        self.batch_size = predictor.batch_size
        self.origin = predictor.origin

    def __repr__(self) -> str:
        return f"Network({self.origin!r}, tasks={list(self.tasks)}, {len(self.classes)} classes)"

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a text, an array or a tensor is one picture
        self, images: Given, *, threshold: float = 0.0
    ) -> Prediction: ...

    @overload
    def __call__(self, images: Iterable[Given], *, threshold: float = 0.0) -> list[Prediction]: ...

    def __call__(self, images: Given | Iterable[Given], *, threshold: float = 0.0) -> Prediction | list[Prediction]:
        """Predicts on one picture, or on several.

        Args:
            images: one picture: the path of a file, an array [H, W, 3] of uint8 RGB, a picture of Pillow's, or a tensor
                [3, H, W] of uint8 RGB. Or a list, or anything else that gives such pictures; they may differ in size
                and form.
            threshold: objects of a lower confidence are left out; those below the head's own `score_threshold` are
                never there.

        Returns:
            A `Prediction` for one picture; a list in the order of the pictures for several.

        Raises:
            DataError: a picture that cannot be read, or is none.
        """
        if isinstance(images, str | os.PathLike | np.ndarray | Image.Image | Tensor) or not isinstance(
            images, Iterable
        ):
            (found,) = self._predicted([(0, readable(images))], threshold, "error")
            return found
        return list(self.stream(images, threshold=threshold))

    def stream(
        self,
        images: str | os.PathLike[str] | Iterable[Given],
        *,
        threshold: float = 0.0,
        on_bad_image: Literal["error", "skip"] = "error",
    ) -> Iterator[Prediction]:
        """Predicts on any number of pictures; no more than a batch of them is in memory.

        Args:
            images: a folder, searched to the bottom; a pattern such as `photos/*.jpg`; or pictures as above, also from
                a generator, which is asked for a batch at a time.
            threshold: as above.
            on_bad_image: of pictures that cannot be read: `error` raises, `skip` leaves them out and says so in the log
                `vjo_train`.

        Returns:
            The predictions in the order of the pictures.

        Raises:
            ConfigError: there is no such folder, or no picture in it.
            DataError: a picture that cannot be read, or is none.
        """
        if on_bad_image not in ("error", "skip"):
            raise DataError(f"on_bad_image: found {on_bad_image!r}; must be error or skip.")
        return self._in_batches(_all(images), threshold, on_bad_image)

    def _in_batches(self, images: Iterator[Readable], threshold: float, on_bad_image: str) -> Iterator[Prediction]:
        rest = enumerate(images)
        while part := list(islice(rest, self.batch_size)):
            yield from self._predicted(part, threshold, on_bad_image)

    def _predicted(self, part: list[tuple[int, Readable]], threshold: float, on_bad_image: str) -> Iterator[Prediction]:
        """The predictions for one batch, by the places of its pictures."""
        own = self._predictor
        loaded = load(dict(part), canvas=own.canvas, tasks=own.tasks, span=own.span)
        for why in loaded.unreadable.values():
            if on_bad_image == "error":
                raise DataError(why)
            log.warning("Skipped %s", why)
        if not loaded.places:
            return
        found = own.network(loaded.batch)
        for name, picture, published in zip(loaded.batch.ids, loaded.pictures, found, strict=True):
            kept = {task: at_least(prediction, threshold) for task, prediction in published.items()}
            results = {task: result_of(prediction, own.classes, own.heads[task]) for task, prediction in kept.items()}
            pixels = picture.permute(1, 2, 0).numpy()
            yield Prediction(name, pixels, results, own.classes, kept, own.heads)


def _all(images: str | os.PathLike[str] | Iterable[Given]) -> Iterator[Readable]:
    if isinstance(images, str | os.PathLike):
        return (ImageFile(source.path) for source in find_sources(os.fspath(images)))
    one = isinstance(images, Image.Image) or (isinstance(images, np.ndarray | Tensor) and images.ndim < 4)
    if one or not isinstance(images, Iterable):
        raise DataError(f"images: found one {type(images).__name__}; a stream takes several, such as a list.")
    return (readable(image, f"images[{place}]") for place, image in enumerate(images))
