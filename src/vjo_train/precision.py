"""Which arithmetic `trainer.precision=auto` means on this machine."""

from __future__ import annotations

import torch


def choose_precision(wanted: str, accelerator: str) -> str:
    """`auto` -> `bf16-mixed` where the hardware multiplies bfloat16, else `32-true`; anything else stays.

    A GPU counts from compute capability 8.0 on; a CPU if it has AMX, since without it bf16 is many times slower
    than float32.
    """
    if wanted != "auto":
        return wanted
    if accelerator != "cpu" and torch.cuda.is_available():
        fast = torch.cuda.get_device_capability() >= (8, 0)
    else:
        fast = torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast else "32-true"
