"""The files of `vjo-predict`: COCO's results, semantic maps, drawn pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from vjo_train.files import write_atomically
from vjo_train.heads.merged import Shows
from vjo_train.heads.task_files import TaskFiles
from vjo_train.inference.layout import Layout
from vjo_train.inference.sources import Source
from vjo_train.report.drawing import draw_prediction


class PredictionFiles:
    """Writes what a network says of images into one folder.

    `images.json` lists images and categories as COCO's annotation files do; the id of an image is its place among
    all sources, from 1; the category of class k is k + 1. For each task with boxes, `<task>.json` is a list of COCO's
    results (`bbox` is x, y, width, height in the file's pixels, `segmentation` a run-length code where there are
    masks). For class scores, `<task>.json` lists the scores of each image. A semantic map is `<task>/<name>.png`, a
    palette PNG whose values are the categories, 0 for background. `panoptic.json` is a document as COCO's evaluator of
    panoptic segmentation takes it, beside the PNGs of `panoptic/`. `pictures/<name>.jpg` is the drawn image.

    Args:
        layout: the folder; made if missing.
        sources: all of them.
        heads: task -> what writes and draws its predictions.
        classes: names of the C classes.
        information: goes into `images.json` as it is.
        threshold: least score of a detection that is drawn; the JSON holds all. None: no pictures.
    """

    def __init__(
        self,
        layout: Layout,
        sources: Sequence[Source],
        heads: Mapping[str, Shows],
        classes: Sequence[str],
        *,
        information: Mapping[str, Any],
        threshold: float | None,
    ) -> None:
        self.layout, self.sources, self.heads, self.classes = layout, sources, heads, classes
        self.information, self.threshold = information, threshold
        self.counts: dict[str, int] = {}
        self._images: list[dict[str, Any]] = []
        self._lines: dict[str, list[str]] = {}
        self._categories: dict[str, Sequence[Mapping[str, Any]]] = {}

    @property
    def images(self) -> int:
        """How many were taken so far."""
        return len(self._images)

    def add(self, place: int, picture: Tensor, predictions: Mapping[str, Any]) -> None:
        """Takes the predictions of one image; maps and the picture are written at once.

        Args:
            place: of its source.
            picture: uint8 [3, H, W] as in the file.
            predictions: task -> what its head publishes, on the CPU.
        """
        source = self.sources[place]
        height, width = picture.shape[-2:]
        entry = {"id": place + 1, "file_name": source.file_name, "width": int(width), "height": int(height)}
        self._images.append(entry)
        for task, prediction in predictions.items():
            path_of, take_row = partial(self.layout.file, task, source), partial(self._take_row, task)
            take_categories = partial(self._categories.__setitem__, task)
            files = TaskFiles(place + 1, source.file_name, path_of, take_row, take_categories)
            self.heads[task].write(files, prediction, self.classes)
        if self.threshold is not None:
            path = self.layout.picture(source)
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = draw_prediction(picture, predictions, self.heads, self.classes, threshold=self.threshold)
            drawn.save(path, quality=92)

    def finish(self, unreadable: Mapping[int, str]) -> None:
        """Writes the JSON files; `unreadable` says which sources could not be read, and why."""
        categories = [{"id": k, "name": name} for k, name in enumerate(self.classes, 1)]
        skipped = [{"file_name": self.sources[place].file_name, "reason": why} for place, why in unreadable.items()]
        head = {"info": dict(self.information), "categories": categories, "skipped": skipped}
        content = {**head, "images": self._images, "annotations": []}
        write_atomically(self.layout.images, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        for task, lines in self._lines.items():
            body = ",\n".join(lines)
            rows = f"[\n{body}\n]" if lines else "[]"
            if task in self._categories:
                head = {"categories": self._categories[task], "images": self._images}
                rows = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "annotations": {rows}}}'
            write_atomically(self.layout.results(task), f"{rows}\n")

    def _take_row(self, task: str, row: Mapping[str, Any]) -> None:
        """Takes a row of `<task>.json`; an empty one says that there is such a file."""
        lines = self._lines.setdefault(task, [])
        self.counts.setdefault(task, 0)
        if row:
            lines.append(json.dumps(row, ensure_ascii=False))
            self.counts[task] += 1

    def leftovers(self) -> list[Path]:
        """Results in the folder that are of an earlier prediction, by other heads."""
        own = {self.layout.images, *map(self.layout.results, self._lines)}
        return sorted(path for path in self.layout.output.glob("*.json") if path not in own)
