"""The images of an evaluation as they are in their files, for a network that does not look at canvases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vjo_train.data.datamodule import DataModule
from vjo_train.data.decode import read_image
from vjo_train.inference.prediction import Found
from vjo_train.types import Batch, Movable


def originals(data: DataModule, batch: Batch) -> list[Tensor]:
    """The pictures of a batch of an evaluation, uint8 [3, H, W] each, in the pixels that its labels are in."""
    index = data.index
    rows = index.rows(batch.ids).tolist()
    return [read_image(index.image(data.root, row), None, index.size(row), data.span) for row in rows]


def lists(found: Found, data: DataModule) -> Callable[[Batch], dict[str, list[Any]]]:
    """A network that predicts for batches of an evaluation: task -> one prediction per image, on the CPU.

    Args:
        found: predicts for pictures.
        data: where they lie; its index is read with the first batch.
    """

    def network(batch: Batch) -> dict[str, list[Any]]:
        with torch.inference_mode():
            each = [
                {task: one.to("cpu") if isinstance(one, Tensor | Movable) else one for task, one in own.items()}
                for own in found(batch, originals(data, batch))
            ]
        return {task: [own[task] for own in each] for task in each[0]}

    return network
