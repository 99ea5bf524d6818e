"""Where a network computes its predictions, and how exactly: what Lightning's trainer would choose, without it."""

from __future__ import annotations

import logging

import torch

from vjo_train.errors import ConfigError
from vjo_train.inference.runtimes.base import Accelerator

log = logging.getLogger("vjo_train")


def chosen_device(accelerator: Accelerator, number: int = 0) -> torch.device:
    """The device that `accelerator` stands for; `auto` is a GPU where there is one.

    Args:
        accelerator: of the config.
        number: which GPU, of several.

    Raises:
        ConfigError: `gpu`, and there is none, or not so many.
    """
    if accelerator != "cpu" and torch.backends.mps.is_available():
        return torch.device("mps", 0)
    there = 0 if accelerator == "cpu" else torch.cuda.device_count()
    if number < there:
        return torch.device("cuda", number)
    if accelerator == "gpu" or number:
        raise ConfigError(f"accelerator: found {accelerator}; this machine has {there or 'no'} GPUs. Try auto or cpu.")
    return torch.device("cpu")


def half(precision: str, device: torch.device) -> torch.dtype | None:
    """What mixed precision computes in on `device`; None: everything is float32.

    Args:
        precision: `32-true`, `bf16-mixed` or `16-mixed`; a CPU computes the last one in bfloat16.
        device: of the network.
    """
    if precision == "16-mixed" and device.type == "cpu":
        log.warning("trainer.precision: found 16-mixed; a CPU computes as with bf16-mixed.")
        return torch.bfloat16
    return {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
