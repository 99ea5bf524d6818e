"""What the running batch has logged, for those who average it themselves."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor


class StepLog(pl.LightningModule):
    """A LightningModule that remembers what was logged since `logged` was last emptied.

    Lightning's means over an epoch are lost when a run stops inside it; from these values they can be kept.

    Attributes:
        logged: name -> (value, number of images that it is a mean over) of what is averaged over the epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[str, tuple[Tensor | float, int]] = {}

    def log(self, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        """As Lightning's; a value with `on_step` and `on_epoch` is remembered too."""
        super().log(name, value, *args, **kwargs)
        if kwargs.get("on_step") and kwargs.get("on_epoch"):
            self.logged[name] = (value.detach() if isinstance(value, Tensor) else value, kwargs.get("batch_size") or 1)
