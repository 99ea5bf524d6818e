"""The colours of classes in a text file, or in JSON."""

from __future__ import annotations

import json
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

    A first line without numbers, empty ones and those that begin with `#` are left out. JSON has `"#400080": "Car"`, as
    A2D2's `class_list.json`.

    Raises:
        DataError: the file cannot be read, or a line is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); must be a text file of colours.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); must be a text file of colours.") from error
    if path.suffix.lower() == ".json":
        return _of_json(path, text)
    found: dict[str, Sequence[int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = next((match for form in _LINES if (match := form.fullmatch(line))), None)
        if match is not None:
            found[match["name"]] = [int(match[colour]) for colour in ("red", "green", "blue")]
        elif line.strip() and not line.startswith("#") and (number > 1 or re.search(r"\d", line)):
            raise DataError(f"{path}: line {number}: found '{line[:60]}'; must be red, green, blue and a name.")
    if not found:
        raise DataError(f"{path}: found no colours; must hold lines of red, green, blue and a name.")
    return found


def _of_json(path: Path, text: str) -> dict[str, Sequence[int]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no JSON ({str(error)[:80]}).") from error
    found: dict[str, Sequence[int]] = {}
    for colour, name in content.items() if isinstance(content, dict) else ():
        if not re.fullmatch("#[0-9A-Fa-f]{6}", colour) or not isinstance(name, str) or not name or name in found:
            raise DataError(f'{path}: found "{colour[:20]}": {name!r:.40}; must be such as "#400080": "Car", once.')
        found[name] = list(bytes.fromhex(colour[1:]))
    if not found:
        raise DataError(f'{path}: found no colours; must be a mapping such as "#400080": "Car".')
    return found
