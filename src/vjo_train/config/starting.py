"""What a built run starts from: random or a backbone's weights, another network's, or its own checkpoint."""

from __future__ import annotations

from omegaconf import DictConfig

from vjo_train.config import build
from vjo_train.errors import CheckpointError
from vjo_train.runs import run_folder
from vjo_train.training import start_from, start_source
from vjo_train.training.job import Job
from vjo_train.training.provenance import Provenance
from vjo_train.training.resumed_rate import ResumedRate


def begin(job: Job, cfg: DictConfig) -> None:
    """Fills the network from `start_from` and `sharing.columns_from`, unless it goes on from a checkpoint of its own.

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
    classes = {task: job.classes(task) for task in job.module.tasks}
    job.callbacks += [Provenance(classes, job.started, lines), ResumedRate(job.settings.resume_lr)]


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
