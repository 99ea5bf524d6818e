"""Several ranks without a DDP wrapper: the weighting itself sums the gradients."""

from __future__ import annotations

import atexit
import os

import torch
from pytorch_lightning.strategies import DDPStrategy

from vjo_train.errors import ConfigError


def check_devices(accelerator: str, devices: int) -> None:
    """Refuses more processes on the CPU than the machine has CPUs, which would share memory and time for nothing.

    Raises:
        ConfigError: there are too many.
    """
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    if on_cpu and devices > max(2, os.cpu_count() or 1):
        raise ConfigError(
            f"trainer.devices: found {devices}; this machine has {os.cpu_count()} CPUs and no GPU in use."
        )


class SummedGradients(DDPStrategy):
    """Lightning's DDP without `DistributedDataParallel`.

    Weightings need each task's gradient of the global batch before they combine them, which the wrapper's
    hooks on `.grad` cannot give. Here every rank starts from rank 0's weights, and `Weighting.backward` sums
    what it needs over ranks, so that all ranks take the same step.
    """

    def configure_ddp(self) -> None:
        """Copies rank 0's parameters and buffers to all ranks, instead of wrapping the model."""
        assert self.model is not None
        with torch.no_grad():
            for tensor in [*self.model.parameters(), *self.model.buffers()]:
                torch.distributed.broadcast(tensor, src=0)

    def setup_environment(self) -> None:
        """Joins the ranks, and sees that this process leaves them before the interpreter ends.

        Gloo's threads abort a process that ends while they run, and Lightning closes NCCL only.
        """
        super().setup_environment()
        atexit.register(leave)


def leave() -> None:
    """Leaves the ranks, if this process is still one of them."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
