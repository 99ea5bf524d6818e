"""The predictions of an exported file: what its outputs mean, by the heads that it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from vjo_train.errors import CheckpointError
from vjo_train.heads.base import Head
from vjo_train.heads.outputs import from_named_tensors, output_kind
from vjo_train.inference.runtimes.base import Accelerator
from vjo_train.inference.runtimes.files import open_runtime
from vjo_train.types import Batch

ByImage: TypeAlias = Callable[[int], Any]
"""The place of an image in a batch -> a head's prediction for it, in the head's own classes."""


class FileNetwork:
    """The network of an exported file, whose outputs `heads` decode; their weights play no part.

    What the file itself decodes is taken as it is, if the head's predictions are made of that.

    Args:
        heads: task -> head.
        path: the file.
        accelerator: where it runs.

    Raises:
        CheckpointError: the file is damaged.
        ConfigError: its library is not installed or has no such accelerator.
    """

    def __init__(self, heads: Mapping[str, Head], path: Path, accelerator: Accelerator) -> None:
        self.heads, self.path = heads, path
        self.runtime = open_runtime(path, accelerator)
        self._decodes = "sizes" in self.runtime.inputs

    def __call__(self, batch: Batch) -> dict[str, ByImage]:
        """Task -> its predictions for a batch, one by one.

        Raises:
            CheckpointError: the file lacks an output.
        """
        given = {"images": batch.images.numpy(), "sizes": batch.frames.originals.numpy()}
        tensors = {name: torch.from_numpy(value) for name, value in self.runtime(given).items()}
        try:
            return {task: self._predictions(task, head, tensors, batch) for task, head in self.heads.items()}
        except KeyError as error:
            why = f"model: {self.path} has no output {error}; was it written by another version?"
            raise CheckpointError(why) from error

    def lists(self, batch: Batch) -> dict[str, list[Any]]:
        """Task -> one prediction per image, in the head's own classes."""
        return {task: [own(k) for k in range(len(batch))] for task, own in self(batch).items()}

    def _predictions(self, task: str, head: Head, tensors: Mapping[str, Tensor], batch: Batch) -> ByImage:
        kind = output_kind(head)
        if kind is None or (self._decodes and type(head).predictions is not Head.predictions):
            prefix = f"{task}."
            own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            if not own:
                raise KeyError(f"{prefix}*")
            return cut(head, own, batch)
        return by_image(head, from_named_tensors(task, kind, tensors), batch)


def by_image(head: Head, outputs: Any, batch: Batch) -> ByImage:
    """Predictions one by one, so that the masks of one image alone are in memory, where the head allows it."""
    if type(head).predictions is Head.predictions:
        found = head.decode(outputs, batch)
        return lambda k: found[k]
    return cut(head, head.decoded(outputs, batch.frames), batch)


def cut(head: Head, decoded: Mapping[str, Tensor], batch: Batch) -> ByImage:
    """Predictions one by one of what `Head.decoded` gives for a batch."""

    def prediction(k: int) -> Any:
        own = slice(k, k + 1)
        part = {name: tensor[own] for name, tensor in decoded.items()}
        return head.predictions(part, batch.part(own))[0]

    return prediction
