"""What predicts, from a run or an exported file: the part that pictures, videos and the Python API have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vjo_train.config import build
from vjo_train.config.instantiation import make
from vjo_train.data.deep_pictures import as_span
from vjo_train.heads.base import Head
from vjo_train.heads.merged import possible
from vjo_train.inference import onnx_file, prediction
from vjo_train.inference.predictor import Predictor
from vjo_train.inference.runtimes.base import Accelerator
from vjo_train.runs import run_folder
from vjo_train.tracking.byte_track import ByteTrack
from vjo_train.types import canvas_of


def predictor(cfg: DictConfig, accelerator: Accelerator | None = None, devices: int | list[int] = 1) -> Predictor:
    """What predicts: the network of a run's checkpoint or of an exported file, with its weights.

    Args:
        cfg: with the keys of `vjo-predict` that say what predicts: `run`, `model`, `tasks`, `checkpoint`, `batch_size`.
        accelerator: where it computes, as `prediction.by_checkpoint`; None: as the config says.
        devices: 1, or the number of the one device in a list.

    Raises:
        VjoError: a mistake in the config, or a checkpoint that does not fit.
    """
    where = accelerator or cfg.get("accelerator") or cfg.trainer.accelerator
    tasks = tuple(cfg.get("tasks") or run_folder.goals(cfg))
    if cfg.get("model") is not None:
        origin = Path(cfg.model)
        heads = exported_heads(cfg, origin, tasks)
        merged = build.merged(cfg, heads)
        network = prediction.by_file(heads, origin, where)
    else:
        origin = run_folder.checkpoint(Path(cfg.run), cfg.checkpoint)
        module = build.model(cfg, restored=True)
        heads = {task: module.head(task) for task in tasks}
        merged = possible(module.merged, tasks)
        network = prediction.by_checkpoint(module, tasks, origin, where, cfg.trainer.precision, devices)
    return Predictor(
        network=prediction.merging(network, merged),
        heads={**heads, **merged},
        tasks=tasks,
        classes=tuple(cfg.dataset.classes),
        canvas=canvas_of(cfg.dataset.size),
        span=as_span(cfg.dataset.get("range")),
        batch_size=cfg.get("batch_size") or cfg.dataset.eval_batch_size or cfg.dataset.batch_size,
        origin=str(origin),
    )


def exported_heads(cfg: DictConfig, path: Path, tasks: Sequence[str]) -> dict[str, Head]:
    """The heads alone of an exported file: what else the run had may name tasks that are not in it."""
    channels, strides = onnx_file.load_pyramid(path)
    return build.heads(cfg, channels, strides, tasks)


def tracker(node: DictConfig) -> ByteTrack:
    """What follows objects through a video."""
    made: ByteTrack = make(node)
    return made
