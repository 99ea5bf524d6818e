"""Which JSON file annotates which pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vjo_train.data.sources.coco.stream import listed
from vjo_train.data.sources.split_names import meant
from vjo_train.errors import DataError


@dataclass(frozen=True)
class Part:
    """The pictures that one JSON file annotates."""

    split: str
    file: Path
    images: Path
    """The folder that the names of its images are below."""


def parts(root: Path, annotations: Mapping[str, str] | None, images: Mapping[str, str] | None) -> dict[str, Part]:
    """Split -> its files: those of `annotations`, or what is found below the root.

    Found are `annotations/instances_*.json`, else any other JSON with images in `annotations/` or the root, and
    `_annotations.coco.json` beside its pictures. A split is called as its file is (`train2017`), or as its folder.

    Args:
        root: of the data set.
        annotations: split -> JSON file, below the root; None: found.
        images: split -> folder of its pictures, below the root; those of other splits are found.

    Raises:
        DataError: a file is not there, or none is found, or the pictures of one are not.
    """
    if annotations is not None:
        files = {split: root / file for split, file in annotations.items()}
    else:
        files = {_split_of(path): path for path in _found(root)}
    if not files:
        raise DataError(
            f"{root}: found no COCO annotations; must hold annotations/instances_<split>.json, <split>/"
            "_annotations.coco.json or another JSON file with images and annotations."
        )
    known = images or {}
    return {
        split: Part(split, file, root / known[split] if split in known else _pictures(root, split, file))
        for split, file in files.items()
    }


def choose(found: Mapping[str, Part], split: str) -> str:
    """The name among `found` that a user means by `split`: itself, `train2017` for `train`, `valid` for `val`.

    Raises:
        DataError: there is none, or there are several.
    """
    likely = meant(split, found)
    if len(likely) == 1:
        return likely[0]
    what = f"several splits that may be '{split}'" if likely else f"no split '{split}'"
    raise DataError(f"dataset.source.annotations: found {what}; the files are of {', '.join(found)}.")


def _found(root: Path) -> list[Path]:
    own = [*root.glob("*.json"), *root.glob("annotations/*.json"), *root.glob("*/_annotations.coco.json")]
    instances = [path for path in own if path.stem.startswith("instances")]
    return sorted(instances or [path for path in own if _has_images(path)])


def _has_images(path: Path) -> bool:
    try:
        return bool(image_names(path, path.stat().st_mtime_ns))
    except DataError:
        return False


def _split_of(path: Path) -> str:
    if path.name == "_annotations.coco.json":
        return path.parent.name
    return re.sub(r"^instances_", "", path.stem)


def _pictures(root: Path, split: str, file: Path) -> Path:
    """The first likely folder that holds the first pictures of a file."""
    names = image_names(file, file.stat().st_mtime_ns)[:20]
    bare = re.sub(r"[-_]?\d+$", "", split)
    own = [root / part / name for name in (split, bare) for part in (".", "images")]
    likely = [file.parent, *own, root / "images", root]
    for folder in likely:
        if any((folder / name).is_file() for name in names):
            return folder
    tried = ", ".join(dict.fromkeys(str(folder) for folder in likely))
    raise DataError(
        f"{file}: found none of its pictures, such as {names[0] if names else '(it lists none)'}, in {tried}; give"
        f" their folder by dataset.source.images={{{split}: DIR}}."
    )


@lru_cache(8)
def categories(file: Path, changed: int) -> dict[int, str]:
    """Category id -> name, by id.

    Args:
        file: the JSON.
        changed: the time of its last change, since what is read is kept.

    Raises:
        DataError: a category without id and name.
    """
    found: dict[int, str] = {}
    for item in listed(file, "categories"):
        if not isinstance(item, dict) or not isinstance(item.get("id"), int) or not item.get("name"):
            raise DataError(f"{file}: found the category {str(item)[:80]}; must have an id and a name.")
        found[item["id"]] = str(item["name"])
    return dict(sorted(found.items()))


@lru_cache(8)
def image_names(file: Path, changed: int) -> tuple[str, ...]:
    """The names of all images, in the order of the file; `changed` as above."""
    found = (item.get("file_name") for item in listed(file, "images") if isinstance(item, dict))
    return tuple(str(name) if name else "" for name in found)
