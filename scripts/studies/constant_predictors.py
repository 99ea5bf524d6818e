"""What a predictor comes to that says the same of every image, on the data of an experiment.

It is fitted on the training images: the most frequent category, how often each class is shown, the median depth, the
mean normal, the background everywhere, no objects at all. Prints its test figures by the heads' own metrics.

    .venv/bin/python scripts/studies/constant_predictors.py experiment=shapes_everything
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.config import build
from vjo_train.config.checks.class_names import class_names
from vjo_train.config.compose import Composer
from vjo_train.heads.base import Head
from vjo_train.schedules.joint import Joint
from vjo_train.types import Batch, Detections, Target

Predictor = Callable[[Target], Any]


def main(overrides: list[str]) -> None:
    """Prints the figures of every task of the experiment."""
    composer = Composer("train")
    words = [*overrides, "dataset.workers=0"]
    cfg = composer.compose([*words, *class_names(composer.compose(words))])
    module, data = build.model(cfg), build.datamodule(cfg)
    data.set_tasks({task: module.head(task).needs for task in module.tasks}, Joint(tasks=module.tasks))
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    train = [target for batch in data.eval_dataloader(data.train_rows) for target in batch.originals]
    for task in module.tasks:
        head = module.head(task)
        known = [target for target in train if head.labelled(target)]
        predict, metrics = PREDICTORS[task](head, head.view(known)), head.metrics()
        for batch in data.test_dataloader():
            assert isinstance(batch, Batch)
            targets = head.view(batch.originals)
            metrics.update([predict(target) for target in targets], targets)
        for name, value in metrics.compute().items():
            if name not in metrics.per_class:
                print(f"{task:16}{name:20}{float(value):.4f}")


def category(head: Head, known: list[Target]) -> Predictor:
    """The most frequent one."""
    labels = torch.stack([target["category"] for target in known])
    chosen = F.one_hot(labels.mode().values, int(labels.max()) + 1).double()
    return lambda target: chosen


def classification(head: Head, known: list[Target]) -> Predictor:
    """How often each class is shown."""
    shares = torch.stack([target["classes"] > 0 for target in known]).double().mean(0)
    return lambda target: shares


def semantic(head: Head, known: list[Target]) -> Predictor:
    """The background."""
    return lambda target: torch.zeros(target.size, dtype=torch.uint8)


def depth(head: Head, known: list[Target]) -> Predictor:
    """The median of all pixels."""
    values = torch.cat([target["depth"][target["depth"].isfinite()] for target in known])
    return lambda target: values.median().expand(target.size)


def normals(head: Head, known: list[Target]) -> Predictor:
    """The mean of all pixels."""
    total = torch.stack([target["normals"].nan_to_num().sum((1, 2)) for target in known]).sum(0)
    vector = F.normalize(total, dim=0)
    return lambda target: vector[:, None, None].expand(3, *target.size)


def nothing(head: Head, known: list[Target]) -> Predictor:
    """No object at all."""
    points = getattr(head, "points", None)

    def predict(target: Target) -> Detections:
        none = torch.zeros(0)
        shape = (0, int(points), 3) if points else None
        masks = torch.zeros(0, *target.size, dtype=torch.bool)
        return Detections(torch.zeros(0, 4), none, none.long(), masks, _zeros(shape))

    return predict


def _zeros(shape: tuple[int, ...] | None) -> Tensor | None:
    return None if shape is None else torch.zeros(shape)


PREDICTORS: Mapping[str, Callable[[Head, list[Target]], Predictor]] = {
    "category": category,
    "classification": classification,
    "semantic": semantic,
    "depth": depth,
    "normals": normals,
    "detection": nothing,
    "instance": nothing,
    "keypoints": nothing,
}

if __name__ == "__main__":
    main(sys.argv[1:])
