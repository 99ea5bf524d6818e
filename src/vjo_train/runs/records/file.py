"""The file of a test's records."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vjo_train.errors import CheckpointError
from vjo_train.runs.records.averages import Averages
from vjo_train.runs.records.base import Records
from vjo_train.runs.records.choices import Choices
from vjo_train.runs.records.matches import Matches
from vjo_train.runs.records.numbers import Numbers
from vjo_train.runs.records.pixels import Pixels
from vjo_train.runs.records.scores import Scores
from vjo_train.runs.records.segments import Segments
from vjo_train.runs.records.thresholds import Thresholds

FILE = "test_records.npz"
_ALL = (Scores, Matches, Pixels, Averages, Choices, Numbers, Thresholds, Segments)
KINDS: dict[str, type[Any]] = {kind.kind: kind for kind in _ALL}


@dataclass(frozen=True)
class TaskRecords:
    """One task's records and the images that they are of."""

    ids: tuple[str, ...]
    """[I] in the order in which the records number them; images not labelled for the task are left out."""
    records: Records


def to_bytes(tasks: Mapping[str, TaskRecords]) -> bytes:
    """The content of `test_records.npz`."""
    arrays: dict[str, Any] = {}
    for task, known in tasks.items():
        arrays[f"{task}/kind"] = np.array(known.records.kind)
        arrays[f"{task}/ids"] = np.array(known.ids, dtype=np.str_)
        for name, value in vars(known.records).items():
            arrays[f"{task}/{name}"] = np.asarray(value)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_records(path: Path) -> dict[str, TaskRecords]:
    """Task -> its records; empty where the file is not there.

    Raises:
        CheckpointError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        tasks = [name.removesuffix("/kind") for name in arrays if name.endswith("/kind")]
        return {task: _task({k.rpartition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{task}/")})
                for task in tasks}  # fmt: skip
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is damaged or no file of test records ({error}).") from error


def _task(arrays: dict[str, Any]) -> TaskRecords:
    kind, ids = str(arrays.pop("kind")), arrays.pop("ids")
    return TaskRecords(tuple(ids.tolist()), KINDS[kind](**arrays))
