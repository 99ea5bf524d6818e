"""`examples/`: small pictures of test images with what the network says and what is true, for the report.

The first images of the test (the same for every run on the same data), and of each task the best and the worst by
`Records.quality`. `examples/index.json` names them. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from vjo_train.errors import CheckpointError
from vjo_train.files import write_atomically
from vjo_train.runs.records import TaskRecords
from vjo_train.runs.records.base import Doubles

FOLDER = Path("examples")
INDEX = FOLDER / "index.json"
FORMAT = 1
SHOWN = 4
"""How many of the first images are shown, with all tasks."""
EXTREMES = 3
"""How many best and how many worst images of each task."""

Why: TypeAlias = Literal["first", "best", "worst"]


@dataclass(frozen=True)
class Example:
    """An image that is shown.

    Attributes:
        image: its id in the data set.
        why: the first ones of the test, or the best or worst ones of a task.
        task: whose prediction is drawn; empty for all tasks.
        quality: see `Records.measure`; None where it was not chosen by it.
        measure: that in words; empty where it was not chosen by it.
        prediction: the file in `examples/` with what the network says; empty until it is drawn.
        truth: the same of the annotation.
    """

    image: str
    why: Why
    task: str = ""
    quality: float | None = None
    measure: str = ""
    prediction: str = ""
    truth: str = ""


def choose(records: Mapping[str, TaskRecords], number: int = EXTREMES) -> list[Example]:
    """The best and the worst images of each task, by its records."""
    chosen = []
    for task, known in records.items():
        values = known.records.quality()
        measure = known.records.measure
        places: tuple[Why, Why] = ("best", "worst")
        for why, found in zip(places, extremes(values, known.records.contents(), number), strict=True):
            chosen += [Example(known.ids[k], why, task, round(float(values[k]), 4), measure) for k in found]
    return chosen


def write_index(run: Path, examples: Sequence[Example]) -> None:
    """Writes the index of the examples whose pictures are there."""
    content = {"format": FORMAT, "examples": [asdict(example) for example in examples]}
    write_atomically(run / INDEX, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_examples(run: Path) -> list[Example]:
    """The examples of a run; empty where it kept none.

    Raises:
        CheckpointError: the index is damaged.
    """
    path = run / INDEX
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"found format {content['format']}, this version reads {FORMAT}")
        return [Example(**example) for example in content["examples"]]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}).") from error


def extremes(values: Doubles, weight: Doubles, number: int) -> tuple[list[int], list[int]]:
    """The places of the `number` best and of the `number` worst values, without NaN and without a place in both.

    Of equal values, those with more `weight` come first at both ends: five objects found say more than one.
    """
    known = [int(place) for place in np.flatnonzero(~np.isnan(values))]
    number = min(number, len(known) // 2)
    best = sorted(known, key=lambda place: (-values[place], -weight[place], place))[:number]
    rest = [place for place in known if place not in best]
    return best, sorted(rest, key=lambda place: (values[place], -weight[place], place))[:number]
