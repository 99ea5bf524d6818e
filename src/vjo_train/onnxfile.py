"""ONNX files of `vjo-export`: how they are opened, and what they say of themselves. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from vjo_train.errors import CheckpointError, ConfigError

CONFIG = "vjo_train.config"
"""Key of the metadata: the run's config as JSON, with the exported heads alone."""
MISSING_EXTRA = "{key}: {package} is not installed; pip install 'vjo-train[export]'."


def open_session(path: Path, accelerator: Literal["auto", "cpu", "gpu"] = "cpu", *, optimise: bool = True) -> Any:
    """An `onnxruntime.InferenceSession` of the file.

    Args:
        path: the file.
        accelerator: `auto` takes a GPU where onnxruntime has one.
        optimise: rewrite the graph for speed, which takes time itself.

    Raises:
        ConfigError: onnxruntime is not installed, or has no GPU where one is wanted.
        CheckpointError: the file is missing or damaged.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise ConfigError(MISSING_EXTRA.format(key="model", package="onnxruntime")) from error
    if not path.is_file():
        raise CheckpointError(f"model: found '{path}', which is no file; must be an ONNX file of vjo-export.")
    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if accelerator == "gpu" and not gpu:
        raise ConfigError("accelerator: found gpu, but this onnxruntime has none; install onnxruntime-gpu, or use cpu.")
    providers = ["CUDAExecutionProvider"] if gpu and accelerator != "cpu" else []
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    faults = (state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.NotImplemented, state.Fail)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[*providers, "CPUExecutionProvider"])
    except faults as error:
        raise CheckpointError(f"model: {path} is damaged or no ONNX file ({str(error).splitlines()[0]}).") from error


def load_config(path: Path) -> DictConfig:
    """The config that `vjo-export` has put into the file.

    Raises:
        ConfigError: onnxruntime is not installed.
        CheckpointError: the file is missing, damaged, or of another program.
    """
    metadata = open_session(path, optimise=False).get_modelmeta().custom_metadata_map
    if CONFIG not in metadata:
        raise CheckpointError(f"model: {path} was not written by vjo-export: its metadata hold no {CONFIG}.")
    cfg = OmegaConf.create(json.loads(metadata[CONFIG]))
    assert isinstance(cfg, DictConfig)
    return cfg
