"""Pictures with a class map each, paired by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Interval
from torch import Tensor

from vjo_train.data.array_files import is_array
from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.objects import Objects
from vjo_train.data.sources.by_split import BySplit
from vjo_train.data.sources.class_values import read_class_values
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.map_names import without_maps
from vjo_train.data.sources.map_reading import other_sizes, read_colours, read_map
from vjo_train.data.sources.palette import read_palette
from vjo_train.data.sources.pictures import bytes_of, is_picture, stamp_of, walk
from vjo_train.data.sources.sizes import measured
from vjo_train.data.sources.white import WHITE, black_and_white, yes_and_no
from vjo_train.errors import ConfigError, DataError
from vjo_train.types import IGNORE

SPLIT, STEM, NAME = "{split}", "{stem}", "{name}"
_WHITE = "white"
"""In `Index.by_image`: maps are black and white."""


class MaskFiles(BySplit):
    """Pictures in one folder, or one for each split, and their class maps in another: CamVid, ADE20K, one's own sets.

    A picture is labelled for `semantic` where its map is there. Without `{split}` in `images`, the pictures are shared
    out among train, val and test, 8 : 1 : 1, by a hash of their names. Pictures may be `.npy` files, and maps
    `.npy` or `.mat`; maps of another size, but of the same shape, are enlarged or reduced, and the log counts them.

    Where there is one class, and the maps hold nothing but 0 and 255, 255 is the class, as in most sets of that kind;
    the log says so. Such maps may be JPEG files.

    Args:
        images: folder of the pictures, below the root, such as `images`, `images/{split}` or `{split}_images`; or,
            where only part of their names is that of their maps, files such as `train/{stem}_sat.jpg`.
        masks: file of a picture's map, below the root; `{stem}` is the picture's name without extension, with the
            folders that it lies in below `images`, and `{name}` without them.
        first: the value of the first class in the maps: 1 where 0 is background, 0 where there is none.
        ignore: values that count neither way.
        palette: maps are in colours: class name -> [red, green, blue], or a text file below the root with a line
            `red green blue name` for each, or what else `read_palette` knows. Colours without a name count neither
            way, but for black, which is background. None: maps hold numbers.
        values: the numbers of the classes, where they have gaps: class name -> value, or a YAML file below the root
            (see `read_class_values`). Other values count neither way, but for 0, which is background. Classes whose
            value is in `ignore` are none. None: they count on from `first`.
        replace: part of `{stem}` -> what stands in its place in the names of maps, such as `camera: label` for the maps
            `label/a_label_1.png` of pictures `camera/a_camera_1.png`.
        variable: the variable of a `.mat` file that is the map; None: the only one.

    Raises:
        ConfigError: `masks` lacks `{stem}` and `{name}`, or `{split}` where `images` has it; `palette` and `values` are
            both given.
    """

    kinds: tuple[Kind, ...] = (Semantic(),)
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8}

    def __init__(
        self,
        *,
        images: str = "images",
        masks: str = "masks/{stem}.png",
        first: Literal[0, 1] = 1,
        ignore: Sequence[Annotated[int, Interval(ge=-1, le=65535)]] = (255,),
        palette: str | Mapping[str, Sequence[int]] | None = None,
        values: str | Mapping[str, Annotated[int, Interval(ge=0, le=65535)]] | None = None,
        replace: Mapping[str, str] | None = None,
        variable: str | None = None,
    ) -> None:
        if palette is not None and values is not None:
            raise ConfigError("dataset.source.values: found it beside palette; maps hold colours or numbers.")
        check_file_name("masks", masks, images)
        self.images, self.named = os.path.split(images) if STEM in images else (images, "")
        self.masks, self.first, self.ignore, self.variable = masks, first, list(ignore), variable
        self.palette = dict(palette) if isinstance(palette, Mapping) else palette
        self.values = dict(values) if isinstance(values, Mapping) else values
        self.replace = dict(replace or {})

    def root(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise DataError(f"dataset.root: found no folder {folder}; must hold {self.images} and the masks.")
        if not self._parts(folder):
            raise DataError(f"{folder / self.images}: found no pictures; dataset.source.images says where they are.")
        return folder

    def class_names(self, root: Path) -> list[str]:
        if self.values is not None:
            return list(self._numbers(root))
        if self.palette is None:
            raise DataError(f"dataset.classes: {root} names no classes; give them in the order of their values.")
        return list(self._colours(root))

    def stamp(self, root: Path) -> str:
        return stamp_of(root, [path for pair in self.pairs(root) for path in pair])

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        index = self.index_of_maps(root, classes)
        check_some(root, index, [mask for _, mask in self.pairs(root)])
        return index

    def index_of_maps(self, root: Path, classes: Sequence[str]) -> Index:
        """The index, though perhaps no picture is labelled."""
        pairs = self.pairs(root)
        faults: dict[int, str] = {}
        sizes = [measured(root / picture, row, faults) for row, (picture, _) in enumerate(pairs)]
        there = [(root / mask).is_file() for _, mask in pairs]
        ids = [picture for picture, _ in pairs]
        maps = [(row, root / mask, sizes[row]) for row, (_, mask) in enumerate(pairs) if there[row]]
        counted = self.palette is None and self.values is None
        white = counted and len(classes) == self.first == 1 and black_and_white(maps, self.variable)
        notes = other_sizes([one for one in maps if one[0] not in faults], self.variable)
        if white:
            notes.append((-1, "black and white", f"the maps are black and white: {WHITE} is {classes[0]}, 0 is not"))
        return table(
            classes=classes,
            ids=ids,
            images=ids,
            image_bytes=bytes_of(root, ids),
            sizes=sizes,
            objects=[Objects.none() for _ in ids],
            labelled={"semantic": there},
            files={"semantic": [mask if known else "" for (_, mask), known in zip(pairs, there, strict=True)]},
            faults=faults,
            notes=notes,
            by_image={_WHITE: np.ones(len(ids), np.bool_)} if white else {},
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        path, size, classes = index.file(root, row, kind), index.size(row), index.classes.tolist()
        if self.palette is not None:
            return self._named(read_colours(path, size), root, classes)
        if _WHITE in index.by_image:
            return yes_and_no(path, size, self.variable)
        values = read_map(path, size, variable=self.variable)
        if self.values is not None:
            return self._numbered(values, root, classes)
        ignored = torch.isin(values, torch.tensor(self.ignore, dtype=torch.int32))
        wrong = values[~ignored & ((values < 0) | (values >= len(classes) + self.first))]
        if len(wrong):
            highest = len(classes) + self.first - 1
            raise DataError(f"{path}: found the value {int(wrong.max())}; allowed are 0..{highest} and {self.ignore}.")
        return torch.where(ignored, IGNORE, values + 1 - self.first).to(torch.uint8)

    def _numbered(self, values: Tensor, root: Path, classes: Sequence[str]) -> Tensor:
        """A map of numbers [H, W] as a semantic map; classes that are not wanted are background."""
        numbers = self._numbers(root)
        known = {value: classes.index(name) + 1 if name in classes else 0 for name, value in numbers.items()}
        table = torch.full((65536,), IGNORE, dtype=torch.uint8)
        for value, number in ({0: 0} | known | dict.fromkeys(self.ignore, IGNORE)).items():
            if value >= 0:
                table[value] = number
        inside = values.clamp(0, 65535)
        return torch.where(inside == values, table[inside.long()], IGNORE)

    def _named(self, colours: Tensor, root: Path, classes: Sequence[str]) -> Tensor:
        """A colour map [3, H, W] as a semantic map; classes that are not wanted are background."""
        known = self._colours(root)
        numbers = {0: 0}  # black
        numbers |= {_code(colour): classes.index(name) + 1 if name in classes else 0 for name, colour in known.items()}
        codes = np.array(sorted(numbers), np.int64)
        values = np.array([numbers[code] for code in codes.tolist()], np.uint8)
        red, green, blue = colours.numpy().astype(np.int64)
        pixels: npt.NDArray[np.int64] = (red << 16) | (green << 8) | blue
        places = np.minimum(np.searchsorted(codes, pixels), len(codes) - 1)
        return torch.from_numpy(np.where(codes[places] == pixels, values[places], IGNORE).astype(np.uint8))

    def _colours(self, root: Path) -> dict[str, Sequence[int]]:
        if not isinstance(self.palette, str):
            return dict(self.palette or {})
        return read_palette(root / self.palette)

    def _numbers(self, root: Path) -> dict[str, int]:
        found = read_class_values(root / self.values) if isinstance(self.values, str) else dict(self.values or {})
        return {name: value for name, value in found.items() if value not in self.ignore}

    def _parts(self, root: Path) -> dict[str, list[str]]:
        """Split, or nothing where there are no folders of splits -> its pictures, below the root."""
        if SPLIT not in self.images:
            parts = {"": _below(root, self.images)}
            return {name: own for name, listed in parts.items() if (own := self._without_maps(listed, name))}
        before, _, after = self.images.partition(SPLIT)
        above, start = os.path.split(before)
        end = after.partition("/")[0]
        folders = sorted(os.listdir(root / above)) if (root / above).is_dir() else []
        matches = [re.fullmatch(f"{re.escape(start)}(.+){re.escape(end)}", name) for name in folders]
        names = [match[1] for match in matches if match and (root / above / match[0]).is_dir()]
        parts = {name: _below(root, self.images.replace(SPLIT, name)) for name in names}
        return {name: own for name, listed in parts.items() if (own := self._without_maps(listed, name))}

    def _without_maps(self, pictures: list[str], split: str) -> list[str]:
        """The pictures of a split but those that are maps of others, in the same folder."""
        own = [picture for picture in pictures if self._stem(picture, split)]
        own = without_maps(own)[0]
        maps = {self.of(picture, split, file) for picture in own for file in self.patterns()}
        return [picture for picture in own if os.path.normpath(picture) not in maps]

    def _stem(self, picture: str, split: str) -> str:
        """What `{stem}` stands for; nothing for what is no picture by its name."""
        path = os.path.relpath(picture, self.images.replace(SPLIT, split))
        if not self.named:
            return os.path.splitext(path)[0]
        folder, name = os.path.split(path)
        match = re.fullmatch(re.escape(self.named).replace(re.escape(STEM), "(.+)"), name)
        return os.path.join(folder, match[1]) if match else ""

    def patterns(self) -> list[str]:
        """The files of each picture, as `masks`."""
        return [self.masks]

    def of(self, picture: str, split: str, file: str) -> str:
        """The file of a picture, there or not; `file` as of `beside`."""
        stem = self._stem(picture, split)
        for part, other in self.replace.items():
            stem = stem.replace(part, other)
        return os.path.normpath(file.replace(SPLIT, split).replace(STEM, stem).replace(NAME, os.path.basename(stem)))

    def pairs(self, root: Path) -> list[tuple[str, str]]:
        """Every picture with the file that its map is, or would be; sorted, below the root."""
        return self.beside(root, self.masks)

    def beside(self, root: Path, file: str) -> list[tuple[str, str]]:
        """Every picture with a file by its name, there or not; sorted, below the root.

        Args:
            root: of the data set.
            file: with `{stem}` and perhaps `{split}`, as `masks`.
        """
        parts = self._parts(root)
        return sorted((name, self.of(name, split, file)) for split, names in parts.items() for name in names)


def check_file_name(key: str, file: str, images: str) -> None:
    """Checks the pattern of a picture's files, of the key `dataset.source.<key>`.

    Raises:
        ConfigError: it has nothing for the picture's name, or nothing for the split where `images` has that.
    """
    named = STEM in file or NAME in file
    if not named or (SPLIT in images and SPLIT not in file):
        needed = SPLIT if named else f"{STEM} or {NAME}"
        raise ConfigError(f"dataset.source.{key}: found '{file}'; must hold {needed}.")


def _below(root: Path, folder: str) -> list[str]:
    """The pictures in a folder and below it, arrays among them, as paths below the root."""
    found = []
    for place, files in walk(root / folder):
        below = Path(os.path.relpath(place, root))
        found += [(below / name).as_posix() for name in files if is_picture(name) or is_array(name)]
    return sorted(found)


def check_some(root: Path, index: Index, files: Sequence[str]) -> None:
    """Checks that some picture has a label.

    Args:
        root: of the data set.
        index: of it.
        files: where the labels of its pictures would be.

    Raises:
        DataError: none has one, so that they lie somewhere else.
    """
    if any(flags.any() for flags in index.labelled.values()) or not files:
        return
    place = root / os.path.dirname(files[0])
    there = sorted(os.listdir(place)) if place.is_dir() else []
    said = f", but that folder holds {', '.join(there[:2])}, .." if there else ", but there is no such folder"
    what = f"{root}: none of its {len(files)} pictures has a map: looked for {files[0]}{said}."
    raise DataError(what + looks_like(root))


def _code(colour: Sequence[int]) -> int:
    red, green, blue = colour
    return (red << 16) | (green << 8) | blue
