"""KITTI's object detection and tracking: a text file for each picture or sequence, beside the pictures' folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vjo_train.data.sources.objects.records import EVERY, Read, Thing
from vjo_train.data.sources.objects.shapes import of_corners
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import pictures_of, text_files
from vjo_train.errors import DataError

NEITHER = "DontCare"
"""The type of a region that nobody has looked into."""


class KITTI(ObjectFiles):
    """`training/image_2/000000.png` with `training/label_2/000000.txt`: type, three numbers, x1 y1 x2 y2, and 3D.

    Types are classes; `DontCare` is a region that is ignored for all of them. Other programs, such as NVIDIA's, write
    the same rows into `labels/` beside `images/`. Of tracking, `training/label_02/0000.txt` is of the frames in
    `training/image_02/0000/`.

    Args:
        images: the folder that pictures are looked for in, below the root.
        labels: names of folders of text files.
    """

    what = "folder label_2/ of text files, such as training/label_2/000000.txt"

    def __init__(self, *, images: str = ".", labels: Sequence[str] = ("label_2", "label_02", "labels")) -> None:
        super().__init__(images=images)
        self.labels = tuple(labels)

    def files(self, root: Path) -> list[Path]:
        return text_files(root, self.labels)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read(pictures_of(root, files, _thing))


def _thing(file: Path, line: int, words: Sequence[str]) -> Thing:
    where = f"line {line}"
    try:
        if len(words) not in (15, 16):
            raise ValueError(words)
        box = of_corners(words[4:8])
    except ValueError:
        said = f"found '{' '.join(words)[:60]}'; must be a type, three numbers, x1 y1 x2 y2, and seven more"
        raise DataError(f"{file}: {where}: {said}.") from None
    ignored = words[0] == NEITHER
    return Thing(EVERY if ignored else words[0], box, difficult=ignored, where=where)
