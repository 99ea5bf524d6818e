"""The arithmetic of a run: what `trainer.precision=auto` means on this machine, and how mixed precision casts."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision


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


def cast_once(trainer: pl.Trainer) -> pl.Trainer:
    """Lets a trainer in mixed precision cast each weight once a step, as `torch.autocast` does by itself.

    Lightning casts at every use, but the towers of a dense detector are used at each level of the pyramid: that is a
    tenth of a step on a CPU. Lightning's reason, weights that are first used without gradients in the same step, does
    not occur: what looks at the network beside a step does so outside it.
    """
    given = trainer.precision_plugin
    if isinstance(given, MixedPrecision):
        trainer.strategy.precision_plugin = _CastOnce(given.precision, given.device, given.scaler)  # type: ignore[arg-type]
    return trainer


class _CastOnce(MixedPrecision):
    def autocast_context_manager(self) -> torch.autocast:
        settings = super().autocast_context_manager()
        return torch.autocast(settings.device, dtype=settings.fast_dtype)
