"""How well a network with a tracker follows objects: evaluation on annotated sequences."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vjo_train.errors import ConfigError, DataError
from vjo_train.files import write_atomically
from vjo_train.inference.inputs import Files, Loaded
from vjo_train.inference.prediction import Network
from vjo_train.metrics.tracking import Counts, count, figures
from vjo_train.tracking.byte_track import ByteTrack
from vjo_train.tracking.mot_files import ANNOTATIONS, AnnotatedSequence, mot_lines, read_tracks
from vjo_train.types import Canvas, Detections

log = logging.getLogger("vjo_train")

REPORT = "tracking.json"
_SHOWN = ("idf1", "mota", "precision", "recall", "switches")


def evaluate_sequences(
    sequences: Sequence[AnnotatedSequence],
    network: Network,
    make_tracker: Callable[[], ByteTrack],
    output: Path,
    *,
    canvas: Canvas,
    tasks: tuple[str, ...],
    batch_size: int,
    workers: int,
) -> dict[str, dict[str, dict[str, float]]]:
    """Follows the objects of every sequence and compares them with its annotations.

    Writes `<sequence>.<task>.txt` with the tracks, in MOTChallenge's form, and `tracking.json` with the figures.

    Returns:
        Task -> sequence, and `all` for their sum -> the figures of `metrics.tracking.figures`.

    Raises:
        DataError: annotations or a picture that cannot be read.
        ConfigError: no task finds objects.
    """
    totals: dict[str, dict[str, Counts]] = {}
    for sequence in sequences:
        truth = read_tracks(sequence.folder / ANNOTATIONS, annotated=True)
        files = Files(sequence.pictures, canvas=canvas, tasks=tasks)
        lines = _followed(sequence, network, make_tracker, files.loader(batch_size, workers))
        for task, own in lines.items():
            path = output / f"{sequence.name}.{task}.txt"
            write_atomically(path, "".join(own))
            found = count(truth, read_tracks(path, annotated=False), sequence.numbers)
            totals.setdefault(task, {})[sequence.name] = found
    if not totals:
        raise ConfigError(f"sequences: none of the tasks {', '.join(tasks)} finds objects that could be followed.")
    report = {
        task: {name: figures(one) for name, one in {**own, "all": sum(own.values(), Counts())}.items()}
        for task, own in totals.items()
    }
    write_atomically(output / REPORT, json.dumps(report, indent=2) + "\n")
    log.info("%s", table(report))
    return report


def table(report: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The figures as lines of text."""
    rows = [f"{'task':<12}{'sequence':<24}" + "".join(f"{name:>11}" for name in _SHOWN)]
    for task, own in report.items():
        for name, values in own.items():
            shown = "".join(f"{values[key]:>11.0f}" if key == "switches" else f"{values[key]:>11.3f}" for key in _SHOWN)
            rows.append(f"{task:<12}{name:<24}{shown}")
    return "\n".join(rows)


def _followed(
    sequence: AnnotatedSequence, network: Network, make_tracker: Callable[[], ByteTrack], loader: Any
) -> dict[str, list[str]]:
    """Task -> lines of its tracks."""
    trackers: dict[str, ByteTrack] = {}
    lines: dict[str, list[str]] = {}
    gaps = np.diff(sequence.numbers, prepend=sequence.numbers[0] - 1).tolist()
    for loaded in loader:
        assert isinstance(loaded, Loaded)
        for why in loaded.unreadable.values():
            raise DataError(f"{sequence.name}: {why}")
        for place, predictions in zip(loaded.places, network(loaded.batch, loaded.pictures), strict=True):
            for task, found in predictions.items():
                if isinstance(found, Detections):
                    tracker = trackers.setdefault(task, make_tracker())
                    followed = tracker.update(found, gaps[place])
                    lines.setdefault(task, []).extend(mot_lines(sequence.numbers[place], followed))
    return lines
