"""Optimizers, and which parameters they decay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Gt, Interval
from torch import nn

from vjo_train.errors import ConfigError

PLAIN = ("layer_scale", "_token", "pos_embed", "relative_position_bias_table", "logit_scale")
"""How the names of parameters end that have several dimensions and are not decayed."""


@runtime_checkable
class OwnRate(Protocol):
    """A module whose own parameters, those of its children left out, learn at a rate of their own, never decayed."""

    lr_factor: float
    """The learning rate relative to the optimizer's."""


@runtime_checkable
class Layered(Protocol):
    """A module that says how deep its parameters lie, for `optimizer.layer_decay`."""

    def parameters_by_depth(self) -> list[list[nn.Parameter]]:
        """The parameters, layer by layer from the image on; those in none are as deep as what follows the module."""


def parameter_groups(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    lr: float,
    weight_decay: float,
    backbone_lr_factor: float,
    depth_rates: Mapping[str, float] | None = None,
    own_rates: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """A group for each learning rate, decayed or not; frozen parameters are left out.

    Not decayed: norms, biases, scales (all parameters of fewer than two dimensions, and ConvNeXt's layer scale), tokens
    and tables of positions (`PLAIN`), what has a rate of its own, and everything that a weighting learns, which decay
    would pull towards equal or zero weights.

    Args:
        named_parameters: as of `nn.Module.named_parameters`.
        lr: learning rate.
        weight_decay: of the decayed groups.
        backbone_lr_factor: on the rate of names that hold `backbone.`.
        depth_rates: name of a parameter of the backbone -> the factor on its rate that is due to its depth.
        own_rates: name of a module -> the factor on the rate of the parameters that it holds itself.
    """
    own_rates, depth_rates = own_rates or {}, depth_rates or {}
    groups: dict[tuple[str, float, bool], list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        if not parameter.requires_grad:
            continue
        holder = name.rpartition(".")[0]
        decayed = parameter.ndim > 1 and not name.endswith(PLAIN) and not name.startswith("weighting.")
        if holder in own_rates:
            key = (f"x{own_rates[holder]:g}", own_rates[holder], False)
        elif name in depth_rates:
            key = (f"backbone x{depth_rates[name]:g}", backbone_lr_factor * depth_rates[name], decayed)
        elif "backbone." in name:
            key = ("backbone", backbone_lr_factor, decayed)
        else:
            key = ("rest", 1.0, decayed)
        groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": lr * factor,
            "weight_decay": weight_decay if decayed else 0.0,
            "name": f"{kind}/{'decayed' if decayed else 'plain'}",
        }
        for (kind, factor, decayed), parameters in groups.items()
    ]


def depth_rates(module: nn.Module, layer_decay: float) -> dict[str, float]:
    """The factor on the rate of each parameter of a backbone's layers, by its name.

    With L layers, the one at place i from the image, counted from 0, has the factor layer_decay ** (L - i); what
    follows all layers has 1 (BEiT: Bao, Dong, Piao, Wei 2022; ViTDet: Li, Mao, Girshick, He 2022).

    Raises:
        ConfigError: no part of `module` knows its layers.
    """
    found: dict[int, float] = {}
    for part in module.modules():
        layers = part.parameters_by_depth() if isinstance(part, Layered) else []
        found |= {id(p): layer_decay ** (len(layers) - place) for place, layer in enumerate(layers) for p in layer}
    if not found:
        raise ConfigError(
            f"optimizer.layer_decay: found {layer_decay}, but the backbone does not know its layers; use 1."
        )
    return {name: found[id(p)] for name, p in module.named_parameters() if id(p) in found}


def own_rates(module: nn.Module) -> dict[str, float]:
    """The modules inside `module` that learn at rates of their own, by name, with the factors."""
    return {name: part.lr_factor for name, part in module.named_modules() if isinstance(part, OwnRate)}


class Optimizer(ABC):
    """What every optimizer takes.

    Args:
        lr: learning rate.
        weight_decay: of weights only (see `parameter_groups`).
        backbone_lr_factor: the backbone's learning rate relative to `lr`.
        layer_decay: on the rate of a layer of the backbone for each layer that follows it (`depth_rates`); 1 is off.
    """

    def __init__(
        self,
        *,
        lr: Annotated[float, Gt(0)],
        weight_decay: Annotated[float, Ge(0)] = 0.0,
        backbone_lr_factor: Annotated[float, Gt(0)] = 1.0,
        layer_decay: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    ) -> None:
        self.lr, self.weight_decay, self.backbone_lr_factor = lr, weight_decay, backbone_lr_factor
        self.layer_decay = layer_decay

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all trainable parameters of `module`.

        Raises:
            ConfigError: there is a `layer_decay`, and no backbone that knows its layers.
        """
        groups = parameter_groups(
            module.named_parameters(),
            lr=self.lr,
            weight_decay=self.weight_decay,
            backbone_lr_factor=self.backbone_lr_factor,
            depth_rates=depth_rates(module, self.layer_decay) if self.layer_decay < 1 else None,
            own_rates=own_rates(module),
        )
        return self.of_groups(groups)

    def check(self, module: nn.Module) -> None:
        """Looks whether it can be built of `module`.

        Raises:
            ConfigError: as `build`.
        """
        if self.layer_decay < 1:
            depth_rates(module, self.layer_decay)

    @abstractmethod
    def of_groups(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer of parameter groups that have their own rates and decays."""


class SGD(Optimizer):
    """Stochastic gradient descent with momentum; the weight decay is an L2 penalty.

    Args:
        momentum: share of the last update that is kept.
        nesterov: look ahead by the momentum.
        options: those of `Optimizer`.
    """

    def __init__(
        self, *, momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9, nesterov: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.momentum, self.nesterov = momentum, nesterov

    def of_groups(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov)


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Args:
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squared gradients.
        options: those of `Optimizer`.
    """

    def __init__(
        self,
        *,
        beta1: Annotated[float, Interval(ge=0, lt=1)] = 0.9,
        beta2: Annotated[float, Interval(ge=0, lt=1)] = 0.999,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.betas = (beta1, beta2)

    def of_groups(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas)
