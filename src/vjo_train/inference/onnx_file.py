"""What the files of `vjo-export` say of themselves. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vjo_train import __version__
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.inference.runtimes.files import information
from vjo_train.runs.renamed import with_current_names

ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
"""Format -> the ending of its files, by which they are told apart."""
CONFIG = "vjo_train.config"
"""Key of the metadata: the run's config as JSON, with the exported heads alone."""
CHANNELS = "vjo_train.channels"
"""Key of the metadata: the channels of every level of the pyramid as JSON, with which the heads are built again."""
STRIDES = "vjo_train.strides"
"""Key of the metadata: the strides of every level, likewise."""
SIZE = "vjo_train.parameters"
"""Key of the metadata: the number of parameters of the network."""
PRECISION = "vjo_train.precision"
"""Key of the metadata: what the file computes in."""
DECODED = "vjo_train.decoded"
"""Key of the metadata: whether predictions are in the file, `true` or `false`."""
RESIZES = "vjo_train.resizes"
"""Key of the metadata: whether the file takes pictures of any size, `true` or `false`."""
DECODING = frozenset({"score_threshold", "nms_threshold", "candidates", "detections_per_image", "eval_proposals"})
"""Keys of heads that say how objects are decoded: fixed in a file that does it."""


def metadata(
    config: DictConfig,
    channels: Mapping[str, int],
    strides: Mapping[str, int],
    size: int,
    precision: str,
    decoded: bool,
    resizes: bool = False,
) -> dict[str, str]:
    """What an exported file says of itself, so that it needs nothing beside it.

    Args:
        config: the run's, with the exported heads alone.
        channels: of every level of the pyramid.
        strides: of every level.
        size: the number of parameters of the network.
        precision: what the file computes in.
        decoded: whether predictions are in the file.
        resizes: whether it takes pictures of any size.
    """
    return {
        CONFIG: json.dumps(OmegaConf.to_container(config, resolve=True)),
        CHANNELS: json.dumps(dict(channels)),
        STRIDES: json.dumps(dict(strides)),
        SIZE: str(size),
        PRECISION: precision,
        DECODED: json.dumps(decoded),
        RESIZES: json.dumps(resizes),
        "vjo_train.version": __version__,
        "vjo_train.classes": json.dumps(list(config.dataset.classes)),
    }


def usual_path(run: str, form: str) -> str:
    """Where a run's file in a format lies, unless the user says otherwise."""
    return f"{run}/model{ENDINGS[form]}"


def load_config(path: Path) -> DictConfig:
    """The config that `vjo-export` has put into the file.

    Raises:
        ConfigError: the library that reads the file is not installed.
        CheckpointError: the file is missing, damaged, or of another program.
    """
    cfg = OmegaConf.create(_load(path, CONFIG))
    assert isinstance(cfg, DictConfig)
    return with_current_names(cfg)


def load_pyramid(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Channels and strides of every level of the pyramid that the heads read; raises as `load_config`."""
    # Files of older versions say nothing of strides: all are the usual ones.
    return _load(path, CHANNELS), _load(path, STRIDES, missing={})


def load_size(path: Path) -> int:
    """The number of parameters of the network; 0 where the file is older than this key. Raises as `load_config`."""
    return int(information(path).get(SIZE, 0))


def load_precision(path: Path) -> str:
    """What the file computes in: `float32`, `float16` or `int8`; raises as `load_config`."""
    return information(path).get(PRECISION, "float32")


def load_resizes(path: Path) -> bool:
    """Whether the file takes pictures of any size; raises as `load_config`."""
    return information(path).get(RESIZES) == "true"


def check_decoding(path: Path, heads: DictConfig) -> None:
    """Refuses thresholds that a file which decodes would not take.

    Args:
        path: the file.
        heads: task -> its keys, as they are wanted now.

    Raises:
        ConfigError: one of them is another than in the file.
    """
    if information(path).get(DECODED) != "true":  # files of older versions say nothing of it
        return
    for task, own in load_config(path).heads.items():
        for key in sorted(DECODING & own.keys()):
            if task in heads and heads[task].get(key) != own[key]:
                raise ConfigError(
                    f"heads.{task}.{key}: found {heads[task].get(key)}, but the objects in {path} are decoded with"
                    f" {own[key]}; export the run anew with this key, or by decoded=false."
                )


def _load(path: Path, key: str, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    found = information(path)
    if key not in found and missing is not None:
        return missing
    if key not in found:
        raise CheckpointError(f"model: {path} was not written by this vjo-export: its metadata hold no {key}.")
    content = json.loads(found[key])
    assert isinstance(content, dict)
    return content
