"""The network as OpenVINO's pair of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vjo_train.inference.runtimes.openvino import SECTION, import_openvino


def read_onnx(path: Path) -> Any:
    """An ONNX file as an `openvino.Model`."""
    return import_openvino("format=openvino").convert_model(str(path))


def write_openvino(model: Any, path: Path, metadata: Mapping[str, str], *, half: bool) -> None:
    """Writes `path` and, beside it, its .bin file; with `half` the weights are kept in float16."""
    for key, value in metadata.items():
        model.set_rt_info(value, [SECTION, key.removeprefix(f"{SECTION}.")])
    import_openvino("format=openvino").save_model(model, str(path), compress_to_fp16=half)
