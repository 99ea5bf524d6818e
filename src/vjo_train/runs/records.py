"""What a test keeps of each image, so that its figures can be computed again on any sample of the images.

The file `test_records.npz` holds, by task, the ids of the tested images and one of the three kinds of records below:
no images, boxes or masks, only what the metrics need. Imports no torch.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from vjo_train.errors import CheckpointError
from vjo_train.runs.average_precision import Interpolation, resampled_average_precision

FILE = "test_records.npz"

Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.floating]
Integers: TypeAlias = npt.NDArray[np.integer]
Figures: TypeAlias = dict[str, npt.NDArray[np.float64]]
"""Metric -> [R], its value on each of R samples."""


@dataclass(frozen=True)
class Scores:
    """Multi-label classification: every image's scores and labels.

    Attributes:
        scores: [I, C].
        labels: [I, C]: 1 present, -1 absent, 0 counts neither way.
    """

    kind: ClassVar[str] = "scores"
    scores: Floats
    labels: Integers

    def resampled(self, draws: Integers) -> Figures:
        """`map` and `map_voc07` on samples of the images, given how often each is drawn, [R, I]."""
        aps: dict[str, list[npt.NDArray[np.float64]]] = {"map": [], "map_voc07": []}
        for c in range(self.scores.shape[1]):
            hits, image = self.ranked(c)
            positives = (self.labels[:, c] > 0).astype(np.int64)
            aps["map"].append(resampled_average_precision(hits, image, positives, draws, "area"))
            aps["map_voc07"].append(resampled_average_precision(hits, image, positives, draws, "11point"))
        return {name: mean_over_classes(values) for name, values in aps.items()}

    def ranked(self, c: int) -> tuple[Flags, Integers]:
        """Of class `c`, best score first: which images show it, and their numbers; those of label 0 left out."""
        order = np.argsort(-self.scores[:, c], kind="stable")
        order = order[self.labels[order, c] != 0]
        return self.labels[order, c] > 0, order

    def positives(self, c: int) -> int:
        """How many images show class `c`."""
        return int((self.labels[:, c] > 0).sum())


@dataclass(frozen=True)
class Matches:
    """Detection by boxes or masks: every detection with its verdict, ordered by class, then score, then arrival.

    Attributes:
        image: [N] the image of each detection.
        label: [N] its class, 0..C-1.
        score: [N].
        hits: [S, N] whether it is right, in each of S settings.
        counted: [S, N] whether it counts at all: those that find a difficult object do not.
        objects: [I, C] objects by image and class, without difficult ones.
        metrics: [S] the metric that each setting gives, such as `map_voc07`.
        interpolations: [S] how each turns the curve into a number.
    """

    kind: ClassVar[str] = "matches"
    image: Integers
    label: Integers
    score: Floats
    hits: Flags
    counted: Flags
    objects: Integers
    metrics: Sequence[str]
    interpolations: Sequence[Interpolation]

    def resampled(self, draws: Integers) -> Figures:
        """Every setting's mean AP on samples of the images, given how often each is drawn, [R, I]."""
        figures: Figures = {}
        for setting, (metric, interpolation) in enumerate(zip(self.metrics, self.interpolations, strict=True)):
            aps = []
            for c in range(self.objects.shape[1]):
                hits, image = self.ranked(c, setting)
                aps.append(resampled_average_precision(hits, image, self.objects[:, c], draws, interpolation))
            figures[str(metric)] = mean_over_classes(aps)
        return figures

    def ranked(self, c: int, setting: int = 0) -> tuple[Flags, Integers]:
        """Of class `c`, best score first: which detections are right, and their images; only those that count."""
        rows = slice(*np.searchsorted(self.label, [c, c + 1]))
        counted = self.counted[setting, rows]
        return self.hits[setting, rows][counted], self.image[rows][counted]

    def positives(self, c: int) -> int:
        """How many objects of class `c` there are to find."""
        return int(self.objects[:, c].sum())


@dataclass(frozen=True)
class Pixels:
    """Semantic segmentation: every image's confusion matrix, of which only the cells that are not 0 are kept.

    Attributes:
        image: [N] the image of each cell.
        truth: [N] 0 background, k + 1 for class k.
        found: [N] the same of the prediction.
        count: [N] pixels.
        shape: [2] how many images and how many classes there are, background included.
    """

    kind: ClassVar[str] = "pixels"
    image: Integers
    truth: Integers
    found: Integers
    count: Integers
    shape: Integers

    def resampled(self, draws: Integers) -> Figures:
        """`miou` and `pixel_accuracy` on samples of the images, given how often each is drawn, [R, I]."""
        size = int(self.shape[1])
        cell = self.truth.astype(np.int64) * size + self.found
        miou, accuracy = np.empty(len(draws)), np.empty(len(draws))
        for r, drawn in enumerate(draws):
            counts = np.bincount(cell, weights=self.count * drawn[self.image], minlength=size * size)
            confusion = counts.reshape(size, size)
            hits, total = confusion.diagonal(), confusion.sum()
            union = confusion.sum(0) + confusion.sum(1) - hits
            miou[r] = (hits[union > 0] / union[union > 0]).mean() if total else np.nan
            accuracy[r] = hits.sum() / total if total else np.nan
        return {"miou": miou, "pixel_accuracy": accuracy}


Records: TypeAlias = Scores | Matches | Pixels
KINDS: dict[str, type[Any]] = {kind.kind: kind for kind in (Scores, Matches, Pixels)}


@dataclass(frozen=True)
class TaskRecords:
    """One task's records and the images that they are of."""

    ids: tuple[str, ...]
    """[I] in the order in which the records number them; images not labelled for the task are left out."""
    records: Records


def mean_over_classes(values: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """The mean over C arrays [R] of what is not NaN; NaN where all is."""
    table = np.stack(values)
    defined = ~np.isnan(table)
    number = defined.sum(axis=0)
    total = np.where(defined, table, 0.0).sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


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
