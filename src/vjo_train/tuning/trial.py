"""One trial: a training run without its test, watched on val."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vjo_train.config import build, starting
from vjo_train.errors import ConfigError, NumericsError, ResourceError
from vjo_train.report.throughput import Throughput
from vjo_train.runs import run_folder
from vjo_train.runs.epochs import read_history
from vjo_train.training import run
from vjo_train.tuning.plan import MONITOR

log = logging.getLogger("vjo_train")


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: with `values` of the metrics, pruned (None), or failed for the reason `fault`."""

    values: list[float] | None
    fault: str = ""


class Watch(pl.Callback):
    """Reports the first of the metrics after each validation, and ends training where it is told to.

    Args:
        metrics: the names of what is maximised.
        hopeless: (epoch, value) -> whether to end; None: never.

    Raises:
        ConfigError: the first validation gives no such metric.
    """

    def __init__(self, metrics: Sequence[str], hopeless: Callable[[int, float], bool] | None) -> None:
        self.metrics = tuple(metrics)
        self.hopeless = hopeless
        self.pruned = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        there = trainer.callback_metrics
        for name in self.metrics:
            if name not in there:
                known = ", ".join(sorted(k for k in there if k.startswith("val/") and not k.endswith("/loss")))
                raise ConfigError(f"tune.metric: '{name}' is not measured; val gives {known}.")
        value = float(there[self.metrics[0]])
        if self.hopeless is not None and math.isfinite(value) and self.hopeless(trainer.current_epoch, value):
            self.pruned = trainer.should_stop = True


def run_trial(cfg: DictConfig, metrics: Sequence[str], hopeless: Callable[[int, float], bool] | None) -> Outcome:
    """Trains the composed config in its run folder; a number that is not finite, or memory, fails the trial.

    Raises:
        VjoError: any other mistake; it would meet the other trials too.
    """
    output = Path(HydraConfig.get().runtime.output_dir)
    watch = Watch(metrics, hopeless)
    try:
        job = build.job(cfg, output)
        starting.begin(job, cfg)
        job.callbacks.append(watch)
        run.fit(job, Throughput())
    except (NumericsError, ResourceError) as error:
        log.warning("%s", error)
        return Outcome(None, str(error))
    if watch.pruned:
        return Outcome(None)
    monitor = cfg.trainer.monitor or MONITOR
    higher = job.module.higher_is_better(monitor)
    return best_epoch(read_history(output / "metrics.csv"), monitor, metrics, higher)


def best_epoch(rows: Sequence[dict[str, str]], monitor: str, metrics: Sequence[str], higher: bool = True) -> Outcome:
    """The metrics at the epoch of the best checkpoint: the first where the monitor is best."""
    measured = [row for row in rows if math.isfinite(float(row.get(monitor, "nan")))]
    if not measured:
        return Outcome(None, f"{monitor} was never a number.")
    sign = 1 if higher else -1
    best = max(measured, key=lambda row: sign * float(row[monitor]))
    values = [float(best.get(name, "nan")) for name in metrics]
    lost = [name for name, value in zip(metrics, values, strict=True) if not math.isfinite(value)]
    return Outcome(None, f"{lost[0]} is no number at the best epoch.") if lost else Outcome(values)


def own_metrics(cfg: DictConfig) -> dict[str, str]:
    """Task -> the metric that its head names for itself; self-supervised tasks are no goals."""
    from hydra.utils import get_class

    chosen = {str(task): node for task, node in cfg.heads.items() if not run_folder.self_supervised(node)}
    heads: dict[str, Any] = {task: get_class(node._target_) for task, node in chosen.items()}
    return {task: head.monitor for task, head in heads.items()}
