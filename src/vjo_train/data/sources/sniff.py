"""What a folder of data looks like, for those who chose another layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

from vjo_train.data.sources.objects import signs
from vjo_train.data.sources.objects.signs import head
from vjo_train.data.sources.pictures import is_picture
from vjo_train.data.sources.split_names import split_in
from vjo_train.data.sources.yolo.bare import NAMES, names_file


def looks_like(place: Path) -> str:
    """` It looks like ...: dataset=... dataset.root=... reads it.`, or nothing where nothing is recognised.

    Args:
        place: a folder or file that was given as `dataset.root`.
    """
    if (place / ".hydra" / "config.yaml").is_file():
        return " It is the folder of a run, which run= of the other commands takes, or start_from and trainer.resume."
    found = guesses(place) if place.is_dir() else list(filter(None, [_guess(place)]))
    if not found:
        return ""
    guess = found[0]
    seen = "" if guess.seen == place else f" ({guess.seen.relative_to(place)})"
    if not guess.choice:
        return f" It looks like {guess.what}{seen}: {guess.note}"
    return f" It looks like {guess.what}{seen}: {guess.overrides} reads it."


class Guess(NamedTuple):
    """What a folder or file looks like."""

    place: Path
    what: str
    choice: str
    """Of `dataset`; empty for what is not read."""
    seen: Path
    """What gives it away."""
    keys: tuple[str, ...] = ()
    """Further overrides."""
    note: str = ""
    """What else to say."""

    @property
    def overrides(self) -> str:
        """What reads it, on a command line."""
        return " ".join([f"dataset={self.choice}", f"dataset.root={self.place}", *self.keys])


class _Sign(NamedTuple):
    """A file or folder, and what it says of the keys."""

    seen: Path
    keys: tuple[str, ...] = ()
    note: str = ""


def guesses(place: Path) -> list[Guess]:
    """What `place` looks like, or, where nothing is recognised, what the folders in it and in these look like.

    Folders of pictures are the weakest sign: what is recognised inside them comes first. Maps may be one of several
    annotations of the same pictures: other ones in folders beside them come with them.
    """
    own = _guess(place)
    if own is not None and own.choice not in (WEAKEST, MAPS):
        return [own]
    found: list[Guess] = []
    for folders in ("*", "*/*"):
        inner = [sub for sub in sorted(place.glob(folders)) if sub.is_dir() and not sub.name.startswith(".")]
        outside = [sub for sub in inner if not any(sub.is_relative_to(guess.place) for guess in found)]
        found += [guess for sub in outside if (guess := _guess(sub)) and (own is None or guess.choice != WEAKEST)]
    if own is not None and own.choice == MAPS:
        return [own, *(guess for guess in found if guess.choice not in (MAPS, ""))]
    return found or ([own] if own else [])


def _guess(place: Path) -> Guess | None:
    for name, (what, find) in _LAYOUTS.items():
        if name == WEAKEST and (other := _unread(place)):
            return other
        if (found := next(find(place), None)) is not None:
            sign = found if isinstance(found, _Sign) else _Sign(found)
            return Guess(place, what, name, *sign)
    return None


def _unread(place: Path) -> Guess | None:
    """What is known, but not read here."""
    for what, (patterns, known, remedy) in _UNREAD.items():
        for path in _files(place, patterns, most=100):
            if known is None or known in head(path):
                return Guess(place, what, "", path, note=remedy)
    return None


def _pascal_context(place: Path) -> Iterator[Path]:
    yield from (path for name in ("human_parts", "normals_distill") if (path := place / name).is_dir())


def _nyuv2(place: Path) -> Iterator[Path]:
    yield from _files(place, ("*/normal/*.npy",))


def _cityscapes_mtan(place: Path) -> Iterator[Path]:
    yield from _files(place, ("*/label_7/*.npy",))


def _voc(place: Path) -> Iterator[Path]:
    for parent in (place, place / "VOCdevkit"):
        yield from parent.glob("JPEGImages")
        yield from parent.glob("VOC*/JPEGImages")


def _voc_beside(place: Path) -> Iterator[Path]:
    for pattern in ("*.xml", "*/*.xml"):
        for path in _files(place, (pattern,), most=100):
            if b"<annotation" in head(path) and any(
                path.with_suffix(end).is_file() for end in (".jpg", ".png", ".jpeg")
            ):
                yield path


def _panoptic(place: Path) -> Iterator[Path]:
    if place.is_dir() and not any(_files(place, ("annotations/instances_*.json",))):
        yield from _files(place, ("annotations/panoptic_*.json", "panoptic_*.json"))


def _stuff(place: Path) -> Iterator[Path]:
    if place.is_dir() and not any(_files(place, ("annotations/instances_*.json",))):
        yield from _files(place, ("annotations/stuff_*.json", "stuff_*.json"))


def _coco(place: Path) -> Iterator[Path]:
    files = [place] if place.is_file() else _files(place, ("*.json", "annotations/*.json", "*/_annotations.coco.json"))
    yield from (path for path in files if path.suffix == ".json" and signs.is_coco(path))


def _labelme(place: Path) -> Iterator[Path]:
    yield from filter(signs.is_labelme, _files(place, ("*.json", "*/*.json"), most=20))


def _bdd100k(place: Path) -> Iterator[Path | _Sign]:
    files = _files(place, ("*.json", "*/*.json", "*/*/*.json", "*/*/*/*.json"), most=20)
    for path in filter(signs.is_bdd100k, files):
        keys = ("dataset.source.images=images/100k",) if (place / "images/10k").is_dir() else ()
        yield _Sign(path, keys)


def _cvat(place: Path) -> Iterator[Path]:
    yield from filter(signs.is_cvat, _files(place, ("*.xml", "*/*.xml"), most=20))


def _via(place: Path) -> Iterator[Path]:
    patterns = ("*.json", "*/*.json", "*.csv", "*/*.csv")
    yield from (path for pattern in patterns for path in _files(place, (pattern,), most=20) if signs.is_via(path))


def _box_table(place: Path) -> Iterator[Path | _Sign]:
    for path in _files(place, ("*.csv", "*/*.csv"), most=100):
        if columns := signs.box_columns(path):
            yield path if columns.name else _Sign(path, ("dataset.classes=[NAME]",), "NAME is that of the objects.")


def _kitti(place: Path) -> Iterator[Path]:
    yield from _files(place, ("label_2/*.txt", "*/label_2/*.txt"))


def _visdrone(place: Path) -> Iterator[Path]:
    row = re.compile(rb"(-?\d+,){7}-?\d+,?\s*")
    files = _files(place, ("annotations/*.txt", "*/annotations/*.txt"), most=20)
    yield from (path for path in files if row.fullmatch(head(path).partition(b"\n")[0]))


def _table(place: Path) -> Iterator[_Sign]:
    for path in _files(place, ("*.csv", "*/*.csv", "*.parquet"), most=100):
        if pictures := _folder_of(place, path):
            keys = (
                f"dataset.source.file={_quoted(path.relative_to(place))}",
                f"dataset.source.images={_quoted(pictures)}",
            )
            yield _Sign(path, keys)


def _folder_of(place: Path, table: Path) -> str:
    """The folder of the pictures that the first column of a table names; nothing where there are none."""
    lines = head(table).decode("utf-8", "ignore").splitlines()[1:6]
    names = [re.split(r"[,;\t]", line)[0].strip().strip('"') for line in lines]
    sound = [name for name in names if 0 < len(name) < 256 and not re.search(r"[*?\[\0]|^/", name)]
    for folder, name in product(("", "*/", "*/*/"), sound):
        for found in _files(place, (f"{folder}{name}", f"{folder}{name}.*"), most=5):
            if is_picture(found.name):
                return found.parents[len(Path(name).parts) - 1].relative_to(place).as_posix()
    return ""


def _yolo(place: Path) -> Iterator[Path | _Sign]:
    files = [place] if place.is_file() else _files(place, ("*.yaml", "*.yml"))
    for path in files:
        if path.suffix in (".yaml", ".yml") and re.search(rb"^names\s*:", head(path), re.MULTILINE):
            yield path
    rows = re.compile(rb"\s*\d+(\s+[01]?\.\d+(e-\d+)?){4,}\s*")
    patterns = ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt", "*.txt", "obj_train_data/*.txt", "*/*.txt")
    for path in _files(place, patterns, most=100):
        first, _, _ = (content := head(path)).partition(b"\n")
        if path.name not in NAMES and (rows.fullmatch(first) or (not content and "labels" in path.parts)):
            named = names_file(place)
            yield (
                _Sign(path) if named else _Sign(path, note=f"It has no list of class names: write {place}/classes.txt.")
            )


def _citypersons(place: Path) -> Iterator[_Sign]:
    if (boxes := place / "gtBboxCityPersons").is_dir():
        maps = (place / "gtFine").is_dir()
        yield _Sign(boxes, note="Its maps: dataset=cityscapes; both in one network: docs/data/join.md." if maps else "")


def _cityscapes(place: Path) -> Iterator[Path]:
    yield from (path for name in ("leftImg8bit", "gtFine") if (path := place / name).is_dir())


def _masks(place: Path) -> Iterator[_Sign]:
    from vjo_train.data.sources.pairing import paired  # decodes maps, so that it needs torch

    if place.is_dir() and (pair := paired(place)):
        where = [f"dataset.source.images={_quoted(pair.images)}"] if pair.images != "images" else []
        where += [f"dataset.source.masks={_quoted(pair.masks)}"] if pair.masks != "masks/{stem}.png" else []
        objects = [word.replace("source.masks", "source.objects") for word in where]
        instances = " ".join([f"dataset=instances dataset.root={place}", *objects, "dataset.classes=[NAME]"])
        seen = f"Maps hold {', '.join(map(str, pair.values[:12]))}{', ..' * (len(pair.values) > 12)}."
        said = (
            f"{seen} Where each value is an object: {instances}"
            if pair.values
            else "Maps are in colours: dataset.source.palette names them."
        )
        yield _Sign(pair.example, (*where, "'dataset.classes=[NAME,..]'"), said)


def _quoted(value: object) -> str:
    """A value for the command line, in quotes where Hydra or a shell would stumble over it."""
    text = str(value)
    return text if re.fullmatch(r"[\w./-]+", text) else f"\"'{text}'\""


_NO_CLASSES = re.compile(r"(images?|imgs?|img1|jpegimages|image_\d|pictures|photos|frames|masks?|labels?|annotations?)")
"""What folders are called that hold no class."""


def _folders(place: Path) -> Iterator[Path]:
    for pattern in ("*/*/*", "*/*"):
        owners = {path.parent for path in _files(place, (pattern,)) if is_picture(path.name)}
        if pattern == "*/*/*":
            owners = {owner for owner in owners if split_in(owner.parent.name)}
        named = {
            owner.name for owner in owners if not split_in(owner.name) and not _NO_CLASSES.fullmatch(owner.name.lower())
        }
        if len(named) > 1 and not {owner.name for owner in owners} - named:
            yield min(owners)


_LAYOUTS: dict[str, tuple[str, Callable[[Path], Iterator[Path | _Sign]]]] = {
    "pascal_context": ("PASCAL-Context for several tasks", _pascal_context),
    "nyuv2": ("NYUv2 as MTAN publishes it", _nyuv2),
    "cityscapes_mtan": ("Cityscapes as MTAN publishes it", _cityscapes_mtan),
    "voc": ("PASCAL VOC", _voc),
    "voc_beside": ("PASCAL VOC's annotations beside their pictures", _voc_beside),
    "citypersons": ("CityPersons", _citypersons),
    "cityscapes": ("Cityscapes", _cityscapes),
    "coco_panoptic": ("COCO's panoptic format", _panoptic),
    "coco_stuff": ("COCO's stuff", _stuff),
    "coco": ("COCO", _coco),
    "labelme": ("LabelMe", _labelme),
    "bdd100k": ("BDD100K's JSON", _bdd100k),
    "cvat": ("CVAT for images", _cvat),
    "via": ("VIA, the VGG Image Annotator", _via),
    "kitti": ("KITTI's object detection", _kitti),
    "crowdhuman": ("CrowdHuman's lists", lambda place: _files(place, ("*.odgt", "*/*.odgt"))),
    "wider_face": ("WIDER FACE's lists", lambda place: _files(place, ("*_bbx_gt.txt", "*/*_bbx_gt.txt"))),
    "mot": ("MOTChallenge's sequences", lambda place: _files(place, ("*/gt/gt.txt", "*/*/gt/gt.txt"))),
    "visdrone": ("VisDrone's object detection", _visdrone),
    "box_table": ("a table of boxes", _box_table),
    "yolo": ("YOLO", _yolo),
    "masks": ("pictures with a map each", _masks),
    "table": ("a table of pictures", _table),
    "folders": ("a folder of pictures for each class", _folders),
}
"""Choice of `dataset` -> what it reads, and what gives it away; the first that fits counts."""


WEAKEST, MAPS = "folders", "masks"
_BY_HAND = "not read; COCO's JSON of it is, by dataset=coco. A source of your own: docs/extending.md."
_UNREAD: dict[str, tuple[tuple[str, ...], bytes | None, str]] = {
    "JSON of Label Studio": (("*.json",), b'"annotations": [{"', "not read; export it as COCO, for dataset=coco."),
    "CreateML's JSON": (("*.json", "*/*.json"), b'"coordinates"', _BY_HAND),
    "Supervisely's JSON": (("*/ann/*.json", "ann/*.json"), b'"classTitle"', _BY_HAND),
    "DOTA": (("*/labelTxt*/*.txt", "labelTxt*/*.txt"), None, _BY_HAND),
    "DICOM": (("*.dcm", "*/*.dcm", "*/*/*.dcm"), None, "not read; convert the pictures to PNG, of 16 bits if need be."),
    "TFRecord": (("*.tfrecord*", "*/*.tfrecord*"), None, _BY_HAND),
    "MATLAB's files": (("*.mat", "*/*.mat"), None, "not read, but for dataset=pascal_context."),
}
"""What it is -> the files, what they hold, and what to do."""


def _files(place: Path, patterns: tuple[str, ...], most: int = 10_000) -> Iterator[Path]:
    """The first files that fit, pattern by pattern."""
    for pattern in patterns:
        yield from (path for path in islice(place.glob(pattern), most) if path.is_file())
