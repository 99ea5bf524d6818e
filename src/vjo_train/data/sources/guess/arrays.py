"""What gives arrays of many pictures away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vjo_train.data import stacks
from vjo_train.data.sources.guess.sign import Sign, files_of, quoted
from vjo_train.errors import DataError

_FOLD = re.compile(r"(.*?)(\d+)/images/(.*?)\2/images\.npy")
"""PanNuke's `Fold 1/images/fold1/images.npy`."""

_NAMES = "Names in the order of the"
_HEADS = "heads=[category], or [classification] where a picture may show several."
_SPLITS = ("split", "val_split", "test_split")


def arrays(place: Path) -> Iterator[Sign]:
    """MedMNIST's `.npz` files, and PanNuke's folds."""
    for path in files_of(place, ("*.npz",), most=20) if place.is_dir() else ():
        names: list[str] = []
        with suppress(DataError):
            names = stacks.members(path)
        if {"train_images", "train_labels", "test_images"} <= {*names}:
            keys = [f"dataset.source.{kind}={quoted(f'{path.name}/{{split}}_{kind}')}" for kind in ("images", "labels")]
            keys += ["dataset.val_split=val"] if "val_images" in names else []
            yield Sign(path, (*keys, "'dataset.classes=[NAME,..]'"), f"{_NAMES} labels, from 0 on. {_HEADS}")
    for path in sorted(files_of(place, ("*/images/*/images.npy",), most=20)):
        found = _FOLD.fullmatch(path.relative_to(place).as_posix())
        if found and (path.parents[2] / "masks" / path.parent.name / "masks.npy").is_file():
            folder, name = f"{found[1]}{{split}}", f"{found[3]}{{split}}"
            keys = [f"dataset.source.images={quoted(f'{folder}/images/{name}/images.npy')}"]
            keys += [f"dataset.source.objects={quoted(f'{folder}/masks/{name}/masks.npy')}"]
            keys += [f"dataset.{key}=\"'{number}'\"" for key, number in zip(_SPLITS, "123", strict=True)]
            yield Sign(path, (*keys, "'dataset.classes=[NAME,..]'"), f"{_NAMES} maps. heads=[instance,semantic].")
