"""Which device a network computes on."""

from __future__ import annotations

import re

import torch

from vjo_train.errors import ConfigError
from vjo_train.inference.runtimes.base import Accelerator


def chosen(device: str, from_file: bool) -> tuple[Accelerator, int]:
    """The accelerator and the number of the GPU that `device` stands for, as `config.predictor` takes them.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        from_file: whether an exported file computes, which takes the first GPU.

    Raises:
        ConfigError: there is no such device.
    """
    name = str(device)
    match = re.fullmatch(r"(auto|cpu|mps|cuda)(?::(\d+))?", name)
    if match is None or (match[2] and match[1] != "cuda"):
        raise ConfigError(f"device: found '{name}'; must be auto, cpu, cuda, cuda:1 or mps.")
    kind, number = match[1], match[2]
    if kind in ("auto", "cpu"):
        return ("cpu" if kind == "cpu" else "auto"), 0
    if from_file:
        if kind == "mps" or number not in (None, "0"):
            raise ConfigError(f"device: found '{name}'; an exported file computes on auto, cpu or cuda.")
        return "gpu", 0
    there = torch.cuda.device_count() if kind == "cuda" else int(torch.backends.mps.is_available())
    if int(number or 0) >= there:
        shown = {0: "none"}.get(there, f"{there}")
        raise ConfigError(f"device: found '{name}'; this machine has {shown} of the kind {kind}. Try auto or cpu.")
    return "gpu", int(number or 0)
