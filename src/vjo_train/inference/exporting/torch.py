"""The network as an exported program of PyTorch's (`.pt2`), which needs none of this program's code.

Not TorchScript: PyTorch has given it up, and its tracer fixes the number of images in the heads that decode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from vjo_train.heads.detection.suppression import suppress_in_torch
from vjo_train.inference.exporting.onnx import not_traced, quiet
from vjo_train.inference.exporting.traced import Traced
from vjo_train.inference.runtimes.torch import INFORMATION, INPUTS, OUTPUTS


def write_torch(network: Traced, path: Path, metadata: Mapping[str, str]) -> None:
    """Traces the network and writes it in float32.

    Raises:
        ExportError: the network cannot be traced.
    """
    example = network.example()
    with quiet(), torch.no_grad():
        try:
            program = torch.export.export(network, tuple(example.values()), dynamic_shapes=network.dynamic())
        except (RuntimeError, torch._dynamo.exc.TorchDynamoException, ValueError, TypeError) as error:
            raise not_traced(error) from error
        if any(node.target is torch.ops.vjo_train.suppress.default for node in program.graph.nodes):
            program = program.run_decompositions({torch.ops.vjo_train.suppress.default: suppress_in_torch})
        own = {INPUTS: json.dumps(list(example)), OUTPUTS: json.dumps(network.names)}
        torch.export.save(program, path, extra_files={INFORMATION: json.dumps({**metadata, **own})})
