"""Text files with a row for each object, one file for each picture, or for the frames of a video."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from vjo_train.data.sources.objects.own_file import picture_of
from vjo_train.data.sources.objects.records import Picture, Thing
from vjo_train.data.sources.pictures import is_picture
from vjo_train.data.sources.split_names import split_of_folders
from vjo_train.errors import DataError

_FRAME = re.compile(r"(?:img)?([0-9]+)")
ReadRow = Callable[[Path, int, Sequence[str]], Thing | None]
"""Of the file, the number of the line and its words; raises DataError for what is no such row."""


def text_files(root: Path, folders: Sequence[str]) -> list[Path]:
    """The text files in folders of these names, at most three folders down."""
    found = {path for depth in ("", "*/", "*/*/") for name in folders for path in root.glob(f"{depth}{name}/*.*")}
    return sorted(path for path in found if path.suffix.lower() == ".txt" and not path.name.startswith("."))


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """The number of each line that is not empty, from 1, and its text.

    Raises:
        DataError: it cannot be read.
    """
    try:
        found = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); must be a text file.") from error
    yield from ((number, line.strip()) for number, line in enumerate(found, 1) if line.strip())


def rows(file: Path, separator: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """The number of each line that is not empty, from 1, and its words; raises as `lines`."""
    for number, line in lines(file):
        yield number, [word.strip() for word in line.split(separator)]


def picture_of_rows(root: Path, file: Path, read: ReadRow, separator: str | None = None) -> Picture:
    """The picture that a text file is of, by its name."""

    def fill(picture: Picture) -> None:
        found = (read(file, number, words) for number, words in rows(file, separator))
        picture.things = [thing for thing in found if thing is not None]

    return picture_of(root, file, fill)


def frames_in(folder: Path) -> dict[int, Path]:
    """Number -> picture of the frames in a folder, `000001.jpg` or `img000001.jpg`; nothing where it is not there."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return {}
    named = ((_FRAME.fullmatch(path.stem), path) for path in found if is_picture(path.name))
    return {int(match[1]): path for match, path in named if match is not None}


def pictures_of(root: Path, files: Sequence[Path], read: ReadRow, separator: str | None = None) -> list[Picture]:
    """The pictures that text files are of: one by a file's name, or the frames in a folder of that name beside its own.

    Rows of frames begin with the frame's number and the object's; a frame without a row shows nothing.
    """
    places = {file.parent.parent for file in files}
    beside = {place: sorted(one for one in place.iterdir() if one.is_dir()) for place in places}
    found = []
    for file in files:
        folders = (folder / file.stem for folder in beside[file.parent.parent])
        frames = next(filter(None, map(frames_in, folders)), {})
        own = _of_frames(root, file, frames, read, separator) if frames else []
        found += own or [picture_of_rows(root, file, read, separator)]
    return found


def _of_frames(
    root: Path, file: Path, frames: Mapping[int, Path], read: ReadRow, separator: str | None
) -> list[Picture]:
    split = split_of_folders(file, root)
    found = {number: Picture(path.relative_to(root).as_posix(), file, split) for number, path in frames.items()}
    for line, words in rows(file, separator):
        number = int(words[0]) if words[0].isdecimal() else -1
        missing = next(iter(frames.values())).with_name(f"{words[0][:20]}.jpg").relative_to(root).as_posix()
        picture = found.setdefault(number, Picture(missing, file, split))
        try:
            thing = read(file, line, words[2:])
        except DataError as error:
            picture.fault = picture.fault or str(error)
        else:
            picture.things += [] if thing is None else [thing]
    return list(found.values())
