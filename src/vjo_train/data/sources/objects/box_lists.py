"""JSON and YAML files in which each picture has a list of its boxes: TT100K, Bosch's traffic lights, and others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vjo_train.data.sources.objects.columns import CLASS, CORNERS, IGNORED, LISTED, PICTURE, SIDES, plain
from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.records import Picture, Read, Thing, find_shares
from vjo_train.data.sources.objects.shapes import finite, read_json
from vjo_train.data.sources.objects.signs import is_box_list
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.split_names import split_in, split_of_file
from vjo_train.errors import DataError

OBJECTS = ("objects", "boxes", "bboxes", "annotations", "labels", "instances")
"""What the list of a picture is called."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MUST = "a picture must have a path and a list of objects"


class BoxLists(ObjectFiles):
    """A list, or a mapping, of pictures, each with a path and a list of objects; the keys are known by their names.

    It is the file itself, a part of it, such as `imgs` of TT100K, or a single picture. An object has a class and four
    numbers by name, such as `xmin`, `ymin`, `xmax`, `ymax` or `x`, `y`, `width`, `height`, perhaps in a `bbox`, in
    pixels, or, where none of a file is above 1, as shares of the picture. Numbers without names are not read, as they
    may be one or the other. A file says the split by its name or
    folders, or else a path by its own: where some are in `train/` or `test/`, others are of the split of their folder.

    Args:
        images: the folder that pictures are looked for in, below the root.
        file: the files below the root, as a path or pattern; None: all of the format.
    """

    what = "JSON or YAML file of pictures with lists of boxes, as of TT100K"
    remedy = "dataset.source.file takes some of the files, by a path or a pattern"

    def __init__(self, *, images: str = ".", file: str | None = None) -> None:
        super().__init__(images=images)
        self.file = file

    def files(self, root: Path) -> list[Path]:
        if self.file is not None:
            return sorted(path for path in root.glob(self.file) if path.is_file())
        return format_files(root, (".json", ".yaml", ".yml"), is_box_list)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture for file in files for picture in _pictures(root, file)])


def _pictures(root: Path, file: Path) -> list[Picture]:
    own = split_of_file(file, root)
    found = []
    for where, entry in _entries(file):
        path, objects = (_first(entry, words) if isinstance(entry, dict) else None for words in (PICTURE, OBJECTS))
        if not isinstance(path, str) or not path.strip() or not isinstance(objects, list):
            raise DataError(f"{file}: {where}: found {str(entry)[:60]}; {_MUST}.")
        picture = Picture(path, file, own)
        try:
            picture.things = [_thing(one, f"{path[:80]}: object {number}") for number, one in enumerate(objects, 1)]
        except (AttributeError, TypeError, ValueError, OverflowError):
            said = f"{file}: {path[:80]}: found {str(objects)[:80]}; each object must have a class"
            picture.fault = f"{said}, and four numbers by name, such as xmin, ymin, xmax, ymax."
        found.append(picture)
    find_shares(found)
    if not own:
        _split_by_folders(found)
    return found


def _split_by_folders(pictures: Sequence[Picture]) -> None:
    """The splits that the folders of paths say; others are called as the first folder of their pictures."""
    folders = [[part for part in one.name.replace("\\", "/").split("/")[:-1] if part != "."] for one in pictures]
    said = [next(filter(None, map(split_in, reversed(own))), "") for own in folders]
    if any(said):
        for picture, split, own in zip(pictures, said, folders, strict=True):
            picture.split = split or (own[0] if own else "")


def _entries(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each picture, and where it stands.

    Raises:
        DataError: there is none.
    """
    content = read_json(file) if file.suffix == ".json" else _read_yaml(file)
    parts = [content]
    if isinstance(content, dict):
        parts = [{1: content}] if isinstance(_first(content, PICTURE), str) else list(content.values())
    found = False
    for part in parts:
        entries = list(part.items() if isinstance(part, dict) else enumerate(part, 1) if isinstance(part, list) else ())
        if any(isinstance(entry, dict) and isinstance(_first(entry, OBJECTS), list) for _, entry in entries):
            found = True
            yield from ((f"picture {key}", entry) for key, entry in entries)
    if not found:
        raise DataError(f"{file}: found no pictures; {_MUST}.")


def _read_yaml(file: Path) -> Any:
    try:
        return yaml.load(file.read_text(encoding="utf-8-sig"), _LOADER)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); must be a YAML file.") from error
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: no YAML ({str(error).splitlines()[0][:80]}).") from error


def _first(entry: Mapping[Any, Any], words: Sequence[str]) -> Any:
    """The value of the first key that is called so; None for none."""
    known = {plain(key): value for key, value in entry.items() if isinstance(key, str)}
    return next((known[word] for word in words if word in known), None)


def _thing(found: Mapping[str, Any], where: str) -> Thing:
    name, inner = _first(found, CLASS), _first(found, LISTED)
    box = {plain(key): value for key, value in (inner if isinstance(inner, dict) else found).items()}
    corners = next((four for four in CORNERS if box.keys() >= {*four}), None)
    four = corners or next((four for four in SIDES if box.keys() >= {*four}), None)
    if four is None or isinstance(name, bool) or not isinstance(name, str | int):
        raise ValueError(found)
    x, y, right, bottom = (finite(box[side]) for side in four)
    ends = (right, bottom) if corners else (x + right, y + bottom)
    ignored = _first(found, IGNORED) in (1, "1", "true", "True")
    return Thing(str(name).strip(), (x, y, *ends), difficult=ignored, where=where)
