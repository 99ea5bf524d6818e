"""What each command does with its composed and checked config."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vjo_train.config import build
from vjo_train.config.signatures import signature
from vjo_train.data.deep_pictures import as_span, told
from vjo_train.errors import ConfigError
from vjo_train.heads.merged import possible
from vjo_train.inference import export as onnx
from vjo_train.inference import onnx_file, prediction
from vjo_train.inference.inputs import Files
from vjo_train.inference.layout import Layout
from vjo_train.inference.prediction import Accelerator
from vjo_train.inference.prediction_files import PredictionFiles
from vjo_train.inference.predictor import Predictor
from vjo_train.inference.sources import find_sources
from vjo_train.report import inspection, picture_page
from vjo_train.runs import run_folder
from vjo_train.runs.results import Results
from vjo_train.training import checkpoints, run
from vjo_train.types import canvas_of

log = logging.getLogger("vjo_train")


def train(cfg: DictConfig, output: Path) -> Results:
    """Trains and tests the composed config; everything is written under `output`.

    Raises:
        VjoError: a mistake in the config or the data.
    """
    built = build.job(cfg, output)
    build.start_columns(built.module, cfg)
    return run.train(built)


def evaluate(cfg: DictConfig, output: Path, checkpoint: Path) -> Results:
    """Tests `checkpoint` on the config's `split` where it names one, else on its `dataset.test_split`.

    Raises:
        VjoError: a mistake in the config or the data, or a checkpoint that does not fit.
    """
    built = build.job(cfg, output, restored=True)
    built.data.test_split = cfg.get("split") or built.data.test_split
    return run.evaluate(built, checkpoint)


def predict(cfg: DictConfig) -> int:
    """Predicts on the files that `source` names, by a run's checkpoint or by an ONNX file.

    Returns:
        How many of the files could not be read, and were left out.

    Raises:
        VjoError: a mistake in the config, a checkpoint that does not fit, or no readable file.
    """
    layout = Layout(Path(cfg.output))
    sources = find_sources(cfg.source, layout.output)
    own = predictor(cfg, cfg.accelerator or cfg.trainer.accelerator)
    if sources and (said := told(sources[0].path, own.span)):
        log.info(said)
    files = Files([source.path for source in sources], canvas=own.canvas, tasks=own.tasks, span=own.span)
    writer = PredictionFiles(
        layout,
        sources,
        own.heads,
        own.classes,
        information={"source": cfg.source, "model": own.origin},
        threshold=cfg.threshold if cfg.pictures else None,
    )
    loader = files.loader(own.batch_size, cfg.dataset.workers)
    return prediction.predict(own.network, loader, writer, progress=cfg.trainer.progress)


def predictor(cfg: DictConfig, accelerator: Accelerator, devices: int | list[int] = 1) -> Predictor:
    """What predicts: the network of a run's checkpoint or of an ONNX file, with its weights.

    Args:
        cfg: with the keys of `vjo-predict` that say what predicts: `run`, `model`, `tasks`, `checkpoint`, `batch_size`.
        accelerator: where it computes, as `prediction.by_checkpoint`.
        devices: 1, or the number of the one device in a list.

    Raises:
        VjoError: a mistake in the config, or a checkpoint that does not fit.
    """
    tasks = tuple(cfg.tasks or run_folder.goals(cfg))
    if cfg.model is not None:
        # The heads alone: what else the run had may name tasks that are not in the file.
        channels, strides = onnx_file.load_pyramid(Path(cfg.model))
        heads = build.heads(cfg, channels, strides, tasks)
        merged = build.merged(cfg, heads)
        network = prediction.by_onnx(heads, Path(cfg.model), accelerator)
    else:
        checkpoint = run_folder.checkpoint(Path(cfg.run), cfg.checkpoint)
        module = build.model(cfg, restored=True)
        heads = {task: module.head(task) for task in tasks}
        merged = possible(module.merged, tasks)
        precision = cfg.trainer.precision
        network = prediction.by_checkpoint(module, tasks, checkpoint, accelerator, precision, devices)
    return Predictor(
        network=prediction.merging(network, merged),
        heads={**heads, **merged},
        tasks=tasks,
        classes=tuple(cfg.dataset.classes),
        canvas=canvas_of(cfg.dataset.size),
        span=as_span(cfg.dataset.get("range")),
        batch_size=cfg.batch_size or cfg.dataset.eval_batch_size or cfg.dataset.batch_size,
        origin=cfg.model or str(checkpoint),
    )


def export(cfg: DictConfig) -> None:
    """Writes a run's network as an ONNX file and compares the two.

    Raises:
        VjoError: a mistake in the config, a checkpoint that does not fit, or heads that cannot be exported.
        ExportError: the file gives other figures than PyTorch.
    """
    pyramid = build.pyramid(cfg, restored=True)
    module = build.model_on(cfg, pyramid)
    checkpoints.restore(module, run_folder.checkpoint(Path(cfg.run), cfg.checkpoint))
    tasks = tuple(cfg.tasks or module.goals)
    own = OmegaConf.masked_copy(cfg, list(signature("vjo_train.config.schema.TrainConfig")))
    own.heads = OmegaConf.masked_copy(cfg.heads, list(tasks))
    if cfg.get("merge"):
        own.merge = OmegaConf.masked_copy(cfg.merge, list(possible(module.merged, tasks)))
    metadata = onnx_file.metadata(own, pyramid.channels, pyramid.strides)
    onnx.export(module, tasks, Path(cfg.output), canvas_of(cfg.dataset.size), metadata, cfg.tolerance, cfg.decoded)


def inspect(cfg: DictConfig, action: str) -> int:
    """Does what `vjo-data` is asked for; draws or downloads the data set first, where it can be made.

    Args:
        cfg: the composed config of `vjo-data`.
        action: `summary`, `check`, `show` or `download`.

    Returns:
        How many faults a run would stop with; 0 where the action does not look for them.

    Raises:
        ConfigError: `download` of a data set that is neither fetched nor drawn.
        DataError: see the data set.
    """
    if action == "download" and not cfg.dataset.get("generate"):
        if "download" not in cfg.dataset:
            raise ConfigError("download: this data set can be neither fetched nor drawn; try dataset=voc2007.")
        cfg.dataset.download = True
    data = build.datamodule(cfg)
    data.prepare_data()
    output = Path(cfg.output)
    if action == "check":
        return inspection.check(data, output)
    if action == "show":
        picture_page.write(data, output)
    elif action == "summary":
        inspection.summarise(data, output)
    else:
        log.info("The data set lies in %s: %d images.", data.root, len(data.index))
    return 0
