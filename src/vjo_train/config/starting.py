"""What a built run starts from: random or a backbone's weights, another network's, or its own checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vjo_train.config import build
from vjo_train.config.instantiation import make
from vjo_train.distill.features import Teacher
from vjo_train.errors import CheckpointError
from vjo_train.runs import run_folder
from vjo_train.training import checkpoints, start_from, start_source
from vjo_train.training.job import Job
from vjo_train.training.provenance import Provenance
from vjo_train.training.resumed_rate import ResumedRate


def begin(job: Job, cfg: DictConfig) -> None:
    """Fills the network from `start_from` and `sharing.columns_from`, unless it goes on from a checkpoint of its own.

    Gives it the teachers of `distill`, which only training needs.

    Raises:
        ConfigError: there is no such file or run.
        CheckpointError: the file is damaged, or nothing in it fits.
    """
    lines: list[str] = []
    origin = cfg.get("start_from")
    if origin is not None and not _goes_on(job):
        module = job.module
        source = start_source.read(origin, {task: module.head(task) for task in module.tasks})
        started = start_from.start(module, source)
        _check_norms(cfg, started)
        job.started.update(started.record())
        lines = started.lines()
    build.start_columns(job.module, cfg)
    if cfg.get("distill") is not None:
        _follow_teachers(job, cfg)
    classes = {task: job.classes(task) for task in job.module.tasks}
    job.callbacks += [Provenance(classes, job.started, lines), ResumedRate(job.settings.resume_lr)]


def _follow_teachers(job: Job, cfg: DictConfig) -> None:
    module = job.module
    named: Mapping[str, Any] = cfg.distill.teachers or {
        task: run_folder.alone(job.output, task) for task in module.goals
    }
    teachers = {task: _teacher(Path(named[task]), task, cfg) for task in module.tasks if task in named}
    distill = make(cfg.distill)
    distill.bind(teachers, module.channels, {task: module.head(task).levels for task in module.tasks})
    module.distill = distill


def _teacher(run: Path, task: str, cfg: DictConfig) -> Teacher:
    path = run_folder.teacher(run, task, cfg)
    network = build.model(run_folder.load_config(run), restored=True)
    checkpoints.restore(network, path)
    network.requires_grad_(False).eval()
    return Teacher(network, {level: network.channels[level] for level in network.head(task).levels})


def _goes_on(job: Job) -> bool:
    resume = job.settings.resume
    return resume not in (None, "auto") or (
        resume == "auto" and any(path.is_file() for path in run_folder.last_checkpoints(job.output))
    )


def _check_norms(cfg: DictConfig, started: start_from.Started) -> None:
    taken, _ = started.parts.get("backbone", (0, 0))
    if cfg.backbone.get("norm") == "frozen" and cfg.backbone.get("weights") is None and not taken:
        raise CheckpointError(
            f"start_from: {started.source} has no weights for this backbone, and backbone.norm=frozen needs some."
        )
