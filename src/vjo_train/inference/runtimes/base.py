"""What an exported file is to the rest of the program. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

import numpy.typing as npt

Accelerator: TypeAlias = Literal["auto", "cpu", "gpu"]
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
MISSING_EXTRA = "{key}: {package} is not installed; pip install 'vjo-train[{extra}]'."


class Runtime(Protocol):
    """A file that is open: arrays by name -> arrays by name, the images of a batch along the first axis.

    Attributes:
        inputs: the names of the arrays that it takes: `images` [B, 3, H, W] uint8, and `sizes` [B, 2] int64, height and
            width of the picture files, where it decodes.
    """

    inputs: tuple[str, ...]

    def __call__(self, given: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """The outputs for a batch; of `given` it takes what it has inputs for."""
