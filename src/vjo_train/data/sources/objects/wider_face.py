"""WIDER FACE's lists: for each picture its path, a count and as many rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vjo_train.data.sources.objects.format_files import files_below
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import of_sides
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import rows
from vjo_train.data.sources.split_names import split_in
from vjo_train.errors import DataError

FACE = "face"
"""The class."""


class WiderFace(ObjectFiles):
    """`wider_face_split/wider_face_train_bbx_gt.txt` and `WIDER_train/images/0--Parade/x.jpg`.

    A row is x, y, width, height, blur, expression, illumination, invalid, occlusion, pose. Invalid faces are difficult.
    A picture without faces has the count 0 and a row of zeros.
    """

    what = "list *_bbx_gt.txt, as of WIDER FACE"

    def files(self, root: Path) -> list[Path]:
        return files_below(root, "_bbx_gt.txt")

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture for file in files for picture in _pictures(file)], [FACE])


def _pictures(file: Path) -> Iterator[Picture]:
    lines = rows(file)
    for number, words in lines:
        picture = Picture(" ".join(words), file, split_in(file.stem))
        count = _count(file, number, next(lines, (number, [])))
        for _ in range(max(count, 1)):
            place, values = next(lines, (number, []))
            thing = _face(file, place, values)
            picture.things += [thing] if count else []
        yield picture


def _count(file: Path, above: int, line: tuple[int, list[str]]) -> int:
    number, words = line
    if len(words) != 1 or not words[0].isdecimal():
        raise DataError(f"{file}: line {number}: found '{' '.join(words)[:60]}' under line {above}; must be a count.")
    return int(words[0])


def _face(file: Path, line: int, words: Sequence[str]) -> Thing:
    try:
        if len(words) not in (4, 10):
            raise ValueError(words)
        box = of_sides(words[:4])
    except ValueError:
        said = f"found '{' '.join(words)[:60]}'; must be x, y, width, height and six more"
        raise DataError(f"{file}: line {line}: {said}.") from None
    invalid = len(words) == 10 and words[7] == "1"
    return Thing(FACE, box, difficult=invalid, where=f"line {line}")
