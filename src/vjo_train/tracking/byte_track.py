"""ByteTrack: identities for the objects that a detector finds in the frames of a video.

Zhang et al., https://arxiv.org/abs/2110.06864. In one file, as the packages that hold it (`trackers`, `supervision`)
bring a second OpenCV, which breaks the one without windows that this program uses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Ge, Interval

from vjo_train.tracking import kalman
from vjo_train.tracking.assignment import overlaps, pairs
from vjo_train.types import Detections

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

NEW, SEEN, LOST = 0, 1, 2
"""Seen once; seen in the last frame; seen before that."""
_UNSURE, _LOW = 0.7, 0.5
"""Greatest costs of a match of a track that was seen once, and of a detection with a low score."""
_TWICE = 0.85
"""Two tracks that overlap by more are one."""


class ByteTrack:
    """Follows objects from frame to frame, by where they should be; an object never changes its class.

    First all tracks are matched with the detections that are sure, by overlap and score; then those that are left with
    the unsure ones, by overlap, which finds objects that are being covered. A sure detection that is left begins a
    track, which is told from its second frame on.

    Args:
        high: least score of a sure detection.
        low: least score of an unsure one; others are no objects.
        new: least score with which a track begins.
        match: greatest cost of a match, 1 - IoU x score.
        buffer: frames after which an object that is not seen any more is forgotten.
    """

    def __init__(
        self,
        *,
        high: Annotated[float, Interval(ge=0, le=1)] = 0.4,
        low: Annotated[float, Interval(ge=0, le=1)] = 0.1,
        new: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        match: Annotated[float, Interval(ge=0, le=1)] = 0.8,
        buffer: Annotated[int, Ge(0)] = 30,
    ) -> None:
        self.high, self.low, self.new, self.match, self.buffer = high, low, new, match, buffer
        self.restart()

    def restart(self) -> None:
        """Forgets everything, for another video; identities begin at 1 again."""
        self._states = kalman.started(np.empty((0, 4)))
        self._labels, self._ids = np.empty(0, np.int64), np.empty(0, np.int64)
        self._phase, self._unseen, self._age = (np.empty(0, np.int64) for _ in range(3))
        self._first, self._next = True, 1

    def update(self, found: Detections, frames: int = 1) -> Detections:
        """The detections of the next frame with `tracks`, in their order.

        Args:
            found: on the CPU.
            frames: how many frames later this one is; more than 1 where some were left out.
        """
        boxes = found.boxes.numpy().astype(np.float64)
        scores, labels = found.scores.numpy().astype(np.float64), found.labels.numpy()
        self._predict(frames)
        row = np.full(len(boxes), -1, np.int64)
        """Of each detection: the row of its track."""
        sure, unsure = scores >= self.high, (scores >= self.low) & (scores < self.high)
        phase = self._phase.copy()
        self._match(boxes, labels, scores, row, phase != NEW, sure, self.match)
        self._match(boxes, labels, None, row, phase == SEEN, unsure, _LOW)
        self._match(boxes, labels, scores, row, phase == NEW, sure, _UNSURE)
        there = row >= 0
        self._correct(row[there], boxes[there])
        begun = np.flatnonzero(sure & ~there & (scores >= self.new))
        row[begun] = len(self._ids) + np.arange(len(begun))
        self._begin(boxes[begun], labels[begun])
        tracks = np.where(row >= 0, self._ids[row] if len(self._ids) else 0, 0)
        self._forget()
        return replace(found, tracks=torch.from_numpy(tracks))

    def _predict(self, frames: int) -> None:
        for _ in range(frames):
            self._states.mean[self._phase == LOST, 7] = 0  # the height of what is hidden says nothing
            self._states = kalman.predicted(self._states)
        self._unseen += frames
        self._age += frames

    def _match(
        self, boxes: Floats, labels: Places, scores: Floats | None, row: Places,
        mine: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_], limit: float,
    ) -> None:  # fmt: skip
        """Fills `row` for some tracks and detections that are free."""
        free = np.ones(len(self._ids), np.bool_)
        free[row[row >= 0]] = False
        own, other = np.flatnonzero(mine & free), np.flatnonzero(theirs & (row < 0))
        alike = overlaps(self._states.boxes[own], boxes[other])
        if scores is not None:
            alike *= scores[other]
        costs = np.where(self._labels[own, None] == labels[None, other], 1 - alike, np.inf)
        first, second = pairs(costs, limit)
        row[other[second]] = own[first]

    def _correct(self, rows: Places, boxes: Floats) -> None:
        after = kalman.corrected(self._states[rows], boxes)
        self._states.mean[rows], self._states.covariance[rows] = after.mean, after.covariance
        confirmed = rows[self._phase[rows] == NEW]
        self._ids[confirmed] = self._next + np.arange(len(confirmed))
        self._next += len(confirmed)
        missed = np.setdiff1d(np.flatnonzero(self._phase == SEEN), rows)
        self._phase[missed], self._phase[rows], self._unseen[rows] = LOST, SEEN, 0

    def _begin(self, boxes: Floats, labels: Places) -> None:
        """Tracks of the first frame are told at once: nothing could confirm them."""
        count = len(boxes)
        states = kalman.started(boxes)
        self._states = kalman.States(
            np.concatenate([self._states.mean, states.mean]),
            np.concatenate([self._states.covariance, states.covariance]),
        )
        ids = self._next + np.arange(count) if self._first else np.zeros(count, np.int64)
        self._next += count if self._first else 0
        self._ids, self._labels = np.concatenate([self._ids, ids]), np.concatenate([self._labels, labels])
        self._phase = np.concatenate([self._phase, np.full(count, SEEN if self._first else NEW)])
        self._unseen, self._age = (
            np.concatenate([old, np.zeros(count, np.int64)]) for old in (self._unseen, self._age)
        )
        self._first = False

    def _forget(self) -> None:
        """Tracks that were not confirmed at once, those lost for long, and the younger of two that are one."""
        gone = ((self._phase == NEW) & (self._unseen > 0)) | (self._unseen > self.buffer)
        seen, lost = np.flatnonzero((self._phase == SEEN) & ~gone), np.flatnonzero((self._phase == LOST) & ~gone)
        one = overlaps(self._states.boxes[seen], self._states.boxes[lost]) > _TWICE
        one &= self._labels[seen, None] == self._labels[None, lost]
        for k, j in zip(*np.nonzero(one), strict=True):
            older = self._age[seen[k]] - self._unseen[seen[k]] > self._age[lost[j]] - self._unseen[lost[j]]
            gone[lost[j] if older else seen[k]] = True
        kept = ~gone
        self._states, self._labels, self._ids = self._states[kept], self._labels[kept], self._ids[kept]
        self._phase, self._unseen, self._age = self._phase[kept], self._unseen[kept], self._age[kept]
