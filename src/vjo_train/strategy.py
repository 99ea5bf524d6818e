"""Several ranks without a DDP wrapper: the weighting itself sums the gradients."""

from __future__ import annotations

import torch
from pytorch_lightning.strategies import DDPStrategy


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
