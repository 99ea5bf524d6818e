"""Tracks and annotated sequences in the layout of MOTChallenge (Dendorfer et al., https://arxiv.org/abs/2003.09003).

A line of a text file is `frame, identity, left, top, width, height, score or flag, class, visibility`; frames,
identities, classes and pixels count from 1.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vjo_train.errors import DataError
from vjo_train.types import Detections

ANNOTATIONS = Path("gt", "gt.txt")
"""In the folder of a sequence."""
FIRST_PIXEL = 1.0
"""What the left edge of the first pixel is called."""


@dataclass
class Tracks:
    """N boxes of objects in the frames of one sequence."""

    frames: npt.NDArray[np.int64]
    """[N] from 1."""
    ids: npt.NDArray[np.int64]
    """[N] from 1."""
    boxes: npt.NDArray[np.float64]
    """[N, 4] xyxy in continuous pixels, 0-based."""
    labels: npt.NDArray[np.int64]
    """[N] class 0..C-1."""
    counted: npt.NDArray[np.bool_]
    """[N] whether the object counts; the others, such as reflections, count neither way."""

    def at(self, frame: int) -> npt.NDArray[np.int64]:
        """The rows of a frame."""
        return np.flatnonzero(self.frames == frame)


def mot_lines(frame: int, found: Detections) -> Iterator[str]:
    """The lines of a frame's objects that have identities, which is what MOTChallenge takes as a result."""
    assert found.tracks is not None
    rows = zip(found.tracks.tolist(), found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    for track, (x1, y1, x2, y2), score, label in rows:
        if track:
            box = f"{x1 + FIRST_PIXEL:.3f},{y1 + FIRST_PIXEL:.3f},{x2 - x1:.3f},{y2 - y1:.3f}"
            yield f"{frame},{track},{box},{score:.6f},{label + 1},-1\n"


def read_tracks(path: Path, *, annotated: bool) -> Tracks:
    """Reads a text file; without a column of classes, and where it says -1, all objects are of the first one.

    Args:
        path: the file.
        annotated: the seventh column is a flag: an object with 0 does not count. In a result it is a score.

    Raises:
        DataError: it is missing, or a line has fewer than six numbers.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: missing or no text.") from error
    rows = [_numbers(path, k, line) for k, line in enumerate(lines, 1) if line.strip()]
    table = np.array(rows, np.float64).reshape(-1, 8)
    corner = table[:, 2:4] - FIRST_PIXEL
    return Tracks(
        frames=table[:, 0].astype(np.int64),
        ids=table[:, 1].astype(np.int64),
        boxes=np.concatenate([corner, corner + table[:, 4:6]], axis=1),
        labels=np.maximum(table[:, 7].astype(np.int64) - 1, 0),
        counted=table[:, 6] != 0 if annotated else np.ones(len(table), np.bool_),
    )


def _numbers(path: Path, line: int, text: str) -> list[float]:
    try:
        found = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        found = []
    if len(found) < 6:
        raise DataError(f"{path}, line {line}: found '{text[:60]}'; must be frame,id,left,top,width,height,...")
    return [*found, *(1.0, 1.0)[len(found) - 6 :]][:8]


@dataclass(frozen=True)
class AnnotatedSequence:
    """A folder with pictures and `gt/gt.txt`."""

    name: str
    folder: Path
    pictures: list[Path]
    """In the order of their frames."""
    numbers: list[int]
    """The frame of each picture."""
    rate: float
    """Frames per second."""


def find_sequences(folder: Path) -> list[AnnotatedSequence]:
    """The annotated sequences that a folder is or holds.

    Raises:
        DataError: there is none, or one without pictures.
    """
    if (folder / ANNOTATIONS).is_file():
        return [read_sequence(folder)]
    found = sorted(path.parents[1] for path in folder.glob(f"*/{ANNOTATIONS.as_posix()}"))
    if not found:
        raise DataError(f"sequences: found '{folder}', which neither is nor holds a folder with {ANNOTATIONS}.")
    return [read_sequence(path) for path in found]


def read_sequence(folder: Path) -> AnnotatedSequence:
    """What `seqinfo.ini` says, where it is there, and which pictures there are.

    Raises:
        DataError: there are none.
    """
    info = configparser.ConfigParser()
    try:
        info.read(folder / "seqinfo.ini", encoding="utf-8")
        own = dict(info["Sequence"]) if info.has_section("Sequence") else {}
        rate = float(own.get("framerate", "30"))
    except (configparser.Error, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{folder / 'seqinfo.ini'}: {' '.join(str(error).split())}.") from error
    pictures = folder / own.get("imdir", "img1")
    ending = own.get("imext", "")
    numbered = sorted((int(file.stem), file) for file in pictures.glob(f"*{ending}") if file.stem.isdecimal())
    if not numbered:
        raise DataError(f"{pictures}: has no pictures with the numbers of frames as names.")
    return AnnotatedSequence(
        folder.name, folder, [file for _, file in numbered], [number for number, _ in numbered], rate
    )
