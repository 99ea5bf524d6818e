"""The keys that belong to no part of the network: their types, ranges and meaning. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How long, on what and how exactly to train: the group `trainer`.

    Attributes:
        max_epochs: passes over the training split.
        max_steps: optimizer steps after which training ends early; None: no limit.
        accelerator: `auto` takes a GPU where there is one.
        devices: processes per machine, one per device.
        num_nodes: machines.
        precision: `auto` is bf16-mixed on a GPU or CPU with fast bfloat16, else 32-true.
        accumulate_grad_batches: batches per optimizer step.
        gradient_clip_val: greatest norm of the gradient; None: no clipping.
        early_stopping: epochs without a better monitor after which training ends; None: never.
        monitor: metric that picks the best checkpoint, higher is better; None: mean of the heads' own.
        ema: decay of the averaged weights that are validated and tested; None: no averaging.
        resume: `auto`, a run's folder, a checkpoint, or None.
        check_val_every_n_epoch: epochs between validations.
        channels_last: memory layout of images and convolutions.
        deterministic: refuse operations whose result differs from run to run.
        progress: show the progress bar.
        log_every_n_steps: steps between records of the training metrics.
    """

    max_epochs: Annotated[int, Ge(1)] = 30
    max_steps: Annotated[int, Ge(1)] | None = None
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Annotated[int, Ge(1)] = 1
    num_nodes: Annotated[int, Ge(1)] = 1
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    accumulate_grad_batches: Annotated[int, Ge(1)] = 1
    gradient_clip_val: Annotated[float, Gt(0)] | None = None
    early_stopping: Annotated[int, Ge(1)] | None = None
    monitor: str | None = None
    ema: Annotated[float, Interval(gt=0, lt=1)] | None = None
    resume: str | None = None
    check_val_every_n_epoch: Annotated[int, Ge(1)] = 1
    channels_last: bool = True
    deterministic: bool = False
    progress: bool = True
    log_every_n_steps: Annotated[int, Ge(1)] = 20
