"""The network as an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from vjo_train.errors import ExportError
from vjo_train.heads.detection.suppression import suppress_in_onnx
from vjo_train.inference.exporting.traced import Traced

OPSET = 18
"""The oldest that torch's exporter writes without conversion, so that most runtimes read the file."""


def write_onnx(network: Traced, path: Path, metadata: Mapping[str, str]) -> None:
    """Traces the network and writes it in float32.

    Raises:
        ExportError: the network cannot be traced.
    """
    example = network.example()
    with quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                network,
                tuple(example.values()),
                dynamo=True,
                dynamic_shapes=network.dynamic(),
                input_names=list(example),
                output_names=network.names,
                opset_version=OPSET,
                custom_translation_table={torch.ops.vjo_train.suppress.default: suppress_in_onnx},
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise not_traced(error.__cause__ or error) from error
    assert program is not None
    program.model.metadata_props.update(metadata)
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where each one comes from: paths of this machine
    program.save(path)


def not_traced(cause: BaseException) -> ExportError:
    """What to say of a network that the exporter gives up on."""
    why = str(cause).strip().splitlines()[0]
    return ExportError(f"The network cannot be traced ({why}); tasks=[...] exports some of its heads alone.")


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the exporters' remarks on things that no user of this program can change."""
    names = ("onnxscript", "onnx_ir", "torch.onnx", "torch.export", "torch._export", "nncf", "root")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
