"""Panoptic segmentation of what a semantic and an instance head say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval

from vjo_train.drawing.palette import class_colour
from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import Head
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.merged import Merged, head_of
from vjo_train.heads.panoptic.coco import id_colours, segment_rows
from vjo_train.heads.panoptic.metrics import PanopticMetrics
from vjo_train.heads.panoptic.segments import Segments, contours, merged
from vjo_train.heads.semantic import SemanticHead
from vjo_train.heads.task_files import TaskFiles


class Panoptic(Merged):
    """Objects of the instance head, and stuff of the semantic one; its other classes are stuff.

    Args:
        heads: by task.
        semantic: the head that gives the class of every pixel.
        instance: the head that finds objects; its classes are the things.
        score: objects with a lower one are left out.
        overlap: so are objects of which better ones leave a smaller share.
        least_area: so is stuff of a class that takes a smaller share of the picture.

    Raises:
        ConfigError: there are no such heads.
    """

    monitor: ClassVar[str] = "pq"

    def __init__(
        self,
        *,
        heads: Mapping[str, Head],
        semantic: str = "semantic",
        instance: str = "instance",
        score: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        overlap: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        least_area: Annotated[float, Interval(ge=0, le=1)] = 0.002,
    ) -> None:
        self.of = (semantic, instance)
        pixels = head_of(heads, "merge.panoptic.semantic", semantic, "semantic")
        objects = head_of(heads, "merge.panoptic.instance", instance, "masks")
        assert isinstance(objects.space, LabelSpace), "build gives every head its classes"
        self.things = torch.tensor([name in objects.space.names for name in objects.space.known])
        self.background = not isinstance(pixels, SemanticHead) or pixels.background
        self.score, self.overlap, self.least_area = score, overlap, least_area

    def merge(self, predictions: Mapping[str, Any]) -> Segments:
        semantic, objects = (predictions[task] for task in self.of)
        return merged(
            objects, semantic, self.things, score=self.score, overlap=self.overlap, least_area=self.least_area
        )

    def metrics(self) -> PanopticMetrics:
        return PanopticMetrics(self.things, self.background)

    def draw(self, sheet: Sheet, prediction: Segments, classes: Sequence[str]) -> None:
        """Each segment in the colour of its class with a white contour, objects in different shades of it."""
        colours = torch.full((len(prediction.labels) + 1, 3), torch.nan)
        for number, (label, thing) in enumerate(
            zip(prediction.labels.tolist(), prediction.things.tolist(), strict=True)
        ):
            shade = 1 - 0.12 * (number % 5) if thing else 1.0
            colours[number + 1] = torch.tensor(class_colour(label)) * shade
        ids = prediction.ids.cpu()
        seen = colours[ids.long()]
        seen[contours(ids, width=max(1, round(max(ids.shape) / 400)))] = 255.0
        sheet.colours(seen.permute(2, 0, 1))

    def write(self, files: TaskFiles, prediction: Segments, classes: Sequence[str]) -> None:
        """COCO's format: a PNG whose colour is R + 256 G + 65536 B = id, and an entry with `segments_info`."""
        files.png(id_colours(prediction))
        pairs = enumerate(zip(classes, self.things.tolist(), strict=True), 1)
        categories = [{"id": k, "name": name, "isthing": int(thing)} for k, (name, thing) in pairs]
        content = {"file_name": files.name_of(".png"), "segments_info": segment_rows(prediction)}
        files.annotation(content, categories)
