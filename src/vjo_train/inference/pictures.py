"""The forms that a picture may be given in, read alike: a file, an array, a picture of Pillow's, a tensor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from vjo_train.data.decode import read_image, reduction
from vjo_train.data.deep_pictures import Span, narrowed
from vjo_train.data.letterbox import Picture
from vjo_train.data.opening import MOST_PIXELS
from vjo_train.data.orientation import on_its_side, orientation, orientation_of, upright
from vjo_train.data.rgb import as_rgb, from_array
from vjo_train.errors import DataError
from vjo_train.types import Canvas

Given: TypeAlias = str | os.PathLike[str] | npt.NDArray[Any] | Image.Image | Tensor
"""One picture: the path of a file; an array [H, W, 3] of uint8 RGB (also [H, W, 4] RGBA, and [H, W] grey of uint8 or
uint16); a picture of Pillow's; a tensor [3, H, W] of uint8 RGB (also [4, H, W] and [1, H, W]), on any device."""


class Readable(Protocol):
    """A picture that can be read."""

    @property
    def name(self) -> str:
        """What it is called: the path of a file; empty where it has none."""

    def read(self, canvas: Canvas, span: Span | None = None) -> tuple[Tensor, Picture]:
        """The picture as viewers show it, uint8 [3, H, W], and what is to be scaled to fit on a canvas.

        Args:
            canvas: its height and width.
            span: what is black and white where there are more than 8 bits a colour; None: by the picture's own values.

        Raises:
            DataError: it cannot be read.
        """


@dataclass(frozen=True)
class ImageFile:
    """A file; it is reduced while it is decoded, to the bit as the evaluation does it."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self, canvas: Canvas, span: Span | None = None) -> tuple[Tensor, Picture]:
        stored, turn = read_image(self.path, span=span), orientation(self.path)
        shown = upright(stored, turn)
        whole = Picture.bare(shown)
        factor = reduction(whole.size, canvas)
        if factor == 1:
            return shown, whole
        own = canvas[::-1] if on_its_side(turn) else canvas
        return shown, Picture.bare(upright(read_image(self.path, own, span=span), turn), whole.size, factor)


@dataclass(frozen=True)
class InMemory:
    """A decoded picture: the way of a file without losses that holds it."""

    image: Image.Image

    @property
    def name(self) -> str:
        return str(getattr(self.image, "filename", "") or "")

    def read(self, canvas: Canvas, span: Span | None = None) -> tuple[Tensor, Picture]:
        if self.image.width * self.image.height > MOST_PIXELS:
            found = f"found {self.image.width} x {self.image.height} pixels"
            raise DataError(f"{self.name or 'picture'}: {found}; must be at most {MOST_PIXELS} in all.")
        turn = orientation_of(self.image)
        try:
            small = narrowed(self.image, None, span)
            stored = as_rgb(small)
        except (OSError, SyntaxError, ValueError) as error:  # a file that Pillow has opened and not yet decoded
            raise DataError(f"{self.name or 'picture'}: damaged ({error}); must be a whole picture.") from error
        shown = upright(_tensor(stored), turn)
        whole = Picture.bare(shown)
        factor = reduction(whole.size, canvas)
        if factor == 1:
            return shown, whole
        return shown, Picture.bare(upright(_tensor(as_rgb(small, factor)), turn), whole.size, factor)


def readable(given: Given, key: str = "images") -> Readable:
    """What reads a picture that is given in any of its forms.

    Args:
        given: the picture.
        key: what the caller calls it, for messages.

    Raises:
        DataError: it is none, such as a folder or an array of floats.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given).expanduser()
        if path.is_dir():
            raise DataError(f"{key}: found '{path}', a folder; stream(folder) predicts on all pictures in it.")
        return ImageFile(path)
    if isinstance(given, Image.Image):
        return InMemory(given)
    if isinstance(given, Tensor) and (given.ndim != 3 or given.shape[0] not in (1, 3, 4)):
        several = "; several are given as a list" if given.ndim == 4 else ""
        raise DataError(f"{key}: found a tensor of shape {list(given.shape)}; must be [3, H, W] uint8 RGB{several}.")
    array = given.detach().cpu().permute(1, 2, 0).numpy() if isinstance(given, Tensor) else given
    if not isinstance(array, np.ndarray):
        kinds = "the path of a file, an array, a picture of Pillow's or a tensor"
        raise DataError(f"{key}: found {type(given).__name__}; must be {kinds}.")
    try:
        return InMemory(from_array(array))
    except DataError as error:
        several = " Several pictures are given as a list: list(array)." if array.ndim == 4 else ""
        raise DataError(f"{key}: {error}{several}") from None


def _tensor(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """[H, W, 3] -> [3, H, W]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)
