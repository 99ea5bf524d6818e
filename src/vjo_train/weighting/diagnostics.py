"""What the Gramian of the task gradients tells about a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def diagnose(gramian: Tensor, tasks: Sequence[str]) -> dict[str, float]:
    """G [K, K] float64 -> figures for the log, by name.

    Returns:
        `gradient_norm/<task>`; `cosine/<a>/<b>` of each pair (NaN where a gradient is zero); `conflict_share`, the
        share of pairs with a negative dot product; `condition`, the ratio of the Jacobian's largest to its smallest
        singular value (infinite where the gradients are linearly dependent). A method that scales gradients by more
        than its logged weights adds `update_norm/<task>`, the length of what a task adds to the shared gradient.
    """
    norms = gramian.diagonal().clamp(min=0).sqrt()
    figures = {f"gradient_norm/{task}": float(norm) for task, norm in zip(tasks, norms, strict=True)}
    pairs = [(i, j) for i in range(len(tasks)) for j in range(i + 1, len(tasks))]
    for i, j in pairs:
        figures[f"cosine/{tasks[i]}/{tasks[j]}"] = float(gramian[i, j] / (norms[i] * norms[j]))
    if pairs:
        figures["conflict_share"] = sum(float(gramian[i, j]) < 0 for i, j in pairs) / len(pairs)
    eigenvalues = torch.linalg.eigvalsh(gramian).clamp(min=0)
    figures["condition"] = float((eigenvalues[-1] / eigenvalues[0]).sqrt())
    return figures
