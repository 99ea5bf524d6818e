"""The predictions of an exported file: what its outputs mean, by the heads that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vjo_train.errors import CheckpointError
from vjo_train.heads.base import Head
from vjo_train.heads.outputs import from_named_tensors, output_kind
from vjo_train.inference.reading import WHOLE, ByImage, Reading
from vjo_train.inference.runtimes.base import Accelerator
from vjo_train.inference.runtimes.files import open_runtime
from vjo_train.types import Batch


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

    def __call__(self, batch: Batch, reading: Reading = WHOLE) -> dict[str, ByImage]:
        """Task -> its predictions for a batch, one by one, or what else `reading` makes of its outputs.

        Raises:
            CheckpointError: the file lacks an output.
        """
        given = {"images": batch.images.numpy(), "sizes": batch.frames.originals.numpy()}
        tensors = {name: torch.from_numpy(value) for name, value in self.runtime(given).items()}
        try:
            return {task: self._read(task, head, tensors, batch, reading) for task, head in self.heads.items()}
        except KeyError as error:
            raise lacking(self.path, error) from error

    def lists(self, batch: Batch) -> dict[str, list[Any]]:
        """Task -> one prediction per image, in the head's own classes."""
        return {task: [own(k) for k in range(len(batch))] for task, own in self(batch).items()}

    def _read(self, task: str, head: Head, tensors: Mapping[str, Tensor], batch: Batch, reading: Reading) -> ByImage:
        kind = output_kind(head)
        if kind is None or (self._decodes and type(head).predictions is not Head.predictions):
            return reading.of_decoded(head, outputs_of(task, tensors), batch)
        return reading.of_outputs(head, from_named_tensors(task, kind, tensors), batch)


def outputs_of(task: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file has decoded for a head, by the head's own names.

    Raises:
        KeyError: nothing.
    """
    prefix = f"{task}."
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not own:
        raise KeyError(f"{prefix}*")
    return own


def lacking(path: Path, error: KeyError) -> CheckpointError:
    """What is said of a file that has no output of the name in `error`."""
    return CheckpointError(f"model: {path} has no output {error}; was it written by another version?")
