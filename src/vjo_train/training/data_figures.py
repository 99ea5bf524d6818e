"""What a run's results keep of its data."""

from __future__ import annotations

from vjo_train.data.class_facts import class_facts
from vjo_train.data.datamodule import DataModule


def image_counts(data: DataModule, trained: bool) -> dict[str, dict[str, int]]:
    """How many images there are in each part of the data, and how many are labelled for each task."""
    rows = {"train": data.train_rows, "val": data.val_rows, "meta": data.meta_rows} if trained else {}
    rows["test"] = data.rows(data.test_split)
    kept = {task: len(own) for task, own in data.training_labels.items() if task in data.needs} if trained else {}
    counts = {part: data.count(own) for part, own in rows.items() if len(own)}
    return counts | ({"train": counts["train"] | kept} if trained else {})


def facts_of_classes(data: DataModule, trained: bool) -> dict[str, dict[str, float]]:
    """What the images that were trained on, else those of the test, show of each class."""
    return class_facts(data, data.train_rows if trained else data.rows(data.test_split), data.canvas)
