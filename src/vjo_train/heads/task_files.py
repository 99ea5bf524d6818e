"""What `vjo-predict` writes for one task and one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image


class TaskFiles:
    """Takes rows for `<task>.json` and files for `<task>/`.

    Args:
        image_id: of the image in `images.json`.
        file_name: of the image.
        path: file name extension -> the file of this image in the task's folder.
        take_row: takes a row.
        take_categories: told of the categories of a task whose rows are the `annotations` of a document; None: nobody.
    """

    def __init__(
        self,
        image_id: int,
        file_name: str,
        path: Callable[[str], Path],
        take_row: Callable[[Mapping[str, Any]], None],
        take_categories: Callable[[Sequence[Mapping[str, Any]]], None] | None = None,
    ) -> None:
        self.image_id, self.file_name, self._path = image_id, file_name, path
        self._take_row, self._take_categories = take_row, take_categories

    def row(self, content: Mapping[str, Any]) -> None:
        """One entry of the list in `<task>.json`."""
        self._take_row({"image_id": self.image_id, **content})

    def annotation(self, content: Mapping[str, Any], categories: Sequence[Mapping[str, Any]]) -> None:
        """One entry of `annotations` in `<task>.json`, which then lists the images and `categories` too."""
        self.row(content)
        if self._take_categories is not None:
            self._take_categories(categories)

    def name_of(self, extension: str) -> str:
        """The name of the image's own file with this extension, without its folder."""
        return self._path(extension).name

    def nothing(self) -> None:
        """Says that the task has a JSON file, of which this image has no row."""
        self._take_row({})

    def png(self, values: npt.NDArray[np.uint8 | np.uint16], palette: npt.NDArray[np.uint8] | None = None) -> None:
        """`<task>/<image>.png`: grey [H, W] or RGB [H, W, 3] of 8 or 16 bits, or bytes with a `palette` [256, 3]."""
        path = self._path(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        if values.ndim == 3:  # of 16 bits, Pillow writes grey alone
            path.write_bytes(cv2.imencode(".png", values[..., ::-1])[1].tobytes())
            return
        if palette is None:
            picture = Image.fromarray(values)
        else:
            picture = Image.fromarray(values, mode="P")
            picture.putpalette(palette.tobytes())
        picture.save(path)
