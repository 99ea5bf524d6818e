"""JSON and YAML files in which each picture has a list of its boxes: TT100K, Bosch's traffic lights, Kvasir-SEG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vjo_train.data.sources.objects.columns import (
    CLASS,
    IGNORED,
    LISTED,
    OBJECTS,
    PICTURE,
    SPLIT,
    is_yes,
    numbers_in,
    plain,
)
from vjo_train.data.sources.objects.format_files import asked_files, format_files
from vjo_train.data.sources.objects.records import Picture, Read, Thing, find_shares
from vjo_train.data.sources.objects.shapes import of_corners, of_sides, read_json, size_of
from vjo_train.data.sources.objects.signs import is_box_list
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.split_names import split_in, split_of_file
from vjo_train.errors import DataError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MUST = "a picture must have a path and one list of objects"


class BoxLists(ObjectFiles):
    """A list, or a mapping, of pictures, each with a list of objects; the keys are known by their names.

    It is the file itself, or parts of it, such as `imgs` of TT100K or one for each split, or a single picture. A
    picture has a path, or stands under its name in the mapping, as of Kvasir-SEG. An object has a class, unless there
    is one alone, and four numbers by name, such as `xmin`, `ymin`, `xmax`, `ymax` or `x`, `y`, `width`, `height`,
    perhaps in a `bbox`, in pixels, or, where none of a file is above 1, as shares of the picture. Numbers without names
    are not read, as they may be one or the other.

    The split of a picture is what it says itself (`split`), else its part, its file's name or folders, or else its
    path: where some are in `train/` or `test/`, others are of the split of their folder.

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
            return asked_files(root, self.file)
        return format_files(root, (".json", ".yaml", ".yml"), is_box_list)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture for file in files for picture in _pictures(root, file)])


class _Entry(NamedTuple):
    """What stands for a picture in a file."""

    where: Any
    """Its key in a mapping, or its number in a list, from 1."""
    content: Any
    part: str = ""
    """The key of the part of the file that it is in."""


def _pictures(root: Path, file: Path) -> list[Picture]:
    own = split_of_file(file, root)
    found = []
    for entry in _entries(file):
        path, lists = _path(entry), _lists(entry.content)
        if not path or len(lists) != 1:
            said = f"found {str(entry.content)[:60]}; {_MUST}"
            raise DataError(f"{file}: picture {str(entry.where)[:60]}: {said}.")
        (objects,) = lists
        more = entry.content if isinstance(entry.content, dict) else {}
        split = split_in(str(_first(more, SPLIT))) or split_in(entry.part) or own
        picture = Picture(path, file, split, size_of(more.get("height"), more.get("width")))
        try:
            picture.things = [_thing(one, f"{path[:80]}: object {number}") for number, one in enumerate(objects, 1)]
        except (AttributeError, TypeError, ValueError, OverflowError):
            said = f"{file}: {path[:80]}: found {str(objects)[:80]}; each object must have a class"
            picture.fault = f"{said}, and four numbers by name, such as xmin, ymin, xmax, ymax."
        found.append(picture)
    find_shares(found)
    if not any(picture.split for picture in found):
        _split_by_folders(found)
    return found


def _split_by_folders(pictures: Sequence[Picture]) -> None:
    """The splits that the folders of paths say; others are called as the first folder of their pictures."""
    folders = [[part for part in one.name.replace("\\", "/").split("/")[:-1] if part != "."] for one in pictures]
    said = [next(filter(None, map(split_in, reversed(own))), "") for own in folders]
    if any(said):
        for picture, split, own in zip(pictures, said, folders, strict=True):
            picture.split = split or (own[0] if own else "")


def _entries(file: Path) -> list[_Entry]:
    """Each picture of a file.

    Raises:
        DataError: there is none.
    """
    content = read_json(file) if file.suffix.lower() == ".json" else _read_yaml(file)
    if isinstance(content, dict) and isinstance(_first(content, PICTURE), str) and _lists(content):
        content = [content]
    parts = list(content.items()) if isinstance(content, dict) else []
    for choice in ([("", content)], parts):
        held = [[_Entry(key, one, str(part)) for key, one in _items(inner)] for part, inner in choice]
        if found := [entry for own in held if any(map(_is_picture, own)) for entry in own]:
            return found
    raise DataError(f"{file}: found no pictures; {_MUST}.")


def _items(part: Any) -> Iterator[tuple[Any, Any]]:
    """What a list or a mapping holds; nothing of what is neither."""
    yield from part.items() if isinstance(part, dict) else enumerate(part, 1) if isinstance(part, list) else ()


def _is_picture(entry: _Entry) -> bool:
    """Whether it has a list of objects; where the list is all that it has, one of them must have a box."""
    if isinstance(entry.content, dict):
        return bool(_lists(entry.content))
    listed = isinstance(entry.content, list) and isinstance(entry.where, str)
    return listed and any(isinstance(one, dict) and numbers_in(_numbered(one))[0] for one in entry.content)


def _path(entry: _Entry) -> str:
    """The path or name of a picture; nothing where it has none."""
    said = _first(entry.content, PICTURE) if isinstance(entry.content, dict) else None
    found = said if isinstance(said, str) else entry.where
    return found.strip() if isinstance(found, str) else ""


def _lists(content: Any) -> list[list[Any]]:
    """The lists of objects that a picture has: all that are called so and hold mappings, else the first one."""
    if not isinstance(content, dict):
        return [content] if isinstance(content, list) else []
    known = {plain(key): value for key, value in content.items() if isinstance(key, str)}
    found = [known[word] for word in (*OBJECTS, *LISTED) if isinstance(known.get(word), list)]
    return [own for own in found if any(isinstance(one, dict) for one in own)] or found[:1]


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


def _numbered(found: Mapping[Any, Any]) -> dict[str, Any]:
    """What has the numbers of an object's box, by their names: the object itself, or a mapping in it."""
    inner = _first(found, LISTED)
    whole = inner if isinstance(inner, dict) else found
    return {plain(key): value for key, value in whole.items() if isinstance(key, str)}


def _thing(found: Mapping[str, Any], where: str) -> Thing:
    name = _first(found, CLASS)
    box = _numbered(found)
    four, corners = numbers_in(box)
    if not four or isinstance(name, bool) or not isinstance(name, str | int | None):
        raise ValueError(found)
    read = of_corners if corners else of_sides
    ignored = any(is_yes(_first(found, [word])) for word in IGNORED)
    label = "" if name is None else str(name).strip()
    return Thing(label, read(box[side] for side in four), difficult=ignored, where=where)
