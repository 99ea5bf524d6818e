"""All that a network says of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from vjo_train.heads.merged import Shows
from vjo_train.inference.results import ClassMap, Objects, PanopticMap, Result
from vjo_train.report.drawing import draw_prediction
from vjo_train.types import Detections

Kind = TypeVar("Kind", bound=Result)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of one picture: `prediction["detection"]` is the result of a task."""

    name: str
    """The path of the file; empty where the picture had none."""
    image: npt.NDArray[np.uint8]
    """[H, W, 3] RGB, as viewers show it; the results are in its pixels."""
    results: Mapping[str, Result]
    """By task."""
    classes: tuple[str, ...]
    """The names of the data set's C classes."""
    _published: Mapping[str, Any] = field(repr=False)
    _heads: Mapping[str, Shows] = field(repr=False)

    def __getitem__(self, task: str) -> Result:
        """The result of a task.

        Raises:
            KeyError: the network has no such task.
        """
        if task not in self.results:
            raise KeyError(f"{task}: the tasks are {', '.join(self.results)}.")
        return self.results[task]

    def __contains__(self, task: object) -> bool:
        return task in self.results

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        tasks = ", ".join(f"{task}: {type(result).__name__}" for task, result in self.results.items())
        return f"Prediction({self.name!r}, {width} x {height}, {tasks})"

    def get(self, task: str, kind: type[Kind]) -> Kind:
        """The same as `prediction[task]` for type checkers: `prediction.get("detection", Objects)`.

        Raises:
            KeyError: the network has no such task.
            TypeError: its result is of another kind.
        """
        result = self[task]
        if not isinstance(result, kind):
            raise TypeError(f"{task}: the result is of type {type(result).__name__}, not {kind.__name__}.")
        return result

    def draw(self, *, threshold: float = 0.4, side: int | None = None) -> Image.Image:
        """The picture with all results on it and a line below, as `vjo-predict` draws it.

        Args:
            threshold: objects of a lower confidence are left out.
            side: the longest side of the drawn picture in pixels; None: the picture's own.
        """
        image = torch.from_numpy(self.image).permute(2, 0, 1)
        return draw_prediction(image, self._published, self._heads, self.classes, side=side, threshold=threshold)

    def to_coco(self, image_id: int = 1) -> dict[str, list[dict[str, Any]]]:
        """Task -> COCO's results, for those tasks that COCO has a form for: objects, maps of classes, segments."""
        found = self.results.items()
        return {task: own.to_coco(image_id) for task, own in found if isinstance(own, Objects | ClassMap | PanopticMap)}


def at_least(prediction: Any, threshold: float) -> Any:
    """A published prediction without the objects of a lower score; other predictions stay as they are."""
    if not isinstance(prediction, Detections) or threshold <= 0:
        return prediction
    kept = prediction.scores >= threshold
    names = ("boxes", "scores", "labels", "masks", "keypoints")
    parts = {name: getattr(prediction, name) for name in names}
    return replace(prediction, **{name: part[kept] for name, part in parts.items() if part is not None})
