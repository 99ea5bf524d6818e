"""A network that looks at an image and gives its task weights, after Meta-Weight-Net (Shu et al. 2019)."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Unpack

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional as F

from vjo_train.errors import ConfigError
from vjo_train.weighting.base import ImageLosses
from vjo_train.weighting.bilevel import BilevelOptions, BilevelWeighting, normalised


class MetaWeighting(BilevelWeighting):
    """Each image has task weights of its own: w_i = K softmax(f(x_i)), learned by the losses of held-out images.

    x_i are the backbone's last features, averaged over space, put to mean 0 and variance 1, without gradient to the
    backbone; f is a network with one hidden layer of ReLUs, whose output starts at 0. Meta-Weight-Net sees the loss of
    an image instead, and scales the weights over the batch. What f cannot see in the picture it cannot weigh: labels
    that are wrong in one kind of pictures (a source, a style, a camera) lose their weight, labels that are wrong at
    random do not. Cost and details: see `BilevelWeighting`.

    Scale: an image's weights for all tasks sum to K; its weight for one task goes at the expense of the others. Heads
    are weighted like the shared parameters.

    Args:
        tasks: the names of all heads.
        channels: how many features an image has.
        hidden: units of the hidden layer.
        seed: of the hidden layer's first weights.
        options: see `BilevelWeighting`.

    Raises:
        ConfigError: in training, at a step at which the way of sharing has no features that sum up an image.
    """

    tells_images_apart: ClassVar[bool] = True

    def __init__(
        self,
        *,
        channels: int,
        hidden: Annotated[int, Ge(1)] = 32,
        seed: int = 0,
        **options: Unpack[BilevelOptions],
    ) -> None:
        super().__init__(**options)
        k = len(self.tasks)
        self._shapes = ((hidden, channels), (hidden,), (k, hidden), (k,))
        source = torch.Generator().manual_seed(seed)
        weight = torch.rand(hidden * channels, generator=source, dtype=torch.float64, device="cpu")
        zeros = weight.new_zeros(sum(map(prod, self._shapes[1:])))
        self.start(torch.cat([(2 * weight - 1) * (6 / channels) ** 0.5, zeros]))  # He et al. 2015

    def weights(self, learned: Tensor, images: ImageLosses) -> Tensor:
        parts = torch.split(learned, [prod(shape) for shape in self._shapes])
        weight, bias, out, shift = (part.view(shape) for part, shape in zip(parts, self._shapes, strict=True))
        if images.summary is None:
            raise ConfigError(
                f"weighting=meta: this way of sharing gives no c5 at a step of {', '.join(images.losses)}, so there is"
                " nothing to look at; use schedule=joint, weighting=autolambda, or another sharing."
            )
        inputs = F.layer_norm(images.summary.cpu().double(), images.summary.shape[1:])
        return normalised(F.linear(F.relu(F.linear(inputs, weight, bias)), out, shift))
