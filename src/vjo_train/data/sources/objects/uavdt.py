"""UAVDT: vehicles in videos from drones, a text file for each sequence."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vjo_train.data.sources.objects.format_files import files_below
from vjo_train.data.sources.objects.records import EVERY, Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import of_sides
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import frames_in, rows
from vjo_train.data.sources.pictures import walk
from vjo_train.data.sources.split_names import split_of_folders
from vjo_train.errors import DataError

NAMES = ("car", "truck", "bus")
"""Of the categories 1 to 3."""
_ENDING, _IGNORED = "_gt_whole.txt", "_gt_ignore.txt"


class UAVDT(ObjectFiles):
    """`GT/M0101_gt_whole.txt` of the frames `UAV-benchmark-M/M0101/img000001.jpg`, wherever the two folders lie.

    A row is the frame, from 1, the object, x, y, width, height, out-of-view, occlusion and category. The regions of
    `M0101_gt_ignore.txt` beside it are ignored for every class. Which sequence is of which split say the names of files
    in `M_attr/train/` and `M_attr/test/`. A frame without a row shows nothing.
    """

    what = f"text file *{_ENDING}, as of UAVDT"

    def files(self, root: Path) -> list[Path]:
        return files_below(root, _ENDING)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        folders: dict[str, list[Path]] = {}
        for place in sorted(place for place, _ in walk(root)):
            folders.setdefault(os.path.basename(place), []).append(Path(place))
        splits = {
            file.name.partition("_")[0]: split_of_folders(file, root) for file in root.rglob("M_attr/*/*_attr.txt")
        }
        return Read([picture for file in files for picture in _pictures(root, file, folders, splits)], NAMES)


def _pictures(
    root: Path, file: Path, folders: Mapping[str, Sequence[Path]], splits: Mapping[str, str]
) -> list[Picture]:
    sequence = file.name.removesuffix(_ENDING)
    split = splits.get(sequence) or split_of_folders(file, root)
    frames = next(filter(None, map(frames_in, folders.get(sequence, ()))), {})
    found = {number: Picture(path.relative_to(root).as_posix(), file, split) for number, path in frames.items()}
    ignored = file.with_name(sequence + _IGNORED)
    for own in (file, ignored) if ignored.is_file() else (file,):
        for line, words in rows(own, ","):
            frame, thing = _row(own, line, words, everything=own == ignored)
            missing = f"{sequence}/img{frame:06d}.jpg"
            found.setdefault(frame, Picture(missing, file, split)).things.append(thing)
    return [found[frame] for frame in sorted(found)]


def _row(file: Path, line: int, words: Sequence[str], *, everything: bool) -> tuple[int, Thing]:
    """The frame, and the object or region."""
    where = f"{file.name}, line {line}"
    try:
        frame, box = int(words[0]), of_sides(words[2:6])
        name = EVERY if everything else dict(enumerate(NAMES, 1))[int(words[8])]
        if frame < 0:
            raise ValueError(frame)
    except (ValueError, LookupError):
        said = "frame,id,x,y,width,height,out-of-view,occlusion,category, the last in 1..3"
        raise DataError(f"{file}: line {line}: found '{','.join(words)[:60]}'; must be {said}.") from None
    return frame, Thing(name, box, difficult=everything, where=where)
