"""What gives each layout of data away, by the names of files and folders and their first bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from vjo_train.data.sources.guess import streets
from vjo_train.data.sources.guess.arrays import arrays
from vjo_train.data.sources.guess.maps import masks, objects
from vjo_train.data.sources.guess.sign import Sign, files_of, quoted
from vjo_train.data.sources.map_names import of_no_class
from vjo_train.data.sources.objects import signs
from vjo_train.data.sources.objects.signs import head, tail
from vjo_train.data.sources.pictures import is_picture
from vjo_train.data.sources.split_names import split_in
from vjo_train.data.sources.yolo.bare import NAMES, names_file


def _pascal_context(place: Path) -> Iterator[Path]:
    yield from (path for name in ("human_parts", "normals_distill") if (path := place / name).is_dir())


def _nyuv2(place: Path) -> Iterator[Path]:
    yield from files_of(place, ("*/normal/*.npy",))


def _cityscapes_mtan(place: Path) -> Iterator[Path]:
    yield from files_of(place, ("*/label_7/*.npy",))


def _voc(place: Path) -> Iterator[Path]:
    for parent in (place, place / "VOCdevkit"):
        yield from parent.glob("JPEGImages")
        yield from parent.glob("VOC*/JPEGImages")


def _voc_beside(place: Path) -> Iterator[Path]:
    for pattern in ("*.xml", "*/*.xml"):
        for path in files_of(place, (pattern,), most=100):
            if b"<annotation" in head(path) and any(
                path.with_suffix(end).is_file() for end in (".jpg", ".png", ".jpeg")
            ):
                yield path


def _panoptic(place: Path) -> Iterator[Path]:
    if place.is_dir() and not any(files_of(place, ("annotations/instances_*.json",))):
        yield from files_of(place, ("annotations/panoptic_*.json", "panoptic_*.json"))


def _stuff(place: Path) -> Iterator[Path]:
    if place.is_dir() and not any(files_of(place, ("annotations/instances_*.json",))):
        yield from files_of(place, ("annotations/stuff_*.json", "stuff_*.json"))


def _coco(place: Path) -> Iterator[Path]:
    patterns = ("*.json", "annotations/*.json", "*/_annotations.coco.json", "annotations/*/*.json")
    files = [place] if place.is_file() else files_of(place, patterns)
    yield from (path for path in files if path.suffix.lower() == ".json" and signs.is_coco(path))


def _labelme(place: Path) -> Iterator[Path]:
    yield from filter(signs.is_labelme, files_of(place, ("*.json", "*/*.json"), most=20))


def _json_files(place: Path) -> Iterator[Path]:
    yield from files_of(place, ("*.json", "*/*.json"), most=20)


def _bdd100k(place: Path) -> Iterator[Path | Sign]:
    files = files_of(place, ("*.json", "*/*.json", "*/*/*.json", "*/*/*/*.json"), most=20)
    for path in filter(signs.is_bdd100k, files):
        keys = ("dataset.source.images=images/100k",) if (place / "images/10k").is_dir() else ()
        yield Sign(path, keys)


def _cvat(place: Path) -> Iterator[Path]:
    for path in filter(signs.is_cvat, files_of(place, ("*.xml", "*/*.xml"), most=20)):
        if b"<track" not in head(path):
            yield path


def _aperio(place: Path) -> Iterator[Sign]:
    for path in filter(signs.is_aperio, files_of(place, ("*.xml", "*/*.xml"), most=20)):
        yield Sign(path, ("dataset.classes=[NAME]",), "NAME is that of the objects, unless the layers have names.")


def _via(place: Path) -> Iterator[Path]:
    patterns = ("*.json", "*/*.json", "*.csv", "*/*.csv")
    yield from (path for pattern in patterns for path in files_of(place, (pattern,), most=20) if signs.is_via(path))


def _box_table(place: Path) -> Iterator[Path | Sign]:
    files = [*files_of(place, ("*.csv", "*/*.csv"), most=100), *_json_files(place)]
    for path, columns in ((path, signs.box_columns(path)) for path in files):
        if columns:
            yield path if columns.name else Sign(path, ("dataset.classes=[NAME]",), "NAME is that of the objects.")


def _mot(place: Path) -> Iterator[Sign]:
    for path in files_of(place, ("*/gt/gt.txt", "*/*/gt/gt.txt")):
        yield Sign(path, ("\"dataset.group='^(.*)/img1'\"",), "The group keeps a sequence in one split.")


def _kitti(place: Path) -> Iterator[Path]:
    yield from files_of(place, ("label_2/*.txt", "*/label_2/*.txt", "label_02/*.txt", "*/label_02/*.txt"))


def _visdrone(place: Path) -> Iterator[Path]:
    row = re.compile(rb"(-?\d+,){7}(-?\d+,){0,2}-?\d+,?\s*")
    files = files_of(place, ("annotations/*.txt", "*/annotations/*.txt"), most=20)
    yield from (path for path in files if row.fullmatch(head(path).partition(b"\n")[0]))


def _table(place: Path) -> Iterator[Sign]:
    for path in sorted(files_of(place, ("*.csv", "*/*.csv", "*.parquet"), most=100), key=_by_use):
        labels = "submission" not in path.name.lower() and not signs.box_columns(path)
        if labels and (pictures := _folder_of(place, path)):
            file = _of_splits(path)
            keys = (
                f"dataset.source.file={quoted(file.relative_to(place))}",
                f"dataset.source.images={quoted(pictures)}",
            )
            yield Sign(path, keys)


def _by_use(table: Path) -> tuple[int, bool, Path]:
    """Tables above others first, and those of a test last."""
    return len(table.parts), "test" in table.stem.lower(), table


def _of_splits(table: Path) -> Path:
    """The pattern of a table and those of other splits beside it, with the same columns; itself without any."""
    for word in re.findall("[a-z]+", table.stem.lower()):
        pattern = re.sub(re.escape(word), "{split}", table.stem, flags=re.IGNORECASE)
        if split_in(word) and pattern.count("{split}") == 1:
            others = table.parent.glob(pattern.replace("{split}", "*") + table.suffix)
            first = head(table).partition(b"\n")[0]
            if sum(head(other).partition(b"\n")[0] == first for other in others) > 1:
                return table.with_name(pattern + table.suffix)
    return table


def _folder_of(place: Path, table: Path) -> str:
    """The folder of the pictures that the first column of a table names; nothing where there are none."""
    first, last = head(table).splitlines()[1:6], tail(table).splitlines()[-5:]
    folders = [folder for lines in (first, last) if (folder := _of_pictures(place, lines))]
    return os.path.commonpath(folders) or "." if folders else ""


def _of_pictures(place: Path, lines: list[bytes]) -> str:
    """The folder of the pictures that some rows name, below a place or above it; nothing where there are none."""
    names = [re.split(r"[,;\t]", line.decode("utf-8", "ignore"))[0].strip().strip('"') for line in lines]
    sound = [name for name in names if 0 < len(name) < 256 and not re.search(r"[*?\[\0]|^/", name)]
    if any(Path(name).parts[0] == place.name and (place.parent / name).is_file() for name in sound):
        return ".."  # CheXpert's begin with the name of the root
    for folder, name in product(("", "*/", "*/*/"), sound):
        for found in files_of(place, (f"{folder}{name}", f"{folder}{name}.*"), most=5):
            if is_picture(found.name):
                return found.parents[len(Path(name).parts) - 1].relative_to(place).as_posix()
    return ""


def _yolo(place: Path) -> Iterator[Path | Sign]:
    files = [place] if place.is_file() else files_of(place, ("*.yaml", "*.yml"))
    for path in files:
        if path.suffix in (".yaml", ".yml") and re.search(rb"^names\s*:", head(path), re.MULTILINE):
            base = path.parent
            elsewhere = (
                not any(base.glob("**/images")) and (base.parent / "images").is_dir() and b"images" in head(path)
            )
            yield Sign(path, ("dataset.source.images=../images",) if elsewhere else ())
    rows = re.compile(rb"\s*\d+(\s+[01]?\.\d+(e-\d+)?){4,}\s*")
    patterns = ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt", "*.txt", "obj_train_data/*.txt", "*/*.txt")
    for path in files_of(place, patterns, most=100):
        first, _, _ = (content := head(path)).partition(b"\n")
        if path.name not in NAMES and (rows.fullmatch(first) or (not content and "labels" in path.parts)):
            named = names_file(place)
            yield (
                Sign(path) if named else Sign(path, note=f"It has no list of class names: write {place}/classes.txt.")
            )


def _citypersons(place: Path) -> Iterator[Sign]:
    if (boxes := place / "gtBboxCityPersons").is_dir():
        maps = (place / "gtFine").is_dir()
        yield Sign(boxes, note="Its maps: dataset=cityscapes; both in one network: docs/data/join.md." if maps else "")


def _cityscapes(place: Path) -> Iterator[Path]:
    yield from (path for name in ("leftImg8bit", "gtFine") if (path := place / name).is_dir())


_ANNOTATIONS = ("json", "xml", "csv", "mat", "txt")


def _folders(place: Path) -> Iterator[Sign]:
    for pattern in ("*/*/*", "*/*"):
        owners = {path.parent for path in files_of(place, (pattern,)) if is_picture(path.name)}
        if pattern == "*/*/*":
            owners = {owner for owner in owners if split_in(owner.parent.name)}
        named = {owner.name for owner in owners if not split_in(owner.name) and not of_no_class(owner.name)}
        if len(named) > 1 and not {owner.name for owner in owners} - named:
            other = next(
                files_of(place, tuple(f"{depth}*.{end}" for depth in ("", "*/") for end in _ANNOTATIONS)), None
            )
            said = f"It also holds {other.name}, which is not read so." if other else ""
            yield Sign(min(owners), note=said)


LAYOUTS: dict[str, tuple[str, Callable[[Path], Iterator[Path | Sign]]]] = {
    "pascal_context": ("PASCAL-Context for several tasks", _pascal_context),
    "nyuv2": ("NYUv2 as MTAN publishes it", _nyuv2),
    "cityscapes_mtan": ("Cityscapes as MTAN publishes it", _cityscapes_mtan),
    "voc": ("PASCAL VOC", _voc),
    "voc_beside": ("PASCAL VOC's annotations beside their pictures", _voc_beside),
    "citypersons": ("CityPersons", _citypersons),
    "polygons": ("street scenes as polygons", streets.polygons),
    "cityscapes": ("Cityscapes", _cityscapes),
    "coco_panoptic": ("COCO's panoptic format", _panoptic),
    "coco_stuff": ("COCO's stuff", _stuff),
    "coco": ("COCO", _coco),
    "labelme": ("LabelMe", _labelme),
    "bdd100k": ("BDD100K's JSON", _bdd100k),
    "cvat": ("CVAT for images", _cvat),
    "aperio": ("XML of Aperio ImageScope", _aperio),
    "label_studio": ("Label Studio's JSON", lambda place: filter(signs.is_label_studio, _json_files(place))),
    "createml": ("CreateML's JSON", lambda place: filter(signs.is_createml, _json_files(place))),
    "supervisely": ("Supervisely's project", lambda place: files_of(place, ("*/ann/*.json", "ann/*.json"))),
    "via": ("VIA, the VGG Image Annotator", _via),
    "ecp": ("EuroCity Persons", streets.ecp),
    "nuimages": ("nuImages", streets.nuimages),
    "box_lists": ("pictures with lists of boxes", streets.box_lists),
    "bbgt": ("text of Piotr Dollar's toolbox", streets.bbgt),
    "kitti": ("KITTI's object detection", _kitti),
    "crowdhuman": ("CrowdHuman's lists", lambda place: files_of(place, ("*.odgt", "*/*.odgt"))),
    "wider_face": ("WIDER FACE's lists", lambda place: files_of(place, ("*_bbx_gt.txt", "*/*_bbx_gt.txt"))),
    "uavdt": ("UAVDT", streets.uavdt),
    "mot": ("MOTChallenge's sequences", _mot),
    "visdrone": ("VisDrone's object detection", _visdrone),
    "box_table": ("a table of boxes", _box_table),
    "yolo": ("YOLO", _yolo),
    "arrays": ("pictures in arrays of NumPy", arrays),
    "instances": ("pictures with MATLAB's maps of objects", objects),
    "masks": ("pictures with a map each", masks),
    "pascal_text": ("PASCAL's annotations as text", streets.pascal_text),
    "table": ("a table of pictures", _table),
    "folders": ("a folder of pictures for each class", _folders),
}
"""Choice of `dataset` -> what it reads, and what gives it away; the first that fits counts."""


WEAKEST, MAPS = "folders", "masks"
_BY_HAND = "not read; COCO's JSON of it is, by dataset=coco. A source of your own: docs/extending.md."
UNREAD: dict[str, tuple[tuple[str, ...], bytes | None, str]] = {
    "CVAT for video": (("*.xml", "*/*.xml"), b"<track", "not read; export it as CVAT for images, or COCO."),
    "DOTA": (("*/labelTxt*/*.txt", "labelTxt*/*.txt"), None, _BY_HAND),
    "run lengths of masks in a table": (
        ("*.csv", "*/*.csv"),
        b"EncodedPixels",
        "not read; write them as PNG, a map for each picture: dataset=masks (docs/data/masks.md) reads them.",
    ),
    "TFRecord": (("*.tfrecord*", "*/*.tfrecord*"), None, _BY_HAND),
    "arrays of NumPy": (
        ("*.npz", "*/images.npy", "*/*/images.npy"),
        None,
        "read by dataset=arrays where it has an entry for each picture: docs/data/arrays.md.",
    ),
    "MATLAB's files": (
        ("*.mat", "*/*.mat"),
        None,
        "read as maps by dataset=masks and dataset=instances: docs/data/masks.md.",
    ),
}
"""What it is -> the files, what they hold, and what to do."""
