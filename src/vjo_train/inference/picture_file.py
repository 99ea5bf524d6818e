"""The predictions of an exported file that takes pictures of any size and says all of it in their pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vjo_train.heads.base import Head
from vjo_train.heads.pixels.base import PixelHead
from vjo_train.inference.file_network import lacking, outputs_of
from vjo_train.inference.runtimes.base import Accelerator
from vjo_train.inference.runtimes.files import open_runtime
from vjo_train.types import Batch


class PictureFile:
    """A file of `vjo-export resize=true`; the canvases that pictures lie on play no part.

    Args:
        heads: task -> head, that says what the outputs mean.
        path: the file.
        accelerator: where it runs.

    Raises:
        CheckpointError: the file is damaged.
        ConfigError: its library is not installed or has no such accelerator.
    """

    def __init__(self, heads: Mapping[str, Head], path: Path, accelerator: Accelerator) -> None:
        self.heads, self.path = heads, path
        self.runtime = open_runtime(path, accelerator)

    def found(self, batch: Batch, pictures: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
        """Task -> prediction in the head's own classes, picture by picture.

        Args:
            batch: of the pictures.
            pictures: uint8 [3, H, W].

        Raises:
            CheckpointError: the file lacks an output.
        """
        for k, picture in enumerate(pictures):
            given = {"images": np.ascontiguousarray(picture[None].numpy())}
            tensors = {name: torch.from_numpy(value) for name, value in self.runtime(given).items()}
            one = batch.part(slice(k, k + 1))
            try:
                yield {task: self._prediction(task, head, tensors, one) for task, head in self.heads.items()}
            except KeyError as error:
                raise lacking(self.path, error) from error

    def _prediction(self, task: str, head: Head, tensors: Mapping[str, Tensor], one: Batch) -> Any:
        if isinstance(head, PixelHead):
            return tensors[f"{task}.map"][0]
        return head.predictions(outputs_of(task, tensors), one)[0]
