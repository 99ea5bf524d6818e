"""The YAML file, and where its pictures and their labels lie."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.pictures import is_picture
from vjo_train.data.sources.split_names import without
from vjo_train.data.sources.yolo.bare import base_of, names_file, splits_of
from vjo_train.errors import DataError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Layout:
    """What the YAML file says."""

    file: Path
    base: Path
    """The folder that its paths are relative to."""
    names: dict[int, str]
    """Class number -> name."""
    splits: dict[str, list[str]]
    """Split -> folders, lists or pictures."""
    points: tuple[int, int] | None
    """Key points of each object, K, and numbers of each, 2 or 3; None where there are none."""
    swap: tuple[int, ...] | None
    """[K]: which point each one is in a mirror image; None where that is not said."""

    images: Path | None = None
    """The folder that stands for `images` in its paths; None: the one of that name."""
    skips: bool = False
    """Pictures without a text file are to be left out."""
    shared_out: bool = False
    """The pictures were put into splits because nothing says in which they are."""

    @property
    def point_columns(self) -> int:
        """Numbers behind the box of each row."""
        return self.points[0] * self.points[1] if self.points else 0


def find_file(place: Path) -> Path:
    """The YAML file of a data set: `place` itself, or the one in that folder; without one, its list of class names.

    Raises:
        DataError: there is none, or several.
    """
    if place.is_file():
        return place
    if not place.is_dir():
        raise DataError(f"dataset.root: found no {place}; must be a YAML file, or the folder of data.yaml.")
    if (place / "data.yaml").is_file():
        return place / "data.yaml"
    files = sorted(path for path in place.iterdir() if path.suffix in (".yaml", ".yml") and _has_names(path))
    if len(files) == 1:
        return files[0]
    if files:
        raise DataError(f"dataset.root: {place} holds {', '.join(path.name for path in files)}; name one of them.")
    if (names := names_file(place)) is not None:
        return names
    holds = f"dataset.root: {place} holds no data.yaml or classes.txt; it must name the classes and splits."
    raise DataError(holds + looks_like(place))


def read_layout(file: Path, images: str | None = None) -> Layout:
    """Reads the YAML file, or the list of class names (see `bare`).

    Args:
        file: the one or the other.
        images: the folder that stands for `images`, relative to the others.

    Raises:
        DataError: it is no such file, lacks `names`, or says wrong things of key points.
    """
    if file.suffix not in (".yaml", ".yml"):
        names = dict(enumerate(filter(None, map(str.strip, _text(file).splitlines()))))
        if not names:
            raise DataError(f"{file}: found no class names; must have one a line.")
        if images is not None:
            raise DataError(f"dataset.source.images: found '{images}', but {file} is no YAML file.")
        base = base_of(file)
        splits, shared_out = splits_of(base, file.stat().st_mtime_ns)
        return Layout(file, base, names, splits, points=None, swap=None, shared_out=shared_out)
    content = _content(file)
    names = _names(content.get("names"), file)
    given = {name: content[name] for name in SPLITS if content.get(name)}
    splits = {name: entries if isinstance(entries, list) else [entries] for name, entries in given.items()}
    for name, entries in splits.items():
        if not all(isinstance(entry, str) for entry in entries):
            raise DataError(f"{file}: {name}: found {entries!r}; must be a folder, a text file, or a list of them.")
    points = _points(content.get("kpt_shape"), file)
    said = file.parent / str(content.get("path") or ".")
    base = Path(os.path.normpath(said if said.is_dir() else file.parent))
    return Layout(
        file=file,
        base=base,
        names=names,
        splits=splits,
        points=points,
        swap=_swap(content.get("flip_idx"), points[0], file) if points else None,
        images=None if images is None else Path(os.path.normpath(base / images)),
        skips=content.get("skip_if_label_file_missing") is True,
    )


def pictures(layout: Layout, split: str) -> list[Path]:
    """The pictures of a split: those of a folder by name, with all below it, those of a list in its order.

    Raises:
        DataError: there is no such split, a place in it is not there, it is empty, or has a picture twice.
    """
    if split not in layout.splits:
        raise DataError(f"{layout.file}: {without(split, layout.splits)}.")
    found_ones = [path for entry in layout.splits[split] for path in _entry(layout, split, entry)]
    if not found_ones:
        raise DataError(f"{layout.file}: {split}: found no picture in {', '.join(layout.splits[split])}.")
    if len(set(found_ones)) < len(found_ones):
        twice = next(path for number, path in enumerate(found_ones) if path in found_ones[:number])
        raise DataError(f"{layout.file}: {split}: found {twice} twice; each picture may be there once.")
    return found_ones


def label_file(layout: Layout, picture: Path) -> Path:
    """The text file of a picture's rows: in `labels/` where the path has `images/` (the last one), else beside it."""
    if layout.images is not None and picture.is_relative_to(layout.images):
        return (layout.base / "labels" / picture.relative_to(layout.images)).with_suffix(".txt")
    folders = list(picture.parts[:-1])
    if "images" in folders:
        folders[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    return Path(*folders, picture.name).with_suffix(".txt")


def identity(layout: Layout, picture: Path) -> str:
    """The id of a picture: its path below the data set's folder, without the extension."""
    if layout.images is not None and picture.is_relative_to(layout.images):
        picture = layout.base / "images" / picture.relative_to(layout.images)
    return Path(os.path.relpath(picture.with_suffix(""), layout.base)).as_posix()


def _entry(layout: Layout, split: str, entry: str) -> Iterator[Path]:
    """The pictures of one folder or list; `../train/images`, as some exports have it, is also looked for below."""
    inside = entry.replace("\\", "/").removeprefix("../")
    places = [*_instead(layout, entry), layout.base / entry, layout.file.parent / entry, layout.base / inside]
    place = next((Path(os.path.normpath(path)) for path in places if path.exists()), None)
    if place is None:
        beside = (layout.base.parent / inside).is_dir() and Path(inside).parts[0] == "images"
        hint = " dataset.source.images=../images takes the pictures beside it." if beside else ""
        raise DataError(
            f"{layout.file}: {split}: found no '{entry}' in {layout.base}; must be a folder or a text file.{hint}"
        )
    if place.is_dir():
        found = (Path(folder, name) for folder, _, names in os.walk(place, followlinks=True) for name in names)
        yield from sorted(path for path in found if is_picture(path.name) and not path.name.startswith("."))
    elif is_picture(place.name):
        yield place
    else:
        for line in filter(None, map(str.strip, _text(place).splitlines())):
            paths = [*_instead(layout, line), place.parent / line, layout.base / line]
            yield Path(os.path.normpath(next((path for path in paths if path.exists()), paths[-1])))


def _instead(layout: Layout, entry: str) -> Iterator[Path]:
    """Where an entry lies that begins at `images`, if another folder stands for that."""
    first, *rest = Path(entry).parts or ("",)
    if layout.images is not None and first == "images":
        yield layout.images.joinpath(*rest)


def _names(found: Any, file: Path) -> dict[int, str]:
    numbered = dict(enumerate(found)) if isinstance(found, list) else found
    if not isinstance(numbered, Mapping) or not numbered or not all(isinstance(key, int) for key in numbered):
        said = "none" if found is None else repr(found)[:60]
        raise DataError(f"{file}: found {said} for names; must be a list of class names, or number: name for each.")
    return {key: str(numbered[key]) for key in sorted(numbered)}


def _points(found: Any, file: Path) -> tuple[int, int] | None:
    if found is None:
        return None
    whole = isinstance(found, list) and len(found) == 2 and all(type(value) is int for value in found)
    if not whole or found[0] < 1 or found[1] not in (2, 3):
        raise DataError(f"{file}: found kpt_shape {found!r}; must be [K, 2] or [K, 3], for K points of each object.")
    return found[0], found[1]


def _swap(found: Any, count: int, file: Path) -> tuple[int, ...] | None:
    if found is None:
        return None
    if not isinstance(found, list) or sorted(map(str, found)) != sorted(map(str, range(count))):
        raise DataError(f"{file}: found flip_idx {str(found)[:60]}; must hold each of 0..{count - 1} once.")
    return tuple(map(int, found))


def _has_names(file: Path) -> bool:
    try:
        return "names" in _content(file)
    except DataError:
        return False


def _content(file: Path) -> Mapping[str, Any]:
    return _keys(file, _text(file))


@lru_cache(8)
def _keys(file: Path, text: str) -> Mapping[str, Any]:
    """The keys of a YAML file; outlines and key points ask for them with each picture."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{file}: no YAML ({str(error).splitlines()[0]}); must name classes and splits.") from error
    if not isinstance(content, Mapping):
        raise DataError(f"{file}: found no keys; must hold names, and train and val.")
    return content


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); must be a text file.") from error
