"""Which checkpoints a run keeps as it goes: the last one, and the one that was best on val."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from vjo_train.files import replacing
from vjo_train.training.checkpoints import FOLDER

BEST = "best.ckpt"


class Kept(ModelCheckpoint):
    """Lightning's, which keeps what was best so far where a run goes on in another folder, or was moved.

    Attributes:
        carried: whether the best checkpoint so far lies in the folder of this run too.
    """

    carried = False

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        if self.carried and state_dict.get("dirpath") != str(self.dirpath):
            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            state_dict = {**state_dict, **{name: here(state_dict.get(name, "")) for name in paths}}
            state_dict["best_k_models"] = {here(k): v for k, v in state_dict.get("best_k_models", {}).items()}
            state_dict["dirpath"] = str(self.dirpath)
        super().load_state_dict(state_dict)


def carry_best(callbacks: Sequence[Callback], resume: Path, output: Path, write: bool) -> None:
    """Brings the best checkpoint so far into the folder of the run that goes on, before its state is loaded.

    Args:
        callbacks: of the trainer.
        resume: the checkpoint that the run goes on from.
        output: the run's folder.
        write: whether this process copies it; one of several does.
    """
    there, here = resume.parent / BEST, output / FOLDER / BEST
    if not there.is_file():
        return
    for callback in callbacks:
        if isinstance(callback, Kept):
            callback.carried = True
    if write and not here.exists():
        with replacing(here) as file, there.open("rb") as source:
            shutil.copyfileobj(source, file)


def checkpoint_callbacks(output: Path, monitor: str | None, higher: bool = True) -> list[ModelCheckpoint]:
    """`last.ckpt` after every epoch; with a monitored metric also `best.ckpt`, the epoch where it was best.

    Args:
        output: the run's folder.
        monitor: the metric.
        higher: whether it is better the higher it is.
    """
    folder = output / FOLDER
    last = Kept(
        dirpath=folder, filename="last", save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True
    )
    if monitor is None:
        return [last]
    mode = "max" if higher else "min"
    best = Kept(dirpath=folder, filename="best", monitor=monitor, mode=mode, save_top_k=1, enable_version_counter=False)
    return [best, last]
