"""Which library runs a file of `vjo-export`, by its ending. Imports no torch before a file of PyTorch's is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from vjo_train.errors import CheckpointError
from vjo_train.inference.runtimes import onnx, openvino, torch
from vjo_train.inference.runtimes.base import Accelerator, Runtime

Opener: TypeAlias = Callable[[Path, Accelerator, int | None], Runtime]

OPENERS: dict[str, tuple[Opener, Callable[[Path], dict[str, str]]]] = {
    ".onnx": (onnx.OnnxRuntime, onnx.information),
    ".xml": (openvino.OpenVinoRuntime, openvino.information),
    ".pt2": (torch.TorchRuntime, torch.information),
}
"""Ending -> what opens such a file, and what reads what it says of itself."""


def open_runtime(path: Path, accelerator: Accelerator = "cpu", threads: int | None = None) -> Runtime:
    """The file, ready to run; `threads` of the CPU, as many as it has cores by default.

    Raises:
        ConfigError: its library is not installed, or has no such accelerator.
        CheckpointError: the file is missing, damaged, or of another program.
    """
    return _of(path)[0](path, accelerator, threads)


def information(path: Path) -> dict[str, str]:
    """What the file says of itself; raises as `open_runtime`."""
    return _of(path)[1](path)


def _of(path: Path) -> tuple[Opener, Callable[[Path], dict[str, str]]]:
    if not path.is_file():
        raise CheckpointError(f"model: found '{path}', which is no file; must be a file of vjo-export.")
    # Files of other endings are taken for ONNX, which needs none.
    return OPENERS.get(path.suffix.lower(), OPENERS[".onnx"])
