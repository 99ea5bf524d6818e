"""Classes that nobody looked for in a picture: they count neither way, in losses and in metrics.

What is annotated is of its class and of no other. What is not annotated is background, or of an unknown class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from vjo_train.types import Target


def unknown_classes(
    targets: Sequence[Target], kinds: Collection[str], num_classes: int, device: torch.device
) -> Tensor | None:
    """[B, C] bool: the classes that are unknown in each image; None where there is none in any.

    Args:
        targets: in the head's classes.
        kinds: of label; a class must be looked for in all of them.
        num_classes: C.
        device: where the table is to be.
    """
    found = [target.unknown(kinds) for target in targets]
    if all(one is None for one in found):
        return None
    none = torch.zeros(num_classes, dtype=torch.bool)
    return torch.stack([none if one is None else one for one in found]).to(device)


def with_unknown(logits: Tensor, unknown: Tensor, background: int) -> Tensor:
    """Logits whose background stands for the background and for all unknown classes, which have no probability left.

    Cross-entropy of these says -log(p_background + sum of p_unknown) where nothing is annotated, and -log p_class
    elsewhere: the marginal loss of Shi et al. 2021 (partially labelled organs), and of Cermelli et al. for incremental
    segmentation (2020) and detection (2022).

    Args:
        logits: [N, C + 1, ...] float32.
        unknown: [N, C + 1, ...] bool, or of a shape that stretches to it: false at the background.
        background: its channel.
    """
    own = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
    own[background] = True
    own = own.view(-1, *[1] * (logits.ndim - 2))
    mass = logits.masked_fill(~(unknown | own), -torch.inf).logsumexp(1, keepdim=True)
    return torch.where(own, mass, logits.masked_fill(unknown, -torch.inf))


def known_alone(objects: Mapping[str, Tensor], unknown: Tensor | None) -> dict[str, Tensor]:
    """Columns of objects without those of unknown classes, which metrics do not see.

    Args:
        objects: by name, one row an object; `labels` among them.
        unknown: [C] bool; None: no class is.
    """
    if unknown is None:
        return dict(objects)
    labels = objects["labels"]
    kept = ~unknown.to(labels.device)[labels.long()]
    return {name: values[kept.to(values.device)] for name, values in objects.items()}
