"""`vjo_train.load`: from a finished run, a checkpoint or an exported file to a network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vjo_train.api.hydra_state import kept_config
from vjo_train.api.words import listed
from vjo_train.config.checks.finished_run import check_loading
from vjo_train.config.compose import Composer, quoted
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs import run_folder

if TYPE_CHECKING:
    from vjo_train.inference.network import Network

ALLOWED = "must be the folder of a run, a checkpoint in it, or a file of vjo-export (.onnx, .xml, .pt2)"


def load(
    path: str | os.PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] | None = None,
    batch_size: int | None = None,
    overrides: Sequence[str] = (),
) -> Network:
    """A trained network that predicts on pictures: `load("outputs/run")("photo.jpg")`.

    Args:
        path: the folder of a run, a checkpoint in its folder `checkpoints`, or a file of `vjo-export`
            (`.onnx`, `.xml`, `.pt2`).
        tasks: the heads to predict with; None: all that were trained.
        checkpoint: of a run's folder: `best`, `last` or a file; None: best where there is one, else last.
        device: `auto` is a GPU where there is one; `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: half precision is `bf16-mixed` or `16-mixed`; None: as the run's `trainer.precision`, `auto` being
            float32, so that the figures do not depend on what the hardware is fast at. An exported file has its own.
        batch_size: pictures per step; None: as in the run's evaluation.
        overrides: other keys of the run, such as `heads.detection.score_threshold=0.2`.

    Raises:
        ConfigError: `path` is none of these, or a mistake in the other arguments.
        CheckpointError: the file is damaged, or of another network.
    """
    place = Path(path).expanduser()
    words = [*_origin(place, checkpoint), *listed("overrides", overrides)]
    if tasks is not None:
        words.append(f"tasks=[{','.join(map(quoted, listed('tasks', tasks)))}]")
    if batch_size is not None:
        words.append(f"batch_size={batch_size}")
    if precision is not None:
        words.append(f"trainer.precision={precision}")
    if precision is not None and words[0].startswith("model="):
        raise ConfigError(
            f"precision: found '{precision}', but {place} computes in what it was exported in; vjo-export"
            " precision=float16 or int8 writes others."
        )
    with kept_config():
        try:
            cfg = check_loading(Composer("train"), words)
        except CheckpointError as error:
            raise CheckpointError(f"{error} A path to load {ALLOWED}.") from error
        from vjo_train.api.devices import chosen
        from vjo_train.config.predictor import predictor
        from vjo_train.inference.network import Network

        accelerator, number = chosen(device, from_file=cfg.model is not None)
        return Network(predictor(cfg, accelerator, number))


def _origin(path: Path, checkpoint: str | os.PathLike[str] | None) -> list[str]:
    """The overrides that say where the weights are.

    Raises:
        ConfigError: `path` is nothing that can be loaded.
    """
    chosen = [] if checkpoint is None else [f"checkpoint={quoted(os.fspath(checkpoint))}"]
    if path.is_file() and path.suffix != ".ckpt":
        return [f"model={quoted(str(path))}", *chosen]
    if path.is_file():
        run = path.absolute().parent.parent
        if not (run / run_folder.CONFIG).is_file():
            raise ConfigError(
                f"load: found '{path}', a checkpoint that lies in no run's folder, where the config of its network is;"
                " give that folder, and checkpoint=FILE."
            )
        if checkpoint is not None:
            raise ConfigError(f"checkpoint: found '{checkpoint}' next to the checkpoint '{path}'; leave one out.")
        return [f"run={quoted(str(run))}", f"checkpoint={quoted(str(path))}"]
    if not (path / run_folder.CONFIG).is_file():
        what = "a folder without .hydra/config.yaml" if path.is_dir() else "which does not exist"
        near = run_folder.nearby(path)
        shown = f" Runs nearby: {', '.join(map(str, near))}." if near else ""
        raise ConfigError(f"load: found '{path}', {what}; {ALLOWED}.{shown}")
    return [f"run={quoted(str(path))}", *chosen]
