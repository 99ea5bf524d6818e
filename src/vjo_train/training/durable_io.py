"""How Lightning's trainer writes its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import TorchCheckpointIO

from vjo_train.training import checkpoints


class DurableIO(TorchCheckpointIO):
    """Writes each by `checkpoints.write`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes the file whole or not at all.

        Raises:
            CheckpointError: it cannot be written; names the newest one that is there.
        """
        checkpoints.write(checkpoint, Path(path))
