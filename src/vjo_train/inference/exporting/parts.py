"""Which operators of a graph may be computed less exactly: those of the network, not of resizing or decoding.

Decoding adds up coordinates of hundreds of pixels, for which float16 is too coarse and eight bits are useless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HEAVY = frozenset({
    *("Conv", "ConvTranspose", "Gemm", "MatMul"),
    *("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData"),
})  # fmt: skip
"""ONNX's and OpenVINO's operators that nearly all of the time goes into."""
THROUGH = frozenset({
    *("Add", "Sub", "Subtract", "Mul", "Multiply", "Div", "Divide", "Relu", "PRelu", "LeakyRelu", "Clip", "Clamp"),
    *("Sigmoid", "HardSigmoid", "HardSwish", "HSwish", "Swish", "Gelu", "Erf", "Softmax", "Tanh", "SoftPlus"),
    *("MaxPool", "AveragePool", "AvgPool", "GlobalAveragePool", "ReduceMean", "Resize", "Interpolate", "Upsample"),
    *("Concat", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "StridedSlice", "Split", "Pad"),
    *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization", "MVN", "Sqrt", "Pow"),
    *("RoiAlign", "ROIAlign", "Identity"),
})  # fmt: skip
"""Operators between them that are a part of the network, where they lie before a heavy one."""
BY_FIRST = frozenset({"RoiAlign", "ROIAlign", "Resize", "Interpolate", "Reshape", "Slice", "StridedSlice", "Pad"})
"""Operators whose first input alone holds features: the others are boxes, shapes and sizes."""


@dataclass(frozen=True)
class Node:
    """An operator of a graph, and the operators whose outputs it takes; an empty name: an input or a constant."""

    kind: str
    inputs: Sequence[str]


def network_part(nodes: Mapping[str, Node]) -> tuple[set[str], set[str]]:
    """The operators of the network, and those of them that are the last layer of a head.

    Args:
        nodes: name -> operator, the whole graph.
    """
    resizing = _before_rounding(nodes)
    heavy = [name for name, node in nodes.items() if node.kind in HEAVY and name not in resizing]
    inside, waiting = set[str](), heavy
    used = set[str]()
    while waiting:
        name = waiting.pop()
        if name in inside:
            continue
        inside.add(name)
        node = nodes[name]
        for before in node.inputs[:1] if node.kind in BY_FIRST else node.inputs:
            if before in nodes and nodes[before].kind in HEAVY | THROUGH:
                used.add(before)
                waiting.append(before)
    return inside, {name for name in inside - used if nodes[name].kind in HEAVY}


def _before_rounding(nodes: Mapping[str, Node]) -> set[str]:
    """The operators that a picture goes through before it is made of whole numbers: those that resize it."""
    found, waiting = set[str](), [name for name, node in nodes.items() if node.kind == "Round"]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in found:
            found.add(name)
            waiting += nodes[name].inputs
    return found
