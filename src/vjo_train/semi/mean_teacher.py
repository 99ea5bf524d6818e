"""Mean Teacher: the average of the network's weights labels the images that lack labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn

from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.heads.base import Head
from vjo_train.heads.own_cells import placed
from vjo_train.semi.views import strong_views
from vjo_train.sharing.base import Sharing
from vjo_train.types import Batch, Target


class MeanTeacher:
    """A teacher says what an image shows, and the network learns it from a disturbed view of the image.

    The teacher is the exponential moving average of the network (Tarvainen, Valpola 2017). It sees an image with the
    augmentation of training, and labels it for each task that it is not labelled for (Ghiasi et al. 2021, MuST). Only
    what it is sure of counts, by the score of the head: classes, pixels, objects (Sohn et al. 2020, Liu et al. 2021).
    The network gets the same image as a strong view (`views.strong_views`).

    Scale: to the mean loss over the labelled images of a task, `weight` times the ramp-up adds the sum of the losses
    over the images that the teacher has labelled, divided by the number of those that lack the label. So a teacher who
    is sure of little adds little. The sum is the loss of the task, for every weighting.
    The ramp-up is exp(-5 (1 - t)^2), t from 0 to 1 over the first part of training (Laine, Aila 2017).

    Args:
        images: that lack a label, in each step over all ranks; None: as many as a batch holds.
        decay: of the average, per step of the optimizer; less in the first steps.
        weight: of what the teacher says, beside the labels.
        ramp_up: share of training after which it has its whole weight.
        sure: task -> least score that is taken for a label; None: the heads' own.
        strength: of the strong view.
    """

    def __init__(
        self,
        *,
        images: Annotated[int, Ge(1)] | None = None,
        decay: Annotated[float, Interval(gt=0, lt=1)] = 0.99,
        weight: Annotated[float, Gt(0)] = 1.0,
        ramp_up: Annotated[float, Interval(ge=0, le=1)] = 0.3,
        sure: Mapping[str, Annotated[float, Interval(gt=0, lt=1)]] | None = None,
        strength: Annotated[float, Interval(ge=0, le=1)] = 1.0,
    ) -> None:
        self.images, self.decay, self.weight, self.ramp_up = images, decay, weight, ramp_up
        self.sure, self.strength = dict(sure or {}), strength
        self._network = nn.ModuleDict()
        self._steps = 0

    def thresholds(self, heads: Mapping[str, Head]) -> dict[str, float]:
        """Task -> least score that is taken for a label, of the tasks that have such a score.

        Raises:
            ConfigError: `sure` names a head that is not there or has none; no head has one.
        """
        able = {task: head.sure for task, head in heads.items() if head.sure is not None}
        for task in self.sure:
            if task not in able:
                raise ConfigError(f"semi.sure: found '{task}'; must be one of {', '.join(able) or 'no task'}.")
        if not able:
            raise ConfigError(
                f"semi: the predictions of {', '.join(heads)} do not say how sure they are, so nothing can be taught;"
                " set semi=null."
            )
        return {**able, **self.sure}

    def factor(self, done: float) -> float:
        """What the teacher's losses are multiplied by when the share `done` (0..1) of training is done."""
        if self.ramp_up == 0:
            return self.weight
        return self.weight * math.exp(-5 * (1 - min(1.0, done / self.ramp_up)) ** 2)

    def start(self, sharing: Sharing, heads: nn.ModuleDict) -> None:
        """The teacher is what the network is now, unless it was loaded."""
        state = self._network.state_dict() if len(self._network) else None
        self._network = nn.ModuleDict({"sharing": copy.deepcopy(sharing), "heads": copy.deepcopy(heads)})
        self._network.requires_grad_(False).eval()
        if state:
            self._network.load_state_dict(state)

    @torch.no_grad()
    def follow(self, sharing: Sharing, heads: nn.ModuleDict, steps: int) -> None:
        """Moves the teacher towards the network after `steps` steps of the optimizer; once for each step."""
        if steps <= self._steps:
            return
        self._steps = steps
        decay = min(self.decay, (1 + steps) / (10 + steps))
        own = self._network.state_dict()
        new = {f"{part}.{name}": value for part, module in (("sharing", sharing), ("heads", heads))
               for name, value in module.state_dict().items()}  # fmt: skip
        for name, value in own.items():
            if value.dtype.is_floating_point:
                value.lerp_(new[name].to(value), 1 - decay)
            else:
                value.copy_(new[name])

    @torch.no_grad()
    def labels(
        self, normalised: Tensor, batch: Batch, tasks: Sequence[str], sure: Mapping[str, float]
    ) -> dict[str, list[Target]]:
        """Task -> what the teacher says of each image, in canvas pixels and the head's own classes.

        Args:
            normalised: [B, 3, H, W] images as the network takes them.
            batch: the images.
            tasks: that are asked for.
            sure: as `thresholds`.
        """
        shared = placed(self._network["sharing"](normalised, tasks), batch.images)
        on_canvas = replace(
            batch, originals=[Target(target.size) for target in batch.targets], scales=torch.ones_like(batch.scales)
        )
        said = {}
        for task in tasks:
            head: Any = self._network["heads"][task]  # type: ignore[index]
            said[task] = head.taught(head(shared.tasks[task]), on_canvas, sure[task])
        return said

    def view(self, batch: Batch) -> Tensor:
        """[B, 3, H, W] uint8: the images as the network gets them."""
        return strong_views(batch.images, [target.size for target in batch.targets], self.strength)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"steps": self._steps, "network": dict(self._network.state_dict())}

    def load(self, state: Mapping[str, Any], sharing: Sharing, heads: nn.ModuleDict) -> None:
        """Goes on from what `state` gave.

        Raises:
            CheckpointError: it is of another network.
        """
        self.start(sharing, heads)
        try:
            self._network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise CheckpointError(f"The checkpoint's teacher is of another network: {error}") from error
        self._steps = int(state["steps"])
