"""The files of one video: a line of JSON for each frame, the drawn video, maps, identities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import IO, Any

from vjo_train.heads.merged import Shows
from vjo_train.heads.task_files import TaskFiles
from vjo_train.inference.video.layout import VideoLayout
from vjo_train.inference.video.reading import Frame
from vjo_train.inference.video.sources import VideoSource
from vjo_train.inference.video.writing import VideoWriter
from vjo_train.report.drawing import draw_prediction
from vjo_train.tracking.mot_files import mot_lines
from vjo_train.types import Detections


class FrameFiles:
    """Writes what a network says of the frames of one video, frame by frame, so that nothing waits for the end.

    `<name>.jsonl` has a line for each frame: `frame` (from 1), `time` (seconds since the first), and for each task the
    rows that `<task>.json` of a picture would have. Where objects are followed, `<name>.<task>.txt` lists them in
    MOTChallenge's form. Maps are `<task>/<name>/<frame>.png`.

    Args:
        layout: the folder.
        source: the video.
        heads: task -> what writes and draws its predictions.
        classes: names of the C classes.
        rate: frames per second.
        threshold: least score of a detection that is drawn; None: no drawn video.
    """

    def __init__(
        self,
        layout: VideoLayout,
        source: VideoSource,
        heads: Mapping[str, Shows],
        classes: Sequence[str],
        *,
        rate: float,
        threshold: float | None,
    ) -> None:
        self.layout, self.source, self.heads, self.classes = layout, source, heads, classes
        self.threshold = threshold
        self.counts: dict[str, int] = {}
        self.frames = 0
        self.size = (0, 0)
        self._video = None if threshold is None else VideoWriter(layout.drawn(source), rate)
        self._open, self._texts = ExitStack(), dict[str, IO[str]]()

    def add(self, frame: Frame, predictions: Mapping[str, Any]) -> None:
        """Takes the predictions for a frame, on the CPU."""
        line: dict[str, Any] = {"frame": frame.number, "time": round(frame.time, 6)}
        for task, prediction in predictions.items():
            rows: list[Mapping[str, Any]] = []
            place = partial(self.layout.map, task, self.source, frame.number)
            self.heads[task].write(
                TaskFiles(frame.number, self.source.name, place, rows.append), prediction, self.classes
            )
            if rows:  # a map has none
                line[task] = [_bare(row, self.source.name) for row in rows if row]
                self.counts[task] = self.counts.get(task, 0) + len(line[task])
            if isinstance(prediction, Detections) and prediction.tracks is not None:
                text = self._text(str(self.layout.tracks(self.source, task)))
                text.writelines(mot_lines(frame.number, prediction))
        text = self._text(str(self.layout.frames(self.source)))
        text.write(json.dumps(line, ensure_ascii=False) + "\n")
        if self._video is not None and self.threshold is not None:
            drawn = draw_prediction(frame.image, predictions, self.heads, self.classes, threshold=self.threshold)
            self._video.add(drawn, frame.time)
        self.frames += 1
        self.size = (int(frame.image.shape[2]), int(frame.image.shape[1]))

    def close(self) -> None:
        """Ends all files."""
        self._open.close()
        if self._video is not None:
            self._video.close()

    def _text(self, path: str) -> IO[str]:
        if path not in self._texts:
            self.layout.frames(self.source).parent.mkdir(parents=True, exist_ok=True)
            text = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 (the stack closes it)
            self._texts[path] = self._open.enter_context(text)
        return self._texts[path]


def _bare(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A row without what its line says already."""
    return {key: value for key, value in row.items() if key != "image_id" and (key, value) != ("file_name", name)}
