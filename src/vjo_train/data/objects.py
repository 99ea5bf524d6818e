"""The objects of one picture, as the index keeps them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Objects:
    """N objects of one picture."""

    boxes: npt.NDArray[np.float32]
    """[N, 4] 0-based continuous xyxy in the picture file's pixels."""
    labels: npt.NDArray[np.int64]
    """[N] in 0..C-1."""
    difficult: npt.NDArray[np.bool_]
    """[N]: ignored in losses and metrics."""

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def none(cls) -> Objects:
        """No objects at all."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.bool_))
