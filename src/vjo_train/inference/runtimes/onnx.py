"""ONNX files, run by onnxruntime. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.inference.runtimes.base import MISSING_EXTRA, Accelerator, Arrays


class OnnxRuntime:
    """A file that `open_session` opens; raises as it does."""

    def __init__(self, path: Path, accelerator: Accelerator = "cpu", threads: int | None = None) -> None:
        self._session = open_session(path, accelerator, threads)
        self.inputs = tuple(given.name for given in self._session.get_inputs())
        self._outputs = [given.name for given in self._session.get_outputs()]

    def __call__(self, given: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        values = self._session.run(self._outputs, {name: given[name] for name in self.inputs})
        return dict(zip(self._outputs, values, strict=True))


def open_session(
    path: Path, accelerator: Accelerator = "cpu", threads: int | None = None, *, optimise: bool = True
) -> Any:
    """An `onnxruntime.InferenceSession` of the file.

    Args:
        path: the file.
        accelerator: `auto` takes a GPU where onnxruntime has one.
        threads: of the CPU; None: as many as it has cores.
        optimise: rewrite the graph for speed, which takes time itself.

    Raises:
        ConfigError: onnxruntime is not installed, or has no GPU where one is wanted.
        CheckpointError: the file is damaged.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise ConfigError(MISSING_EXTRA.format(key="model", package="onnxruntime", extra="export")) from error
    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if accelerator == "gpu" and not gpu:
        raise ConfigError("accelerator: found gpu, but this onnxruntime has none; install onnxruntime-gpu, or use cpu.")
    providers = ["CUDAExecutionProvider"] if gpu and accelerator != "cpu" else []
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    faults = (state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.NotImplemented, state.Fail)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[*providers, "CPUExecutionProvider"])
    except faults as error:
        raise CheckpointError(f"model: {path} is damaged or no ONNX file ({str(error).splitlines()[0]}).") from error


def information(path: Path) -> dict[str, str]:
    """What the file says of itself; raises as `open_session`."""
    return dict(open_session(path, optimise=False).get_modelmeta().custom_metadata_map)
