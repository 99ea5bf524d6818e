"""What the training images' labels say as a whole, told to the heads before training."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from vjo_train.data.datamodule import DataModule
from vjo_train.heads.base import Head
from vjo_train.training.module import MultiTaskModule


class ClassCounts(pl.Callback):
    """Tells every head how many of its labelled training images show each class, how many of their pixels do, and how
    their numbers spread.

    See `Head.learn_from`, `Head.learn_pixels` and `Head.learn_scale`.

    Args:
        data: what is trained on.
    """

    def __init__(self, data: DataModule) -> None:
        self.data = data

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        kept = self.data.training_labels
        for task in pl_module.goals:
            head = pl_module.head(task)
            if type(head).learn_from is not Head.learn_from:
                head.learn_from(self.data.images_per_class(kept[task]))
            if type(head).learn_scale is not Head.learn_scale:
                head.learn_scale(self.data.scales(kept[task]))
            if head.wants_pixels:
                (label,) = head.needs
                head.learn_pixels(torch.from_numpy(self.data.pixels_per_index(kept[task], label)))
