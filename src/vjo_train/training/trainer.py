"""Lightning's trainer, as the settings of a run ask for it."""

from __future__ import annotations

import logging
import warnings

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback

from vjo_train.errors import ConfigError
from vjo_train.report.profile import Profile
from vjo_train.report.progress import Progress
from vjo_train.report.throughput import Throughput
from vjo_train.training.durable_io import DurableIO
from vjo_train.training.fit_loop import resumable
from vjo_train.training.job import Test
from vjo_train.training.precision import cast_once, choose_precision
from vjo_train.training.processes import environment
from vjo_train.training.strategy import SummedGradients, check_devices


def build_trainer(job: Test, throughput: Throughput, callbacks: list[Callback]) -> pl.Trainer:
    """The trainer of a job, with what its settings and this machine say.

    Args:
        job: what is trained or tested.
        throughput: measures its steps.
        callbacks: of the run.

    Raises:
        ConfigError: the machine has no such devices.
    """
    settings = job.settings
    # Lightning's remarks on hardware, loops and services are not for the users of this program.
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    warnings.filterwarnings("ignore", message=r".*does not have many workers")
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    # Where there is no best checkpoint to take along.
    warnings.filterwarnings("ignore", message=r"The dirpath has changed from")
    # An epoch without validation, which `trainer.check_val_every_n_epoch` asks for.
    warnings.filterwarnings("ignore", message=r"`ModelCheckpoint\(monitor=.*could not find the monitored key")
    # The plan goes on at the batch where the checkpoint stopped.
    warnings.filterwarnings("ignore", message=r"You're resuming from a checkpoint that ended before the epoch ended")
    check_devices(settings.accelerator, settings.devices)
    several = settings.devices * settings.num_nodes > 1
    shown = [Progress(job.trained, throughput)] if settings.progress else []
    try:
        trainer = pl.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=SummedGradients() if several else "auto",
            precision=choose_precision(settings.precision, settings.accelerator),  # type: ignore[arg-type]
            max_epochs=settings.max_epochs,
            max_steps=settings.max_steps or -1,
            accumulate_grad_batches=settings.accumulate_grad_batches,
            gradient_clip_val=settings.gradient_clip_val,
            check_val_every_n_epoch=settings.check_val_every_n_epoch,
            log_every_n_steps=settings.log_every_n_steps,
            deterministic=settings.deterministic,
            plugins=[DurableIO(), environment(settings.devices, settings.num_nodes)],
            profiler=next((callback.actions for callback in callbacks if isinstance(callback, Profile)), None),
            logger=job.loggers or False,
            callbacks=[throughput, *callbacks, *shown],
            enable_progress_bar=settings.progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if is_validated(job) else 0,
            # The plan splits the batches over the ranks itself.
            use_distributed_sampler=False,
            default_root_dir=job.output,
        )
    except MisconfigurationException as error:  # such as a GPU that is not there
        raise ConfigError(
            f"trainer.accelerator={settings.accelerator}, devices={settings.devices}: {' '.join(str(error).split())}"
        ) from error
    return resumable(cast_once(trainer))


def is_validated(job: Test) -> bool:
    """Whether there are images to validate on."""
    return job.data.val_split is not None or job.data.val_fraction > 0
