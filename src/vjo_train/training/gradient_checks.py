"""What happens between backward and the optimizer: clipping part by part, and a stop at what is not finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from vjo_train.errors import not_finite
from vjo_train.heads.base import Head
from vjo_train.optim.clipping import clip_gradients, gradient_norms
from vjo_train.sharing.base import Sharing
from vjo_train.training.evaluation import Evaluation

SHARED = "shared"
"""The part of the network that is clipped as one: all that lies before the heads."""


class GradientChecks(Evaluation):
    """Looks at the gradients of a network before each step of the optimizer.

    Args:
        sharing: images -> features of each task.
        heads: task -> head.

    Attributes:
        batches: training batches seen.
    """

    def __init__(self, sharing: Sharing, heads: Mapping[str, Head]) -> None:
        super().__init__(heads, sharing)
        self.batches = 0
        self._ids: list[str] = []
        self._norms: dict[str, Tensor] = {}

    def clipped_parts(self) -> dict[str, list[nn.Parameter]]:
        """What `trainer.gradient_clip_val` limits part by part: `shared`, and each head by its name."""
        heads = {task: list(self.head(task).parameters()) for task in self.tasks}
        return {SHARED: list(self.sharing.parameters()), **heads}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stops before a gradient that is not finite reaches the weights; a loss scaler skips such a step itself.

        Logs `train/clipped/<part>`: 1 where the gradient of the part is longer than `trainer.gradient_clip_val`.

        Raises:
            NumericsError: names the first parameter at fault and the images of the last batch.
        """
        limit = self.trainer.gradient_clip_val
        if limit is not None:
            self._norms = gradient_norms(self.clipped_parts())
            for part, norm in self._norms.items():
                self.log(f"train/clipped/{part}", (norm > limit).float(), on_step=True, on_epoch=True, batch_size=1)
        gradients = {name: p.grad for name, p in self.named_parameters() if p.grad is not None}
        if self.trainer.precision == "16-mixed" or all_finite(self._not_in_norms(gradients)):
            return
        name = next(name for name, gradient in gradients.items() if not gradient.isfinite().all())
        raise not_finite(f"the gradient of {name}", self.batches - 1, self._ids)

    def _not_in_norms(self, gradients: Mapping[str, Tensor]) -> list[Tensor]:
        """The gradients of which nothing is known yet: a norm that is finite says that all it was made of are.

        Reading all gradients of a large network takes a hundredth of a step, and clipping has done it.
        """
        norms = list(self._norms.values())
        if self.trainer.gradient_clip_val is None or not norms or not torch.stack(norms).isfinite().all():
            return list(gradients.values())
        return [gradient for name, gradient in gradients.items() if not name.startswith(("sharing.", "heads."))]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips each part by itself, where Lightning would clip all as one."""
        if gradient_clip_val is not None:
            clip_gradients(self.clipped_parts(), self._norms, gradient_clip_val)


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every number in `tensors` is finite, by one look at the device, or two where one is not.

    The root of the sum of squares takes a tenth of the time of the maximum, which decides where that sum overflows.
    """
    given = list(tensors)
    return any(bool(torch.nn.utils.get_total_norm(given, norm_type=kind).isfinite()) for kind in (2.0, float("inf")))
