"""The only place that turns a composed config into objects."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from inspect import signature as python_signature
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import get_class, get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vjo_train.backbones.base import Backbone
from vjo_train.config.rules import check_norm
from vjo_train.config.schema import CLASSES
from vjo_train.config.signatures import signature
from vjo_train.data.datamodule import DataModule
from vjo_train.errors import ConfigError, VjoError
from vjo_train.heads.base import Head
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.parts import head_name, own_parameters
from vjo_train.inference import export as onnx
from vjo_train.inference import onnx_file, prediction
from vjo_train.inference.inputs import Files
from vjo_train.inference.layout import Layout
from vjo_train.inference.prediction_files import PredictionFiles
from vjo_train.inference.sources import find_sources
from vjo_train.report import inspection
from vjo_train.runs import run_folder
from vjo_train.runs.results import Results
from vjo_train.training import checkpoints, run
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import canvas_of
from vjo_train.weighting.base import LossWeighting, Weighting
from vjo_train.weighting.gradients import GradientWeighting

log = logging.getLogger("vjo_train")


def train(cfg: DictConfig, output: Path) -> Results:
    """Trains and tests the composed config; everything is written under `output`.

    Raises:
        VjoError: a mistake in the config or the data.
    """
    built = job(cfg, output)
    start_columns(built.module, cfg)
    return run.train(built)


def evaluate(cfg: DictConfig, output: Path, checkpoint: Path) -> Results:
    """Tests `checkpoint` on the config's `split` where it names one, else on its `dataset.test_split`.

    Raises:
        VjoError: a mistake in the config or the data, or a checkpoint that does not fit.
    """
    built = job(cfg, output, restored=True)
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
    accelerator = cfg.accelerator or cfg.trainer.accelerator
    tasks = tuple(cfg.tasks or run_folder.trained_tasks(cfg))
    if cfg.model is not None:
        # The heads alone: what else the run had may name tasks that are not in the file.
        channels = onnx_file.load_channels(Path(cfg.model))
        network = prediction.by_onnx(heads(cfg, channels, tasks), Path(cfg.model), accelerator)
    else:
        checkpoint = run_folder.checkpoint(Path(cfg.run), cfg.checkpoint)
        module = model(cfg, restored=True)
        network = prediction.by_checkpoint(module, tasks, checkpoint, accelerator, cfg.trainer.precision)
    files = Files(
        [source.path for source in sources],
        canvas=canvas_of(cfg.dataset.size),
        num_classes=len(cfg.dataset.classes),
        tasks=tasks,
    )
    writer = PredictionFiles(
        layout,
        sources,
        cfg.dataset.classes,
        information={"source": cfg.source, "model": cfg.model or str(checkpoint)},
        threshold=cfg.threshold if cfg.pictures else None,
    )
    batch_size = cfg.batch_size or cfg.dataset.eval_batch_size or cfg.dataset.batch_size
    loader = files.loader(batch_size, cfg.dataset.workers)
    return prediction.predict(network, loader, writer, progress=cfg.trainer.progress)


def export(cfg: DictConfig) -> None:
    """Writes a run's network as an ONNX file and compares the two.

    Raises:
        VjoError: a mistake in the config, a checkpoint that does not fit, or heads that cannot be exported.
        ExportError: the file gives other figures than PyTorch.
    """
    backbone, neck, channels = _pyramid(cfg, restored=True)
    module = _model(cfg, backbone, neck, channels)
    checkpoints.restore(module, run_folder.checkpoint(Path(cfg.run), cfg.checkpoint))
    tasks = tuple(cfg.tasks or module.tasks)
    own = OmegaConf.masked_copy(cfg, list(signature("vjo_train.config.schema.TrainConfig")))
    own.heads = OmegaConf.masked_copy(cfg.heads, list(tasks))
    metadata = onnx_file.metadata(own, channels)
    onnx.export(module, tasks, Path(cfg.output), canvas_of(cfg.dataset.size), metadata, cfg.tolerance, cfg.decoded)


def inspect(cfg: DictConfig, action: str) -> int:
    """Does what `vjo-data` is asked for; draws or downloads the data set first, where it can be made.

    Args:
        cfg: the composed config of `vjo-data`.
        action: `summary`, `check` or `download`.

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
    data = datamodule(cfg)
    data.prepare_data()
    output = Path(cfg.output)
    if action == "check":
        return inspection.check(data, output)
    if action == "summary":
        inspection.summarise(data, output)
    else:
        log.info("The data set lies in %s: %d images.", data.root, len(data.index))
    return 0


def job(cfg: DictConfig, output: Path, *, restored: bool = False) -> run.Job:
    """Everything that a run of `cfg` needs, built and bound to each other; `restored` as in `model`.

    Raises:
        VjoError: a mistake in the config.
    """
    pl.seed_everything(cfg.seed, verbose=False)
    data = datamodule(cfg)
    module = model(cfg, restored=restored)
    data.bind(
        {task: module.head(task).needs for task in module.tasks},
        _make(cfg.schedule, tasks=tuple(cfg.heads)),
        planned={task: _needs(node) for task, node in cfg.heads.items()},
        whole_batches=any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()),
        meta_tasks=list(dict.fromkeys(map(head_name, module.weighting.meta_tasks))),
        meta_every=module.weighting.meta_every,
    )
    return run.Job(
        module=module,
        data=data,
        settings=_make(cfg.trainer),
        loggers=[_make(cfg.logger)] if cfg.logger and "_target_" in cfg.logger else [],
        output=output,
        seed=cfg.seed,
        config=OmegaConf.to_container(cfg, resolve=True),  # type: ignore[arg-type]
        overrides=list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else [],
        insights=[_make(node, output=output) for node in (cfg.get("insight") or {}).values()],
    )


def _needs(head: DictConfig) -> frozenset[str]:
    """What makes an image labelled for a head that need not be built."""
    kind = get_class(head._target_)
    assert issubclass(kind, Head)
    return kind.needs


def datamodule(cfg: DictConfig) -> DataModule:
    """The data set of `cfg`, not yet bound to tasks."""
    data = _make(cfg.dataset, seed=cfg.seed)
    assert isinstance(data, DataModule)
    return data


def model(cfg: DictConfig, *, restored: bool = False) -> MultiTaskModule:
    """The network of `cfg` with its weighting, from random or given backbone weights.

    Args:
        cfg: the composed config.
        restored: a checkpoint will fill all weights, so that `backbone.weights` need not be there any more.

    Raises:
        ConfigError: no heads, or parts that do not fit each other.
    """
    return _model(cfg, *_pyramid(cfg, restored))


def _pyramid(cfg: DictConfig, restored: bool) -> tuple[Backbone, nn.Module, dict[str, int]]:
    """Backbone, neck, and the channels of every level of both."""
    backbone = _backbone(cfg.backbone, restored)
    neck = _make(cfg.neck, in_channels=backbone.channels)
    return backbone, neck, {**backbone.channels, **neck.channels}


def _model(cfg: DictConfig, backbone: Backbone, neck: nn.Module, channels: Mapping[str, int]) -> MultiTaskModule:
    if not cfg.heads:
        raise ConfigError("heads: found none; choose at least one, such as heads=[classification,detection].")
    branches = heads(cfg, channels, run_folder.trained_tasks(cfg))
    sharing = _make(
        cfg.sharing, backbone=backbone, neck=neck, levels={task: head.levels for task, head in branches.items()}
    )
    weights = weighting(cfg.weighting, tuple(own_parameters(branches)), backbone.channels["c5"])
    if not sharing.tasks_meet and isinstance(weights, GradientWeighting) and weights.at == "features":
        raise ConfigError(
            f"weighting.at: found features, where the gradients of different tasks never meet under "
            f"{type(sharing).__name__}; use parameters or last_shared."
        )
    return MultiTaskModule(
        sharing=sharing,
        heads=branches,
        weighting=weights,
        optimizer=_make(cfg.optimizer),
        lr_schedule=_make(cfg.lr_schedule),
        seed=cfg.seed,
        channels_last=cfg.trainer.channels_last,
    )


def heads(cfg: DictConfig, channels: Mapping[str, int], tasks: Sequence[str]) -> dict[str, Head]:
    """The heads of `tasks`, untrained.

    Args:
        cfg: the config.
        channels: of every level of the pyramid.
        tasks: some of `cfg.heads`.

    Raises:
        ConfigError: a mistake in a head's keys, or a level that is not there.
    """
    known = list(cfg.dataset.classes)
    made = {}
    for task in tasks:
        keys = OmegaConf.masked_copy(cfg.heads[task], [key for key in cfg.heads[task] if key != CLASSES])
        names = list(cfg.heads[task].get(CLASSES) or known)
        made[task] = _make(keys, channels=channels, num_classes=len(names))
        made[task].space = LabelSpace(names, known)
    for task, head in made.items():
        for level in head.levels:
            if level not in channels:
                raise ConfigError(f"heads.{task}: reads level {level}; backbone and neck give {', '.join(channels)}.")
    return made


def start_columns(module: MultiTaskModule, cfg: DictConfig) -> None:
    """Fills the columns and heads that `sharing.columns_from` names, from runs that trained their tasks alone.

    Raises:
        ConfigError: one is no such run.
        CheckpointError: it has no checkpoint, or that of another network.
    """
    sharing = module.sharing
    for task, folder in sharing.columns_from.items():
        path = run_folder.column(Path(folder), task, cfg)
        checkpoints.restore_column(sharing.column(task), module.head(task), task, path)


def _backbone(node: DictConfig, restored: bool) -> Any:
    if "weights" not in node:
        return _make(node)
    if not restored:
        check_norm(node.get("norm"), node.weights)
    return _make(node, weights=None if restored else node.weights)


def weighting(node: DictConfig, tasks: tuple[str, ...], channels: int) -> Weighting:
    """The weighting of `node`; where its key `losses` names a loss weighting, that one goes under it.

    Args:
        node: of the config.
        tasks: the names of the heads.
        channels: of the features that sum up an image, for a weighting that looks at them.

    Raises:
        ConfigError: `weighting.losses` names no loss weighting.
    """
    inner = node.get("losses")
    if not isinstance(inner, str):
        looks = "channels" in python_signature(get_object(node["_target_"])).parameters
        return _make(node, tasks=tasks, **({"channels": channels} if looks else {}))  # type: ignore[no-any-return]
    folder = resources.files("vjo_train.conf") / "weighting"
    choices = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    losses = None
    if inner in choices:
        chosen = OmegaConf.create((folder / f"{inner}.yaml").read_text())
        losses = _make(OmegaConf.create({"seed": node.get("seed", 0), "losses": chosen}).losses, tasks=tasks)
    if not isinstance(losses, LossWeighting):
        near = get_close_matches(inner, choices, n=1)
        hint = f"; did you mean '{near[0]}'?" if near and near[0] != inner else "."
        raise ConfigError(f"weighting.losses: found '{inner}', which is no loss weighting{hint}")
    return _make(node, tasks=tasks, losses=losses)  # type: ignore[no-any-return]


def _make(node: DictConfig, **given: Any) -> Any:
    """Instantiates a node; a mistake that its constructor finds comes out as it was raised."""
    try:
        return instantiate(node, _convert_="all", **given)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, VjoError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        raise
