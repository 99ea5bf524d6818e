"""What gives public sets of streets and people away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vjo_train.data.sources.guess.sign import Sign, files_of
from vjo_train.data.sources.objects import signs
from vjo_train.data.sources.objects.signs import head
from vjo_train.data.sources.pictures import is_picture


def polygons(place: Path) -> Iterator[Path]:
    """Cityscapes' polygons, or those of the India Driving Dataset, where no maps were made of them."""
    if not any(files_of(place, ("gt*/*/*/*_labelIds.png",))):
        yield from files_of(place, ("gtFine/*/*/*_polygons.json",))


def ecp(place: Path) -> Iterator[Path]:
    """EuroCity Persons."""
    files = files_of(place, ("labels/*/*/*.json", "*/labels/*/*/*.json", "*/*/labels/*/*/*.json"), most=20)
    yield from (path for path in files if b'"children"' in head(path) and b'"identity"' in head(path))


def uavdt(place: Path) -> Iterator[Sign]:
    """UAVDT, and the key that keeps its sequences in one split."""
    for path in files_of(place, tuple(f"{depth}*_gt_whole.txt" for depth in ("", "*/", "*/*/"))):
        yield Sign(path, ("\"dataset.group='^(.*)/'\"",), "The group keeps a sequence in one split.")


def nuimages(place: Path) -> Iterator[Path]:
    """The tables of nuImages."""
    yield from files_of(place, ("*/object_ann.json", "object_ann.json"))


_DEPTHS = ("", "*/", "*/*/", "*/*/*/", "*/*/*/*/")


def _texts(place: Path) -> Iterator[Path]:
    """Some text files of each depth, where there are pictures too: the folder of the text alone is no data set."""
    if any(is_picture(path.name) for depth in _DEPTHS for path in files_of(place, (f"{depth}*.*",), most=100)):
        yield from (path for depth in _DEPTHS for path in files_of(place, (f"{depth}*.txt",), most=20))


def bbgt(place: Path) -> Iterator[Sign]:
    """The text of Piotr Dollar's toolbox, and the key for one of KAIST's cameras."""
    for path in filter(signs.is_bbgt, _texts(place)):
        cameras = any(place.glob("*/set*/V*/lwir"))
        yield Sign(path, ("dataset.source.folder=visible",) if cameras else (), "Or lwir." if cameras else "")


def box_lists(place: Path) -> Iterator[Path]:
    """JSON or YAML of pictures with lists of boxes."""
    patterns = tuple(f"{depth}*.{end}" for depth in ("", "*/") for end in ("json", "yaml", "yml"))
    yield from filter(signs.is_box_list, files_of(place, patterns, most=20))


def pascal_text(place: Path) -> Iterator[Path]:
    """The text of PASCAL's annotations."""
    yield from filter(signs.is_pascal_text, _texts(place))
