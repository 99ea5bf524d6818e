"""Whether the processes of a run, which may be on several machines, train with the same data."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch

from vjo_train.data.datamodule import DataModule
from vjo_train.errors import ConfigError, DataError, VjoError
from vjo_train.weighting.jacobian import distributed


class Agreement(pl.Callback):
    """Compares, before the first step, what each process has found: a difference would train another network.

    Args:
        data: the data set.

    Raises:
        DataError: images or labels differ.
        ConfigError: the precision or the step to go on from does.
    """

    def __init__(self, data: DataModule) -> None:
        self.data = data

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not distributed():
            return
        splits = dict.fromkeys(name for name in (self.data.split, self.data.val_split, self.data.test_split) if name)
        mine: dict[str, Any] = {f"dataset: the fingerprint of '{name}'": self.data.fingerprint(name) for name in splits}
        mine |= {"trainer.precision": str(trainer.precision), "trainer.resume: the step": self.data.start_step}
        found: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(found, (socket.gethostname(), mine))
        if (error := difference(found)) is not None:
            raise error


def difference(found: Sequence[tuple[str, dict[str, Any]]]) -> VjoError | None:
    """The first difference from rank 0, as an error; None where there is none.

    Args:
        found: by rank, the name of its machine and what it has found, by name.
    """
    host, first = found[0]
    for rank, (other, facts) in enumerate(found):
        for name, value in first.items():
            if facts[name] != value:
                kind = DataError if name.startswith("dataset") else ConfigError
                return kind(
                    f"{name} is {value} on {host} (rank 0) and {facts[name]} on {other} (rank {rank}); all processes "
                    "must have the same."
                )
    return None
