"""PASCAL's annotations as text, version 1.00: INRIA Person, PennFudanPed, VOC 2005 and 2006."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.own_file import picture_of
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.signs import is_pascal_text
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.errors import DataError

_NAME = re.compile(r'^Image filename\s*:\s*"([^"]+)"', re.MULTILINE)
_SIZE = re.compile(r"^Image size \(X x Y x C\)\s*:\s*(\d{1,5})\s*x\s*(\d{1,5})\b", re.MULTILINE)
_COUNT = re.compile(r"^Objects with ground truth\s*:\s*(\d{1,5})\b", re.MULTILINE)
_FIRST = re.compile(r"^#? ?Top left pixel co-ordinates\s*:\s*\((\d),\s*(\d)\)", re.MULTILINE)
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_CORNER = rf"\({_NUMBER},{_NUMBER}\)"
_BOX = re.compile(
    rf'^Bounding box for object \d+ "(?:PAS)?([^"]+)" \(Xmin, Ymin\) - \(Xmax, Ymax\)\s*:\s*{_CORNER}\s*-\s*{_CORNER}',
    re.MULTILINE,
)
_MANNER = re.compile(r"(Frontal|Rear|Side|Left|Right|Sitting|Standing|Walking|Trunc|Difficult)+$")
"""How an object is seen: behind the name of its class."""


class PascalText(ObjectFiles):
    """`Train/annotations/crop001001.txt` with `Train/pos/crop001001.png`, which the file names.

    The class is the label without `PAS` and without how the object is seen: `PASpersonWalking` is `person`. Labels that
    say `Difficult` are difficult. A file says whether it counts pixels from 0 or from 1; both ends are inside.
    """

    what = "text file with 'PASCAL Annotation Version 1.00'"

    def files(self, root: Path) -> list[Path]:
        return format_files(root, (".txt",), is_pascal_text)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture_of(root, file, _fill) for file in files])


def _text(file: Path) -> str:
    """What it holds; older ones, such as INRIA's, are in Latin-1."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); must be a text file.") from error
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return content.decode("latin-1").replace("\r\n", "\n")


def _fill(picture: Picture) -> None:
    text = _text(picture.file)
    if name := _NAME.search(text):
        picture.name = name[1]
    if size := _SIZE.search(text):
        picture.size = int(size[2]), int(size[1])
    x, y = (int(side) for side in first.groups()) if (first := _FIRST.search(text)) else (1, 1)
    for number, found in enumerate(_BOX.finditer(text), 1):
        x1, y1, x2, y2 = (float(side) for side in found.groups()[1:])
        label = found[1]
        box = (x1 - x, y1 - y, x2 - x + 1, y2 - y + 1)
        thing = Thing(_MANNER.sub("", label) or label, box, difficult="Difficult" in label, where=f"object {number}")
        picture.things.append(thing)
    told = int(count[1]) if (count := _COUNT.search(text)) else None
    if told != len(picture.things):
        said = "none" if told is None else str(told)
        raise DataError(
            f"{picture.file}: found {said} for 'Objects with ground truth', and {len(picture.things)} rows 'Bounding "
            f"box for object 1 .. : (1, 2) - (3, 4)'; must be as many."
        )
