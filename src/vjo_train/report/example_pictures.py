"""Draws the examples of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vjo_train.data.datamodule import DataModule
from vjo_train.report.drawing import draw_prediction, draw_target
from vjo_train.report.examples import FOLDER, Example, choose, write_index
from vjo_train.runs.records import TaskRecords
from vjo_train.training.evaluation import Evaluation
from vjo_train.types import Batch

SIDE = 224
"""The longest side of a picture in pixels."""


def write_examples(
    output: Path, module: Evaluation, data: DataModule, first: Sequence[str], records: Mapping[str, TaskRecords]
) -> None:
    """Draws the first images of the test, and the best and worst ones of each task; writes the index last.

    Args:
        output: the run's folder.
        module: on its device, in evaluation mode.
        data: with the split that was tested.
        first: the ids of the first images.
        records: of the test.
    """
    chosen = [*(Example(image, "first") for image in first), *choose(records)]
    by_image: dict[str, list[int]] = {}
    for place, example in enumerate(chosen):
        by_image.setdefault(example.image, []).append(place)
    (output / FOLDER).mkdir(parents=True, exist_ok=True)
    drawn: dict[int, Example] = {}
    for batch in data.eval_dataloader(data.index.rows(list(by_image)), alone=True):
        with torch.no_grad():
            found = module.predict(batch.to(module.device))
        for row, image in enumerate(batch.ids):
            said = {task: values[row].to("cpu") for task, values in found.items()}
            for place in by_image[image]:
                drawn[place] = _draw(chosen[place], place, batch, row, said, module, data, output / FOLDER)
    write_index(output, [drawn[place] for place in sorted(drawn)])


def _draw(
    example: Example,
    number: int,
    batch: Batch,
    row: int,
    said: Mapping[str, Any],
    module: Evaluation,
    data: DataModule,
    folder: Path,
) -> Example:
    """Draws one image; the files are numbered, since an image's id need not be a good name for a file."""
    tasks = [example.task] if example.task else list(module.measured)
    needs = frozenset[str]().union(*(module.head(task).needs for task in tasks if task not in module.merged))
    height, width = batch.targets[row].size
    picture, target = batch.images[row, :, :height, :width], batch.originals[row]
    shown, heads = {task: said[task] for task in tasks}, {task: module.measures(task) for task in tasks}
    done = replace(example, prediction=f"{number:02d}.jpg", truth=f"{number:02d}_truth.jpg")
    prediction = draw_prediction(picture, shown, heads, data.classes, size=target.size, side=SIDE, caption="")
    prediction.save(folder / done.prediction, quality=82, optimize=True)
    truth = draw_target(picture, target.only(needs), data.source.kinds, data.classes, side=SIDE, caption="")
    truth.save(folder / done.truth, quality=82, optimize=True)
    return done
