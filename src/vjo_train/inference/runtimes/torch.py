"""PyTorch's exported programs (`.pt2`), run by PyTorch without the code of the network."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.inference.runtimes.base import Accelerator, Arrays

INFORMATION = "vjo_train.json"
"""The extra file of the archive that says what it holds."""
INPUTS, OUTPUTS = "vjo_train.inputs", "vjo_train.outputs"
"""Its keys for the names of the program's inputs and outputs, in their order, as JSON."""


class TorchRuntime:
    """A file of `vjo-export format=torch`.

    Args:
        path: the file.
        accelerator: where it runs; `auto` takes a GPU where there is one.
        threads: of the CPU, for all that PyTorch does in this process; None: leave them as they are.

    Raises:
        ConfigError: there is no GPU where one is wanted.
        CheckpointError: the file is damaged.
    """

    def __init__(self, path: Path, accelerator: Accelerator = "cpu", threads: int | None = None) -> None:
        import torch
        import torchvision  # noqa: F401  # registers operators of its own

        said = information(path)
        if accelerator == "gpu" and not torch.cuda.is_available():
            raise ConfigError("accelerator: found gpu, but PyTorch finds none here; use cpu.")
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        self.inputs = tuple(json.loads(said[INPUTS]))
        self._outputs = json.loads(said[OUTPUTS])
        try:
            logging.getLogger("torch._export").setLevel(logging.ERROR)  # symbols that it no longer needs
            program = torch.export.load(path)
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            why = str(error).strip().splitlines()[0]
            raise CheckpointError(f"model: {path} cannot be read by PyTorch {torch.__version__} ({why}).") from error
        if self._device != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, self._device)
        self._network = program.module()

    def __call__(self, given: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        import torch

        tensors = [torch.from_numpy(given[name]).to(self._device) for name in self.inputs]
        with torch.inference_mode():
            found = self._network(*tensors)
        return {name: tensor.cpu().numpy() for name, tensor in zip(self._outputs, found, strict=True)}


def information(path: Path) -> dict[str, str]:
    """What the file says of itself, read without PyTorch.

    Raises:
        CheckpointError: the file is damaged, or no exported program.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/{INFORMATION}")]
            return dict(json.loads(archive.read(names[0]))) if names else {}
    except (zipfile.BadZipFile, ValueError) as error:
        raise CheckpointError(f"model: {path} is damaged or no exported program ({error}).") from error
