"""Optimizers, and which parameters they decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Interval
from torch import nn


def parameter_groups(
    named_parameters: Iterable[tuple[str, nn.Parameter]], *, lr: float, weight_decay: float, backbone_lr_factor: float
) -> list[dict[str, Any]]:
    """Up to four groups: backbone or rest, decayed or not; frozen parameters are left out.

    Not decayed: norms, biases, scales (all parameters of fewer than two dimensions, and ConvNeXt's layer scale),
    and everything that a weighting learns, which decay would pull towards equal or zero weights.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        if not parameter.requires_grad:
            continue
        backbone = "backbone." in name
        decayed = parameter.ndim > 1 and not name.endswith("layer_scale") and not name.startswith("weighting.")
        groups.setdefault((backbone, decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": lr * backbone_lr_factor if backbone else lr,
            "weight_decay": weight_decay if decayed else 0.0,
            "name": f"{'backbone' if backbone else 'rest'}/{'decayed' if decayed else 'plain'}",
        }
        for (backbone, decayed), parameters in groups.items()
    ]


class SGD:
    """Stochastic gradient descent with momentum.

    Args:
        lr: learning rate.
        momentum: share of the last update that is kept.
        weight_decay: L2 penalty, on weights only (see `parameter_groups`).
        nesterov: look ahead by the momentum.
        backbone_lr_factor: the backbone's learning rate relative to `lr`.
    """

    def __init__(
        self,
        *,
        lr: Annotated[float, Gt(0)] = 0.01,
        momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9,
        weight_decay: Annotated[float, Ge(0)] = 1e-4,
        nesterov: bool = False,
        backbone_lr_factor: Annotated[float, Gt(0)] = 1.0,
    ) -> None:
        self.lr, self.weight_decay, self.backbone_lr_factor = lr, weight_decay, backbone_lr_factor
        self.momentum, self.nesterov = momentum, nesterov

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all trainable parameters of `module`."""
        groups = parameter_groups(
            module.named_parameters(),
            lr=self.lr,
            weight_decay=self.weight_decay,
            backbone_lr_factor=self.backbone_lr_factor,
        )
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov)


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Args:
        lr: learning rate.
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squared gradients.
        weight_decay: decoupled decay, on weights only (see `parameter_groups`).
        backbone_lr_factor: the backbone's learning rate relative to `lr`.
    """

    def __init__(
        self,
        *,
        lr: Annotated[float, Gt(0)] = 1e-3,
        beta1: Annotated[float, Interval(ge=0, lt=1)] = 0.9,
        beta2: Annotated[float, Interval(ge=0, lt=1)] = 0.999,
        weight_decay: Annotated[float, Ge(0)] = 0.05,
        backbone_lr_factor: Annotated[float, Gt(0)] = 1.0,
    ) -> None:
        self.lr, self.weight_decay, self.backbone_lr_factor = lr, weight_decay, backbone_lr_factor
        self.betas = (beta1, beta2)

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all trainable parameters of `module`."""
        groups = parameter_groups(
            module.named_parameters(),
            lr=self.lr,
            weight_decay=self.weight_decay,
            backbone_lr_factor=self.backbone_lr_factor,
        )
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas)
