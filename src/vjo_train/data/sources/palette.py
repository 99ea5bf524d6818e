"""The colours of classes in a text file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vjo_train.errors import DataError

_COLOUR = r"(?P<red>\d+)[\s,]+(?P<green>\d+)[\s,]+(?P<blue>\d+)"
_LINES = (
    re.compile(rf"\s*{_COLOUR}[\s,]+(?P<name>\S.*?)\s*"),  # CamVid's label_colors.txt
    re.compile(rf"\s*(?P<name>[^,:]*[^,:\s])\s*[,:]\s*{_COLOUR}\s*(?::.*)?"),  # class_dict.csv; CVAT's labelmap.txt
)


def read_palette(path: Path) -> dict[str, Sequence[int]]:
    """Class name -> [red, green, blue], from lines `64 0 128 Car`, `Car,64,0,128` or `Car:64,0,128::`.

    A first line without numbers, empty ones and those that begin with `#` are left out.

    Raises:
        DataError: the file cannot be read, or a line is none of these.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); must be a text file of colours.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); must be a text file of colours.") from error
    found: dict[str, Sequence[int]] = {}
    for number, line in enumerate(lines, 1):
        match = next((match for form in _LINES if (match := form.fullmatch(line))), None)
        if match is not None:
            found[match["name"]] = [int(match[colour]) for colour in ("red", "green", "blue")]
        elif line.strip() and not line.startswith("#") and (number > 1 or re.search(r"\d", line)):
            raise DataError(f"{path}: line {number}: found '{line[:60]}'; must be red, green, blue and a name.")
    if not found:
        raise DataError(f"{path}: found no colours; must hold lines of red, green, blue and a name.")
    return found
