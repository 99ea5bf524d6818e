"""Prediction on videos: decoding, the network, and drawing and writing, at the same time."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vjo_train.errors import DataError
from vjo_train.files import write_atomically
from vjo_train.heads.merged import Shows
from vjo_train.inference.overlap import Ahead, Behind
from vjo_train.inference.prediction import Network
from vjo_train.inference.video.batches import batches
from vjo_train.inference.video.files import FrameFiles
from vjo_train.inference.video.layout import VideoLayout
from vjo_train.inference.video.reading import Frame, Reader, open_video
from vjo_train.inference.video.sources import VideoSource
from vjo_train.tracking.byte_track import ByteTrack
from vjo_train.types import Canvas, Detections

log = logging.getLogger("vjo_train")

_BATCHES_AHEAD = 2
_FRAMES_BEHIND = 8
"""How many may wait: each holds a picture, and perhaps its masks."""


@dataclass
class VideoPrediction:
    """What is done to every video.

    Attributes:
        network: predicts for batches of frames.
        tracker: makes the tracker of one task in one video; None: no identities.
        layout: where files go.
        heads: task -> what writes and draws its predictions.
        classes: names of the C classes.
        tasks: of the network.
        canvas: what frames are laid on.
        batch_size: frames per step; None: one for live videos, else `usual_batch`.
        usual_batch: see there.
        information: goes into `videos.json` as it is.
        threshold: least score of a detection that is drawn; None: no drawn video.
        progress: show a bar in a terminal.
    """

    network: Network
    tracker: Callable[[], ByteTrack] | None
    layout: VideoLayout
    heads: Mapping[str, Shows]
    classes: Sequence[str]
    tasks: tuple[str, ...]
    canvas: Canvas
    batch_size: int | None
    usual_batch: int
    information: Mapping[str, Any]
    threshold: float | None
    progress: bool
    _done: list[dict[str, Any]] = field(default_factory=list)
    _faults: dict[str, str] = field(default_factory=dict)

    def run(self, sources: Sequence[VideoSource]) -> int:
        """Predicts on all videos, one after the other; those that cannot be read are named and left out.

        Returns:
            How many could not be read, or not to their end.

        Raises:
            DataError: none gave a frame.
        """
        for source in sources:
            try:
                self._one(source)
            except DataError as error:
                self._faults[source.shown] = str(error)
                if len(sources) > 1:
                    log.warning("Skipped %s", error)
            except KeyboardInterrupt:
                self._list()
                raise
        if not self._done:
            count = f"none of the {len(sources)} videos could be read: " if len(sources) > 1 else ""
            raise DataError(f"source: {count}{next(iter(self._faults.values()))}")
        self._list()
        return len(self._faults)

    def _one(self, source: VideoSource) -> None:
        reader = open_video(source)
        try:
            files = FrameFiles(
                self.layout, source, self.heads, self.classes, rate=reader.rate, threshold=self.threshold
            )
            start = time.monotonic()
            try:
                self._frames(source, reader, files)
            except KeyboardInterrupt:
                log.warning("Interrupted: the first %d frames of %s are in %s.", files.frames, source.shown,
                            self.layout.output)  # fmt: skip
                raise
            finally:
                self._note(source, reader, files)
            seconds = time.monotonic() - start
        finally:
            reader.close()
        if not files.frames:
            raise DataError(f"{source.shown}: has no frames.")
        if reader.fault is not None and not source.live:
            self._faults[source.shown] = f"{source.shown}: {reader.fault}."
            log.warning("%s: %s.", source.shown, reader.fault)
        counts = "".join(f", {count} of {task}" for task, count in files.counts.items())
        log.info("Predictions for %d frames of %s%s: %s (%.1f frames/s)", files.frames, source.shown, counts,
                 self.layout.output, files.frames / max(seconds, 1e-9))  # fmt: skip

    def _frames(self, source: VideoSource, reader: Reader, files: FrameFiles) -> None:
        """The frames of one video through the three threads; what was predicted is written, also after Ctrl-C."""
        size = self.batch_size or (1 if source.live else self.usual_batch)
        ahead = Ahead(batches(reader, size, self.canvas, self.tasks), 1 if source.live else _BATCHES_AHEAD,
                      live=source.live)  # fmt: skip
        behind = Behind[tuple[Frame, dict[str, Any]]](lambda item: files.add(*item), _FRAMES_BEHIND)
        trackers = _Trackers(self.tracker)
        try:
            with self._bar(source, reader) as step:
                for loaded in ahead:
                    each = self.network(loaded.batch, [frame.image for frame in loaded.frames])
                    for frame, found in zip(loaded.frames, each, strict=True):
                        behind.put((frame, trackers.follow(frame.number, found)))
                        step()
        finally:
            ahead.close()
            try:
                behind.close()
            finally:
                files.close()

    def _bar(self, source: VideoSource, reader: Reader) -> _Bar:
        console = Console()
        return _Bar(console, source.shown, reader.expected, hidden=not (self.progress and console.is_terminal))

    def _note(self, source: VideoSource, reader: Reader, files: FrameFiles) -> None:
        """Takes a video into the list, where some of it was predicted."""
        if not files.frames:
            return
        width, height = files.size
        self._done.append(
            {
                "id": len(self._done) + 1,
                "file_name": source.shown,
                "name": source.name,
                "width": width,
                "height": height,
                "fps": round(reader.rate, 6),
                "length": files.frames,
            }
        )

    def _list(self) -> None:
        """Writes `videos.json`."""
        content = {
            "info": dict(self.information),
            "categories": [{"id": k, "name": name} for k, name in enumerate(self.classes, 1)],
            "skipped": [{"file_name": name, "reason": why} for name, why in self._faults.items()],
            "videos": self._done,
        }
        write_atomically(self.layout.videos, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


class _Trackers:
    """A tracker for each task that finds objects."""

    def __init__(self, make: Callable[[], ByteTrack] | None) -> None:
        self._make = make
        self._own: dict[str, ByteTrack] = {}
        self._last = 0

    def follow(self, number: int, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """The predictions for the next frame, with identities where there are objects."""
        if self._make is None:
            return dict(predictions)
        gap, self._last = number - self._last, number
        followed = dict(predictions)
        for task, found in predictions.items():
            if isinstance(found, Detections):
                tracker = self._own.setdefault(task, self._make())
                followed[task] = tracker.update(found, gap)
        return followed


class _Bar:
    """A bar that shows how many frames are done, and of how many where the video says."""

    def __init__(self, console: Console, name: str, total: int | None, *, hidden: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=hidden)
        self._task = self._progress.add_task(f"predicting {name}", total=total)

    def __enter__(self) -> Callable[[], None]:
        self._progress.start()
        return lambda: self._progress.advance(self._task)

    def __exit__(self, *error: object) -> None:
        self._progress.stop()
