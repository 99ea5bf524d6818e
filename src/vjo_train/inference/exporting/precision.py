"""A network's ONNX file or OpenVINO model in float16 or int8, by the libraries' own tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vjo_train.errors import ConfigError
from vjo_train.inference.exporting.onnx import quiet
from vjo_train.inference.exporting.parts import Node, network_part
from vjo_train.inference.runtimes.base import MISSING_EXTRA, Arrays

QUANTISED = frozenset({"Conv", "Gemm", "MatMul", "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat"})
"""Operators of ONNX that onnxruntime computes in eight bits on a CPU."""


def to_float16(path: Path) -> None:
    """Rewrites an ONNX file: weights and arithmetic of the network in float16, decoding and outputs in float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(path)
    _part_outputs_from_constants(model)
    inside, _ = network_part(_onnx_nodes(model))
    others = [node.name for node in model.graph.node if node.name not in inside]
    with quiet():
        half = convert_float_to_float16(model, keep_io_types=True, node_block_list=others)
    onnx.save(half, path)


def _part_outputs_from_constants(model: Any) -> None:
    """Puts an operator between a constant and the output that it is, which the conversion takes for one tensor."""
    import onnx

    outputs = {output.name for output in model.graph.output}
    for constant in model.graph.initializer:
        if constant.name in outputs:
            name, constant.name = constant.name, f"{constant.name}.constant"
            for node in model.graph.node:
                node.input[:] = [constant.name if given == name else given for given in node.input]
            copied = onnx.helper.make_node("Identity", [constant.name], [name], name=f"{name}.output")
            model.graph.node.append(copied)


def quantise_onnx(path: Path, samples: Sequence[Arrays]) -> None:
    """Rewrites an ONNX file in eight bits, with the ranges that activations have on `samples`, its inputs.

    Weights have a scale per channel. The last layer of each head and what decodes it stay in float32.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[Arrays] = iter(samples)

        def get_next(self) -> Arrays | None:
            return next(self._left, None)

    nodes = _onnx_nodes(onnx.load(path))
    inside, last = network_part(nodes)
    with quiet():
        quantize_static(
            path,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=[name for name in nodes if name in inside - last and nodes[name].kind in QUANTISED],
            op_types_to_quantize=sorted(QUANTISED),
        )


def quantise_openvino(model: Any, samples: Sequence[Arrays]) -> Any:
    """An OpenVINO model in eight bits by NNCF; else as `quantise_onnx`.

    Raises:
        ConfigError: NNCF is not installed.
    """
    try:
        import nncf
    except ImportError as error:
        raise ConfigError(MISSING_EXTRA.format(key="precision=int8", package="nncf", extra="openvino")) from error
    nodes = {
        op.get_friendly_name(): Node(
            op.get_type_name(), [given.get_source_output().get_node().get_friendly_name() for given in op.inputs()]
        )
        for op in model.get_ordered_ops()
    }
    inside, last = network_part(nodes)
    apart = {"Constant", "Parameter", "Result"}
    ignored = [name for name, node in nodes.items() if name not in inside - last and node.kind not in apart]
    with quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(samples),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(samples),
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
        )


def _onnx_nodes(model: Any) -> dict[str, Node]:
    makers = {output: node.name for node in model.graph.node for output in node.output}
    return {node.name: Node(node.op_type, [makers.get(name, "") for name in node.input]) for node in model.graph.node}
