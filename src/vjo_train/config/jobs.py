"""What each command does with its composed and checked config."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vjo_train.config import build, starting
from vjo_train.config.predictor import exported_heads, exported_network, predictor, tiling, tracker
from vjo_train.config.signatures import signature
from vjo_train.data.deep_pictures import told
from vjo_train.errors import ConfigError
from vjo_train.heads.merged import possible
from vjo_train.inference import export as exporting
from vjo_train.inference import onnx_file, prediction
from vjo_train.inference.exporting.metric import Validation
from vjo_train.inference.exporting.traced import Traced
from vjo_train.inference.file_network import FileNetwork
from vjo_train.inference.inputs import Files
from vjo_train.inference.layout import Layout
from vjo_train.inference.originals import lists
from vjo_train.inference.prediction_files import PredictionFiles
from vjo_train.inference.sources import find_sources
from vjo_train.inference.video.layout import VideoLayout
from vjo_train.inference.video.prediction import VideoPrediction
from vjo_train.inference.video.sequences import evaluate_sequences
from vjo_train.inference.video.sources import VideoSource, find_videos
from vjo_train.report import inspection, picture_page
from vjo_train.runs import run_folder
from vjo_train.runs.results import Results
from vjo_train.schedules.joint import Joint
from vjo_train.tracking.mot_files import find_sequences
from vjo_train.training import arithmetic, checkpoints, run
from vjo_train.training.exported import ExportedModule
from vjo_train.types import canvas_of

log = logging.getLogger("vjo_train")


def train(cfg: DictConfig, output: Path) -> Results:
    """Trains and tests the composed config; everything is written under `output`.

    Raises:
        VjoError: a mistake in the config or the data.
    """
    built = build.job(cfg, output)
    starting.begin(built, cfg)
    return run.train(built)


def count_arithmetic(cfg: DictConfig) -> float:
    """Floating-point operations of an epoch of the composed config (see `arithmetic.epoch_flops`).

    Raises:
        VjoError: as `train`.
    """
    return arithmetic.epoch_flops(build.job(cfg, Path(HydraConfig.get().runtime.output_dir)))


def evaluate(cfg: DictConfig, output: Path, checkpoint: Path) -> Results:
    """Tests `checkpoint` on the config's `split` where it names one, else on its `dataset.test_split`.

    Raises:
        VjoError: a mistake in the config or the data, or a checkpoint that does not fit.
    """
    built = build.job(cfg, output, restored=True)
    built.data.test_split = cfg.get("split") or built.data.test_split
    return run.evaluate(built, checkpoint)


def evaluate_tiled(cfg: DictConfig, output: Path) -> Results:
    """As `evaluate` and `evaluate_file`, with large pictures cut into windows; computes as `predict` does.

    Raises:
        VjoError: a mistake in the config or the data, or a checkpoint that does not fit.
    """
    own = predictor(cfg)
    network = lists(own.found(tiling(cfg)), build.datamodule(cfg))
    built = build.test(cfg, output, ExportedModule(own.heads, own.merged, network, own.size))
    from_file = cfg.model is not None
    built.arithmetic = (
        onnx_file.load_precision(Path(cfg.model)) if from_file else prediction.exact(cfg.trainer.precision)
    )
    built.data.test_split = cfg.get("split") or built.data.test_split
    return run.evaluate_file(built, Path(own.origin))


def follow(cfg: DictConfig, output: Path) -> None:
    """Tests a run's checkpoint on the annotated sequences of `cfg.sequences`: how well it follows objects.

    Raises:
        VjoError: a mistake in the config or the data, or a checkpoint that does not fit.
    """
    sequences = find_sequences(Path(cfg.sequences))
    own = predictor(cfg)
    evaluate_sequences(
        sequences,
        own.network(tiling(cfg)),
        partial(tracker, cfg.tracker),
        output,
        canvas=own.canvas,
        tasks=own.tasks,
        batch_size=own.batch_size,
        workers=cfg.dataset.workers,
    )


def evaluate_file(cfg: DictConfig, output: Path) -> Results:
    """Tests the exported file `model` on the images that `evaluate` would test its run on.

    Raises:
        VjoError: a mistake in the config or the data, or a file that cannot be run.
    """
    path = Path(cfg.model)
    heads = exported_heads(cfg, path, run_folder.goals(cfg))
    own = exported_network(heads, path, cfg.trainer.accelerator)
    network = own.lists if isinstance(own, FileNetwork) else lists(own.found, build.datamodule(cfg))
    module = ExportedModule(heads, build.merged(cfg, heads), network, onnx_file.load_size(path))
    built = build.test(cfg, output, module)
    built.arithmetic = onnx_file.load_precision(path)
    built.data.test_split = cfg.get("split") or built.data.test_split
    return run.evaluate_file(built, path)


def predict(cfg: DictConfig) -> int:
    """Predicts on the files that `source` names, by a run's checkpoint or by an exported file.

    Returns:
        How many of the files could not be read, and were left out, or of a video not to its end.

    Raises:
        VjoError: a mistake in the config, a checkpoint that does not fit, or no readable file.
    """
    videos = find_videos(str(cfg.source), Path(cfg.output))
    if videos:
        return _predict_videos(cfg, videos)
    layout = Layout(Path(cfg.output))
    sources = find_sources(str(cfg.source), layout.output)
    own = predictor(cfg)
    if sources and (said := told(sources[0].path, own.span)):
        log.info(said)
    files = Files([source.path for source in sources], canvas=own.canvas, tasks=own.tasks, span=own.span)
    writer = PredictionFiles(
        layout,
        sources,
        own.shows,
        own.classes,
        information={"source": cfg.source, "model": own.origin},
        threshold=cfg.threshold if cfg.pictures else None,
    )
    loader = files.loader(own.batch_size, cfg.dataset.workers)
    return prediction.predict(own.network(tiling(cfg)), loader, writer, progress=cfg.trainer.progress)


def _predict_videos(cfg: DictConfig, videos: Sequence[VideoSource]) -> int:
    """As `predict`, where `source` names videos."""
    own = predictor(cfg)
    return VideoPrediction(
        network=own.network(tiling(cfg)),
        tracker=partial(tracker, cfg.tracker) if cfg.track else None,
        layout=VideoLayout(Path(cfg.output)),
        heads=own.shows,
        classes=own.classes,
        tasks=own.tasks,
        canvas=own.canvas,
        batch_size=cfg.batch_size,
        usual_batch=own.batch_size,
        information={"source": ", ".join(video.shown for video in videos), "model": own.origin},
        threshold=cfg.threshold if cfg.pictures else None,
        progress=cfg.trainer.progress,
    ).run(videos)


def export(cfg: DictConfig) -> None:
    """Writes a run's network as a file for another runtime, and compares the two.

    Raises:
        VjoError: a mistake in the config or the data, a checkpoint that does not fit, or heads that cannot be exported.
        ExportError: the file gives other figures than PyTorch.
    """
    pyramid = build.pyramid(cfg, restored=True)
    module = build.model_on(cfg, pyramid)
    checkpoints.restore(module, run_folder.checkpoint(Path(cfg.run), cfg.checkpoint))
    tasks = tuple(cfg.tasks or module.goals)
    own = OmegaConf.masked_copy(cfg, list(signature("vjo_train.config.schema.TrainConfig")))
    own.heads = OmegaConf.masked_copy(cfg.heads, list(tasks))
    for task in tasks:
        if (chosen := module.head(task).thresholds) is not None:
            own.heads[task].thresholds = list(chosen)  # from the config in the file, which holds the heads' settings
    if cfg.get("merge"):
        own.merge = OmegaConf.masked_copy(cfg.merge, list(possible(module.merged, tasks)))
    network = Traced(module, tasks, canvas_of(cfg.dataset.size), cfg.decoded, cfg.resize)
    wanted = exporting.Wanted(
        path=Path(cfg.output or onnx_file.usual_path(cfg.run, cfg.format)),
        format=cfg.format,
        precision=cfg.precision,
        metadata=onnx_file.metadata(
            own, pyramid.channels, pyramid.strides, module.size, cfg.precision, cfg.decoded, cfg.resize
        ),
        tolerance=cfg.tolerance,
        calibration=cfg.calibration,
    )
    validation = None
    if cfg.precision != "float32":
        data = build.datamodule(cfg)
        data.set_tasks({task: module.head(task).needs for task in tasks}, Joint(tasks=tasks))
        validation = Validation.of(data)
    exporting.export(network, wanted, validation)


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
