"""The files of `vjo-predict`: COCO's results, semantic maps, drawn pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as rle
from PIL import Image
from torch import Tensor

from vjo_train.files import write_atomically
from vjo_train.inference.layout import Layout
from vjo_train.inference.sources import Source
from vjo_train.report.drawing import draw_prediction
from vjo_train.report.palette import voc_palette
from vjo_train.types import Detections


class PredictionFiles:
    """Writes what a network says of images into one folder.

    `images.json` lists images and categories as COCO's annotation files do; the id of an image is its place among
    all sources, from 1; the category of class k is k + 1. For each task with boxes, `<task>.json` is a list of COCO's
    results (`bbox` is x, y, width, height in the file's pixels, `segmentation` a run-length code where there are
    masks). For class scores, `<task>.json` lists the scores of each image. A semantic map is `<task>/<name>.png`, a
    palette PNG whose values are the categories, 0 for background. `pictures/<name>.jpg` is the drawn image.

    Args:
        layout: the folder; made if missing.
        sources: all of them.
        classes: names of the C classes.
        information: goes into `images.json` as it is.
        threshold: least score of a detection that is drawn; the JSON holds all. None: no pictures.
    """

    def __init__(
        self,
        layout: Layout,
        sources: Sequence[Source],
        classes: Sequence[str],
        *,
        information: Mapping[str, Any],
        threshold: float | None,
    ) -> None:
        self.layout, self.sources, self.classes = layout, sources, classes
        self.information, self.threshold = information, threshold
        self.counts: dict[str, int] = {}
        self._images: list[dict[str, Any]] = []
        self._lines: dict[str, list[str]] = {}

    def add(self, place: int, picture: Tensor, predictions: Mapping[str, Any]) -> None:
        """Takes the predictions of one image; maps and the picture are written at once.

        Args:
            place: of its source.
            picture: uint8 [3, H, W] as in the file.
            predictions: as `draw_prediction` takes them, on the CPU.

        Raises:
            TypeError: a prediction of an unknown kind.
        """
        source = self.sources[place]
        height, width = picture.shape[-2:]
        entry = {"id": place + 1, "file_name": source.file_name, "width": int(width), "height": int(height)}
        self._images.append(entry)
        for task, value in predictions.items():
            if isinstance(value, Detections):
                rows = coco_results(place + 1, value)
                self._lines.setdefault(task, []).extend(json.dumps(row) for row in rows)
                self.counts[task] = self.counts.get(task, 0) + len(rows)
            elif isinstance(value, Tensor) and value.ndim == 1:
                pairs = zip(self.classes, value.tolist(), strict=True)
                scores = {name: round(score, 6) for name, score in pairs if not math.isnan(score)}
                row = {"image_id": place + 1, "file_name": source.file_name, "scores": scores}
                self._lines.setdefault(task, []).append(json.dumps(row, ensure_ascii=False))
            elif isinstance(value, Tensor) and value.ndim == 2:
                save_map(self.layout.map(task, source), value)
            else:
                raise TypeError(f"predictions[{task!r}]: found {type(value).__name__}; cannot be written.")
        if self.threshold is not None:
            path = self.layout.picture(source)
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_prediction(picture, predictions, self.classes, threshold=self.threshold).save(path, quality=92)

    def finish(self, unreadable: Mapping[int, str]) -> None:
        """Writes the JSON files; `unreadable` says which sources could not be read, and why."""
        categories = [{"id": k, "name": name} for k, name in enumerate(self.classes, 1)]
        skipped = [{"file_name": self.sources[place].file_name, "reason": why} for place, why in unreadable.items()]
        head = {"info": dict(self.information), "categories": categories, "skipped": skipped}
        content = {**head, "images": self._images, "annotations": []}
        write_atomically(self.layout.images, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        for task, lines in self._lines.items():
            body = ",\n".join(lines)
            write_atomically(self.layout.results(task), f"[\n{body}\n]\n" if lines else "[]\n")

    def leftovers(self) -> list[Path]:
        """Results in the folder that are of an earlier prediction, by other heads."""
        own = {self.layout.images, *map(self.layout.results, self._lines)}
        return sorted(path for path in self.layout.output.glob("*.json") if path not in own)


def coco_results(image_id: int, found: Detections) -> list[dict[str, Any]]:
    """Detections in the form of COCO's results; boxes to 1e-4 pixels."""
    rows = []
    for k, ((x1, y1, x2, y2), score, label) in enumerate(
        zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    ):
        box = [round(value, 4) for value in (x1, y1, x2 - x1, y2 - y1)]
        row = {"image_id": image_id, "category_id": label + 1, "bbox": box, "score": round(score, 6)}
        if found.masks is not None:
            code = rle.encode(np.asfortranarray(found.masks[k].numpy().astype(np.uint8)))
            row["segmentation"] = {"size": code["size"], "counts": code["counts"].decode("ascii")}
        rows.append(row)
    return rows


def save_map(path: Path, semantic: Tensor) -> None:
    """A map [H, W] of class indices as a palette PNG in the devkit's colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(semantic.numpy().astype(np.uint8), mode="P")
    picture.putpalette(voc_palette().tobytes())
    picture.save(path)
