"""What predicts, from a run or an exported file: the part that pictures, videos and sequences have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from vjo_train.config import build
from vjo_train.heads.merged import Shows, possible
from vjo_train.inference import onnx_file, prediction
from vjo_train.inference.prediction import Network
from vjo_train.runs import run_folder
from vjo_train.types import Canvas, canvas_of


@dataclass(frozen=True)
class Predictor:
    """A network with its weights.

    Attributes:
        network: predicts for batches.
        heads: task -> what draws and writes its predictions.
        tasks: the heads to predict with.
        model: the file of the weights.
        canvas: what pictures are laid on.
        classes: of the data set.
        batch_size: pictures per step of an evaluation.
    """

    network: Network
    heads: dict[str, Shows]
    tasks: tuple[str, ...]
    model: str
    canvas: Canvas
    classes: tuple[str, ...]
    batch_size: int


def predictor(cfg: DictConfig) -> Predictor:
    """Builds what `vjo-predict` or `vjo-eval` is asked for.

    Raises:
        VjoError: a mistake in the config, or a checkpoint that does not fit.
    """
    accelerator = cfg.get("accelerator") or cfg.trainer.accelerator
    tasks = tuple(cfg.get("tasks") or run_folder.trained_tasks(cfg))
    if cfg.get("model") is not None:
        # The heads alone: what else the run had may name tasks that are not in the file.
        model = Path(cfg.model)
        channels, strides = onnx_file.load_pyramid(model)
        heads = build.heads(cfg, channels, strides, tasks)
        merged = build.merged(cfg, heads)
        network = prediction.by_onnx(heads, model, accelerator)
    else:
        model = run_folder.checkpoint(Path(cfg.run), cfg.checkpoint)
        module = build.model(cfg, restored=True)
        heads = {task: module.head(task) for task in tasks}
        merged = possible(module.merged, tasks)
        network = prediction.by_checkpoint(module, tasks, model, accelerator, cfg.trainer.precision)
    return Predictor(
        network=prediction.merging(network, merged),
        heads={**heads, **merged},
        tasks=tasks,
        model=str(model),
        canvas=canvas_of(cfg.dataset.size),
        classes=tuple(cfg.dataset.classes),
        batch_size=cfg.dataset.eval_batch_size or cfg.dataset.batch_size,
    )
