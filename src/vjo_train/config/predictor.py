"""What predicts, from a run or an exported file: the part that pictures, videos and the Python API have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from vjo_train.config import networks
from vjo_train.config.instantiation import make
from vjo_train.data.deep_pictures import as_span
from vjo_train.heads.base import Head
from vjo_train.heads.merged import possible
from vjo_train.inference import onnx_file, prediction
from vjo_train.inference.file_network import FileNetwork
from vjo_train.inference.picture_file import PictureFile
from vjo_train.inference.predictor import Predictor
from vjo_train.inference.runtimes.base import Accelerator
from vjo_train.inference.tiling.tiled import Computed
from vjo_train.inference.tiling.windows import AUTO, Tiling
from vjo_train.runs import run_folder
from vjo_train.tracking.byte_track import ByteTrack
from vjo_train.types import canvas_of


def predictor(cfg: DictConfig, accelerator: Accelerator | None = None, number: int = 0) -> Predictor:
    """What predicts: the network of a run's checkpoint or of an exported file, with its weights.

    Args:
        cfg: with the keys of `vjo-predict` that say what predicts: `run`, `model`, `tasks`, `checkpoint`, `batch_size`.
        accelerator: where it computes, as `prediction.by_checkpoint`; None: as the config says.
        number: which GPU, of several.

    Raises:
        VjoError: a mistake in the config, or a checkpoint that does not fit.
    """
    where = accelerator or cfg.get("accelerator") or cfg.trainer.accelerator
    tasks = tuple(cfg.get("tasks") or run_folder.goals(cfg))
    if cfg.get("model") is not None:
        origin = Path(cfg.model)
        heads = exported_heads(cfg, origin, tasks)
        merged, size = networks.merged(cfg, heads), onnx_file.load_size(origin)
        computed: Computed | PictureFile = exported_network(heads, origin, where)
    else:
        origin = run_folder.checkpoint(Path(cfg.run), cfg.checkpoint)
        made = networks.network(cfg)
        heads = {task: made.head(task) for task in tasks}
        merged, size = possible(made.merged, tasks), made.size
        computed = prediction.by_checkpoint(made, tasks, origin, where, cfg.trainer.precision, number)
    return Predictor(
        computed=computed,
        heads=heads,
        merged=merged,
        classes=tuple(cfg.dataset.classes),
        canvas=canvas_of(cfg.dataset.size),
        span=as_span(cfg.dataset.get("range")),
        batch_size=cfg.get("batch_size") or cfg.dataset.eval_batch_size or cfg.dataset.batch_size,
        origin=str(origin),
        size=size,
    )


def tiling(cfg: DictConfig) -> Tiling | None:
    """How large pictures are cut, by the keys `tile` and `overlap`; None: not at all."""
    if cfg.get("tile") is None:
        return None
    tile = cfg.dataset.size if cfg.tile == AUTO else cfg.tile
    return Tiling(canvas_of(tile), float(cfg.overlap))


def exported_network(heads: Mapping[str, Head], path: Path, accelerator: Accelerator) -> FileNetwork | PictureFile:
    """What runs an exported file, by what it says that it takes."""
    kind = PictureFile if onnx_file.load_resizes(path) else FileNetwork
    return kind(heads, path, accelerator)


def exported_heads(cfg: DictConfig, path: Path, tasks: Sequence[str]) -> dict[str, Head]:
    """The heads alone of an exported file: what else the run had may name tasks that are not in it."""
    channels, strides = onnx_file.load_pyramid(path)
    return networks.heads(cfg, channels, strides, tasks)


def tracker(node: DictConfig) -> ByteTrack:
    """What follows objects through a video."""
    made: ByteTrack = make(node)
    return made
