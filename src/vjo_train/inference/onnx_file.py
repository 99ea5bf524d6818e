"""ONNX files of `vjo-export`: how they are opened, and what they say of themselves. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from vjo_train import __version__
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs.renamed import with_current_names

CONFIG = "vjo_train.config"
"""Key of the metadata: the run's config as JSON, with the exported heads alone."""
CHANNELS = "vjo_train.channels"
"""Key of the metadata: the channels of every level of the pyramid as JSON, with which the heads are built again."""
STRIDES = "vjo_train.strides"
"""Key of the metadata: the strides of every level, likewise."""
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


def metadata(config: DictConfig, channels: Mapping[str, int], strides: Mapping[str, int]) -> dict[str, str]:
    """What an exported file says of itself, so that it needs nothing beside it.

    Args:
        config: the run's, with the exported heads alone.
        channels: of every level of the pyramid.
        strides: of every level.
    """
    return {
        CONFIG: json.dumps(OmegaConf.to_container(config, resolve=True)),
        CHANNELS: json.dumps(dict(channels)),
        STRIDES: json.dumps(dict(strides)),
        "vjo_train.version": __version__,
        "vjo_train.classes": json.dumps(list(config.dataset.classes)),
    }


def load_config(path: Path) -> DictConfig:
    """The config that `vjo-export` has put into the file.

    Raises:
        ConfigError: onnxruntime is not installed.
        CheckpointError: the file is missing, damaged, or of another program.
    """
    cfg = OmegaConf.create(_load(path, CONFIG))
    assert isinstance(cfg, DictConfig)
    return with_current_names(cfg)


def load_pyramid(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Channels and strides of every level of the pyramid that the heads read; raises as `load_config`."""
    # Files of older versions say nothing of strides: all are the usual ones.
    return _load(path, CHANNELS), _load(path, STRIDES, missing={})


def _load(path: Path, key: str, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    found = open_session(path, optimise=False).get_modelmeta().custom_metadata_map
    if key not in found and missing is not None:
        return missing
    if key not in found:
        raise CheckpointError(f"model: {path} was not written by this vjo-export: its metadata hold no {key}.")
    content = json.loads(found[key])
    assert isinstance(content, dict)
    return content
