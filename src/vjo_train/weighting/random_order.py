"""Random numbers that depend on a seed and a counter alone, so that ranks agree and a resumed run goes on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def generator(seed: int, counter: Tensor, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator for the `counter`-th use (an integer scalar) of `seed`."""
    words = np.random.SeedSequence([seed, int(counter)]).generate_state(2)
    source = torch.Generator(device)
    source.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
    return source


def orders(k: int, source: torch.Generator) -> list[list[int]]:
    """For each of k tasks, the other tasks in a random order."""
    return [[j for j in torch.randperm(k, generator=source).tolist() if j != i] for i in range(k)]
