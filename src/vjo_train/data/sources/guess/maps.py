"""What gives pictures with a map each away, and what to say of these maps."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vjo_train.data.mat_files import read_mat
from vjo_train.data.sources.class_values import read_class_values
from vjo_train.data.sources.guess.sign import Sign, files_of, quoted
from vjo_train.data.sources.pictures import is_picture
from vjo_train.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vjo_train.data.sources.pairing import Pairing

_OBJECTS, _KINDS = "inst_map", "type_map"
"""Variables of HoVer-Net's `.mat` files."""


_A2D2 = (
    "dataset.source.images=.",
    "\"dataset.source.masks='{stem}.png'\"",
    "'dataset.source.replace={camera: label}'",
    "dataset.source.palette=class_list.json",
    "heads.semantic.background=false",
)


def masks(place: Path) -> Iterator[Sign]:
    """The keys for a folder with pictures and maps, if it is one."""
    if (place / "class_list.json").is_file():
        yield from (Sign(path, _A2D2) for path in files_of(place, ("*/label/*/*.png",)))
    from vjo_train.data.sources.pairing import paired  # decodes maps, so that it needs torch

    if place.is_dir() and (pair := paired(place)):
        where = [f"dataset.source.images={quoted(pair.images)}"] if pair.images != "images" else []
        where += [f"dataset.source.masks={quoted(pair.masks)}"] if pair.masks != "masks/{stem}.png" else []
        names = _values(place, pair.example) if pair.values else _palette(place)
        yield Sign(
            pair.example, (*where, *(names or ("'dataset.classes=[NAME,..]'",))), _of_maps(place, pair, where, names)
        )


def objects(place: Path) -> Iterator[Sign]:
    """The keys for pictures and `.mat` files of their objects, as HoVer-Net's authors keep CoNSeP, Kumar and CPM-17."""
    if not place.is_dir():
        return
    from vjo_train.data.sources.pairing import by_split

    for path in files_of(place, ("*/*.mat", "*/*/*.mat"), most=20):
        names: list[str] = []
        with suppress(DataError, ConfigError):
            names = sorted(read_mat(path))
        beside = [one for one in path.parent.parent.glob(f"*/{glob.escape(path.stem)}.*") if is_picture(one.name)]
        if _OBJECTS in names and beside:
            pictures = min(beside, key=lambda one: "image" not in one.parent.name.lower()).parent
            images, maps = (folder.relative_to(place).as_posix() for folder in (pictures, path.parent))
            images, maps = by_split(place, images, maps)
            keys = [f"dataset.source.images={quoted(images)}", f"dataset.source.objects={quoted(maps + '/{stem}.mat')}"]
            keys += [f"dataset.source.variable={_OBJECTS}"] if len(names) > 1 else []
            more = f"dataset.source.class_variable={_KINDS}, and dataset.classes=[..] in the order of its values"
            note = f"With the class of each object: {more}." if _KINDS in names else ""
            yield Sign(path, (*keys, "dataset.classes=[NAME]"), note)


def _of_maps(place: Path, pair: Pairing, where: list[str], names: tuple[str, ...]) -> str:
    """What to say of maps."""
    if not pair.values:
        return "" if names else "Maps are in colours: dataset.source.palette names them."
    seen = f"Maps hold {', '.join(map(str, pair.values[:12]))}{', ..' * (len(pair.values) > 12)}."
    if {*pair.values} <= {0, 255} or pair.masks.lower().endswith((".jpg", ".jpeg")):
        return f"{seen} One class: 255 is NAME, 0 is not."
    if names:
        return f"{seen} Where every pixel is of a class, 0 too: heads.semantic.background=false."
    objects = [word.replace("source.masks", "source.objects") for word in where]
    words = ["dataset=instances", f"dataset.root={quoted(place)}", *objects, "dataset.classes=[NAME]"]
    background = "0 is background; where it is a class: dataset.source.first=0 heads.semantic.background=false."
    return f"{seen} {background} Where each value is an object: {' '.join(words)}"


def _values(place: Path, example: Path) -> tuple[str, ...]:
    """The key for a file that names the values of maps, above one of them."""
    for name in ("*.yaml", "*.yml", "codes.txt", "_classes.csv"):
        for found in files_of(place, (name, f"*/{name}"), most=20):
            with suppress(DataError):
                if found.parent in example.parents and read_class_values(found):
                    return (f"dataset.source.values={quoted(found.relative_to(place))}",)
    return ()


def _palette(place: Path) -> tuple[str, ...]:
    """The key for a file of colours, as CamVid and CVAT have it."""
    names = ("label_colors.txt", "class_dict.csv", "labelmap.txt")
    found = next(files_of(place, (*names, *(f"*/{name}" for name in names))), None)
    return (f"dataset.source.palette={quoted(found.relative_to(place))}",) if found else ()
