"""The network itself: images -> features of each task -> the raw outputs of its head. Training is laid around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from vjo_train.backbones.base import MEAN, STD
from vjo_train.heads.base import Head
from vjo_train.heads.merged import Merged
from vjo_train.heads.own_cells import placed
from vjo_train.heads.self_supervised.base import SelfSupervised
from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures


class Branches(nn.Module):
    """What is said of the heads of a module, which sets the attributes.

    Attributes:
        sharing: images -> features of each task, of a module that computes them itself.
        heads: task -> head.
        merged: what is made of the predictions of several heads, by name.
    """

    sharing: Sharing
    heads: nn.ModuleDict
    merged: dict[str, Merged]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of all heads."""
        return tuple(self.heads)

    @property
    def helpers(self) -> dict[str, SelfSupervised]:
        """The self-supervised heads, which serve the others and say nothing of a picture as it is."""
        return {task: head for task, head in self.heads.items() if isinstance(head, SelfSupervised)}

    @property
    def goals(self) -> tuple[str, ...]:
        """The names of the other heads."""
        return tuple(task for task in self.tasks if task not in self.helpers)

    def measures(self, name: str) -> Head | Merged:
        """The head or merged task of that name: what has metrics, draws and writes."""
        return self.merged[name] if name in self.merged else self.head(name)

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of the heads that say something of a picture, and of merged tasks."""
        return (*self.goals, *self.merged)

    def head(self, task: str) -> Head:
        """The head of `task`."""
        head = self.heads[task]
        assert isinstance(head, Head)
        return head

    @property
    def size(self) -> int:
        """The number of parameters of the network."""
        return sum(p.numel() for p in (*self.sharing.parameters(), *self.heads.parameters()))


class TaskNetwork(Branches):
    """One network for several tasks, which computes and nothing else; predictions need no more.

    Its weights have the names that they have in a checkpoint.

    Args:
        sharing: images -> features of each task; the first of the parts, so that older checkpoints fit.
        heads: task -> head.
        channels_last: the memory format of images and convolutions; faster for most convolutions.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, sharing: Sharing, heads: Mapping[str, Head], *, channels_last: bool = True) -> None:
        super().__init__()
        self.sharing = sharing
        self.heads = nn.ModuleDict(dict(heads))
        self.merged = {}
        self.take_pictures(channels_last)

    def take_pictures(self, channels_last: bool) -> None:
        """Lays out all parts that are there, and keeps what pictures are normalised by."""
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, tasks: tuple[str, ...] | None = None) -> dict[str, Any]:
        """uint8 images [B, 3, S, S] -> the raw outputs of each of `tasks` (by default all but self-supervised ones)."""
        tasks = tasks or self.goals
        shared = self.share(images, tasks)
        return {task: self.head(task)(shared.tasks[task]) for task in tasks}

    def share(self, images: Tensor, tasks: tuple[str, ...]) -> SharedFeatures:
        """Images [B, 3, S, S] in 0..255 -> what the heads of `tasks` are given."""
        with record_function("shared features"):
            shared = self.sharing(self.normalised(images), tasks)
        assert isinstance(shared, SharedFeatures)
        return placed(shared, images)

    def normalised(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in 0..255 -> as the network takes them."""
        return ((images - self.mean) / self.std).contiguous(memory_format=self.memory_format)
