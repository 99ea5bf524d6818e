"""GradDrop (Chen et al. 2020, "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Ge
from torch import Tensor

from vjo_train.weighting.base import Options
from vjo_train.weighting.elementwise import ElementwiseWeighting
from vjo_train.weighting.random_order import generator


def graddrop(rows: Sequence[Tensor], chance: Tensor) -> tuple[Tensor, list[Tensor]]:
    """K gradients [P] and uniform numbers [P] in 0..1 -> their masked sum [P], and per task sum(kept * g).

    P = (1 + sum_k g_k / sum_k |g_k|) / 2 is the purity of an element's sign. All positive parts are kept where P > U,
    all negative ones elsewhere.
    """
    total, length = torch.zeros_like(rows[0]), torch.zeros_like(rows[0])
    for row in rows:
        total += row
        length += row.abs()
    positive = 0.5 * (1 + total / length.clamp(min=torch.finfo(total.dtype).tiny)) > chance
    merged, products = total.zero_(), []
    for row in rows:
        kept = torch.where(positive == (row > 0), row, torch.zeros_like(row))
        products.append(torch.dot(kept, row))
        merged += kept
    return merged, products


class GradDrop(ElementwiseWeighting):
    """Keeps of each element of the gradients only the parts of one sign, drawn by how much the tasks agree on it.

    On the gradients of the shared parameters, where the paper masks those of activations.

    Scale: a sum, as under `equal`; without disagreement nothing is dropped. The weight in the log is the share of the
    squared length of a task's gradient that was kept. Heads get their own gradients. Each batch draws from
    (seed, number of the batch), on every rank alike; CPUs and GPUs draw different numbers.

    Args:
        tasks: the names of all heads.
        seed: decides what is dropped.
        options: see `Weighting`.
    """

    def __init__(self, *, seed: Annotated[int, Ge(0)] = 0, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.seed = seed

    def merge(self, rows: list[Tensor], gramian: Tensor, tasks: Sequence[str]) -> tuple[Tensor, Tensor]:
        source = generator(self.seed, self.calls, rows[0].device)
        merged, products = graddrop(rows, torch.rand(rows[0].shape, generator=source, device=rows[0].device))
        squares = gramian.diagonal()
        kept = torch.stack(products).cpu().double()
        return merged, torch.where(squares > 0, kept / squares, torch.ones_like(squares))
