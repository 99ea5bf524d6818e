"""OpenVINO's pairs of files, `NAME.xml` and `NAME.bin`, run by OpenVINO. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy.typing as npt

from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.inference.runtimes.base import MISSING_EXTRA, Accelerator, Arrays

SECTION = "vjo_train"
"""Where the file's `rt_info` holds what it says of itself."""


class OpenVinoRuntime:
    """A file of `vjo-export format=openvino`.

    Args:
        path: the .xml file; the .bin file lies beside it.
        accelerator: where it runs; `auto` is OpenVINO's own choice.
        threads: of the CPU; None: as many as it has cores.

    Raises:
        ConfigError: OpenVINO is not installed, or finds no GPU of Intel's where one is wanted.
        CheckpointError: the file is damaged.
    """

    def __init__(self, path: Path, accelerator: Accelerator = "cpu", threads: int | None = None) -> None:
        openvino = import_openvino("model")
        device = {"cpu": "CPU", "gpu": "GPU", "auto": "AUTO"}[accelerator]
        core = openvino.Core()
        if accelerator == "gpu" and not any(name.startswith("GPU") for name in core.available_devices):
            raise ConfigError("accelerator: found gpu, but OpenVINO finds none of Intel's here; use cpu.")
        settings: dict[str, Any] = {} if threads is None else {"INFERENCE_NUM_THREADS": threads}
        try:
            # float32 stays float32, also where the CPU is quick at bfloat16.
            self._network = core.compile_model(str(path), device, {"INFERENCE_PRECISION_HINT": "f32", **settings})
        except RuntimeError as error:
            why = str(error).strip().splitlines()[-1]
            raise CheckpointError(f"model: {path} is damaged or no OpenVINO file ({why}).") from error
        self.inputs = tuple(given.any_name for given in self._network.inputs)
        self._outputs = [given.any_name for given in self._network.outputs]

    def __call__(self, given: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        found = self._network({name: given[name] for name in self.inputs}, share_inputs=True)
        return dict(zip(self._outputs, found.to_tuple(), strict=True))


def import_openvino(key: str) -> Any:
    """The module; `key` is what asked for it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(MISSING_EXTRA.format(key=key, package="openvino", extra="openvino")) from error
    return openvino


def information(path: Path) -> dict[str, str]:
    """What the file says of itself, read without OpenVINO.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        section = ElementTree.parse(path).getroot().find(f"rt_info/{SECTION}")
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise CheckpointError(f"model: {path} is damaged or no OpenVINO file ({error}).") from error
    return {} if section is None else {f"{SECTION}.{each.tag}": each.get("value", "") for each in section}
