"""`trainer.compile`: the network's convolutional parts by torch.compile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import torch
from torch import nn

from vjo_train.backbones.base import Backbone, FeatureNet
from vjo_train.backbones.neck import FPN
from vjo_train.errors import ConfigError
from vjo_train.training.module import MultiTaskModule


def compile_network(module: MultiTaskModule) -> None:
    """Compiles the stages of every backbone, the necks and the heads' forward, each by itself and in place.

    No key of the state dict changes, so checkpoints do not tell whether a network was compiled. Losses, decoding and
    the weighting stay as they are. Compiling happens at the first batch of each kind.

    Raises:
        ConfigError: there is no C++ compiler.
    """
    wanted = os.environ.get("CXX", "g++")
    if shutil.which(wanted) is None:
        raise ConfigError(
            f"trainer.compile: found no C++ compiler '{wanted}', which torch.compile needs; install one, name it in "
            "the variable CXX, or leave the key at false."
        )
    # Weightings run backward through one graph several times, for which its memory must not be given away.
    torch._functorch.config.donated_buffer = False
    for part in compiled_parts(module):
        part.compile()


def compiled_parts(module: MultiTaskModule) -> Iterator[nn.Module]:
    """The parts that are compiled."""
    for part in module.sharing.modules():
        if isinstance(part, Backbone):
            yield from part.stages
        elif isinstance(part, FPN | FeatureNet):
            yield part
    yield from module.heads.values()
