"""`affinity.csv`: whether the steps of one task help or harm the others."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
from annotated_types import Ge
from rich.console import Console
from rich.table import Table

from vjo_train.files import write_atomically
from vjo_train.insight.base import Insight
from vjo_train.insight.lookahead import affinity, lookahead
from vjo_train.report.affinity import COLUMNS, FILE, Measured, lines, mean, read
from vjo_train.report.text import figure
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch

MEANS = "affinity.json"


class Affinity(Insight):
    """Measures, every so many batches and before they train, the affinity between the tasks (`lookahead.affinity`).

    The step looked at is that of plain gradient descent at the present learning rates (`Optimizer` and accumulation
    aside, as in the paper) on the parameters that several losses train. Only tasks that are on and have labelled images
    in a batch are in its figures, and only batches with two or more of them; under a schedule that trains one task at a
    time there are none. The weights are those of a run without it, to the bit.

    `affinity.csv` has a row for each pair and measurement, `affinity.json` the means over training: `mean[i][j]` is
    what a step of `tasks[i]` does for `tasks[j]`, null where never measured, and `measured` counts. On a resume, what
    comes again is dropped. The means are in `results.json` too, as `train/affinity/<source>/<target>`.

    Cost of one measurement: a forward with graph, K backwards and K forwards, without autocast.

    Args:
        output: the run's folder.
        every: batches from one measurement to the next.
    """

    def __init__(self, *, output: Path, every: Annotated[int, Ge(1)] = 50) -> None:
        self.folder = output
        self.every = every
        self.tasks: tuple[str, ...] = ()
        self.measured: list[Measured] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        self.tasks = pl_module.weighting.tasks
        path = self.folder / FILE
        before = read(path) if path.is_file() else []
        self.measured = [row for row in before if row.step < pl_module.batches]
        if trainer.is_global_zero:
            write_atomically(path, ",".join(COLUMNS) + "\n" + lines(self.measured))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        if batch.step % self.every:
            return
        shared = pl_module.trained_together()
        known = {id(p): group["lr"] for group in trainer.optimizers[0].param_groups for p in group["params"]}
        tasks, before, after = lookahead(
            lambda: pl_module.losses_beside(batch), shared, [known[id(p)] for p in shared]
        )  # fmt: skip
        if len(tasks) < 2:
            return
        pairs = affinity(before, after).tolist()
        new = [
            Measured(batch.step, source, target, value)
            for source, row in zip(tasks, pairs, strict=True)
            for target, value in zip(tasks, row, strict=True)
            if not math.isnan(value)
        ]
        self.measured += new
        for row in new:
            name = f"train/affinity/{row.source}/{row.target}"
            pl_module.log(name, row.affinity, on_step=True, on_epoch=True, batch_size=1)
        if trainer.is_global_zero:
            with (self.folder / FILE).open("a", encoding="utf-8") as file:
                file.write(lines(new))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        write_atomically(self.folder / MEANS, to_json(self.measured, self.tasks, self.every))
        Console().print(means_table(self.measured, self.tasks))

    def figures(self) -> dict[str, float]:
        means = {(i, j): mean(self.measured, i, j) for i in self.tasks for j in self.tasks}
        return {f"train/affinity/{i}/{j}": value for (i, j), value in means.items() if not math.isnan(value)}


def to_json(measured: Sequence[Measured], tasks: Sequence[str], every: int) -> str:
    """The content of `affinity.json`."""
    means = [[mean(measured, i, j) for j in tasks] for i in tasks]
    content: dict[str, Any] = {
        "every": every,
        "tasks": list(tasks),
        "mean": [[None if math.isnan(value) else value for value in row] for row in means],
        "measured": [[sum((r.source, r.target) == (i, j) for r in measured) for j in tasks] for i in tasks],
    }
    return json.dumps(content, indent=1) + "\n"


def means_table(measured: Sequence[Measured], tasks: Sequence[str]) -> Table:
    """The mean affinities, in percent of the loss: a row for each task whose step it is."""
    table = Table(title="Task affinity: a step of the row lowers the loss of the column by, in %", title_justify="left")
    table.add_column("step of")
    for task in tasks:
        table.add_column(task, justify="right")
    for source in tasks:
        table.add_row(source, *(figure(100 * mean(measured, source, target), 3) for target in tasks))
    return table
