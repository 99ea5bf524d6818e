"""A wrong layout says what it looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Answer
from vjo_train.data.sources.sniff import looks_like
from vjo_train.data.sources.voc.source import VOC
from vjo_train.data.sources.yolo.source import YOLO
from vjo_train.errors import DataError

FILES = {
    "coco": {"annotations/instances_val.json": '{"info": {}, "images": []}', "val/a.jpg": ""},
    "yolo": {"my.yaml": "path: .\nnames: [a]\n", "images/train/a.jpg": ""},
    "pascal_context": {"JPEGImages/a.jpg": "", "human_parts/a.mat": ""},
    "nyuv2": {"train/image/0.npy": "", "train/normal/0.npy": ""},
    "cityscapes_mtan": {"train/image/0.npy": "", "train/label_7/0.npy": ""},
    "cityscapes": {"leftImg8bit/train/aachen/a.png": "", "gtFine/train/aachen/b.png": ""},
    "voc": {"VOC2012/JPEGImages/a.jpg": "", "VOC2012/Annotations/a.xml": ""},
    "voc_beside": {"train/a.jpg": "", "train/a.xml": "<annotation></annotation>"},
    "masks": {"images/train/a.jpg": "", "masks/train/a.png": ""},
    "folders": {"train/cat/a.jpg": "", "train/dog/b.png": "", "val/cat/c.jpg": ""},
    "": {"a.jpg": "", "notes.json": '{"x": 1}', "b.yaml": "x: 1"},
}


def write(root: Path, layout: str) -> Path:
    for name, text in FILES[layout].items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("layout", FILES)
def test_each_layout_is_told_from_the_others(tmp_path, layout):
    said = looks_like(write(tmp_path, layout))
    assert (f"dataset={layout} dataset.root={tmp_path}" in said) if layout else said == ""


def test_labels_without_a_yaml_file_are_yolo(tmp_path):
    for name in ("images/train/a.jpg", "labels/train/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    assert "dataset=yolo" in looks_like(tmp_path)


def test_the_sources_say_it(tmp_path):
    with pytest.raises(
        DataError, match=r"holds neither JPEGImages/ .*It looks like COCO \(annotations/instances_val\.json\)"
    ):
        VOC().root(write(tmp_path / "coco", "coco"))
    with pytest.raises(DataError, match=r"holds no data\.yaml.*It looks like PASCAL VOC"):
        YOLO().root(write(tmp_path / "voc", "voc"))


def test_a_file_as_root_says_it_too(command: Callable[..., Answer]):
    file = write(Path.cwd(), "coco") / "annotations/instances_val.json"
    status, _, err = command("vjo-data", "summary", "dataset=voc", f"dataset.root={file}")
    assert status == 2
    assert "which is no folder" in err
    assert f"It looks like COCO: dataset=coco dataset.root={file} reads it." in err


def test_guess_looks_into_folders(command: Callable[..., Answer], tmp_path: Path) -> None:
    for layout in ("coco", "voc", "folders"):
        write(tmp_path / "all" / layout, layout)
    status, out, _ = command("vjo-data", "guess", str(tmp_path / "all"))
    assert status == 0
    for layout in ("coco", "voc"):
        assert f"  vjo-data summary dataset={layout} dataset.root={tmp_path}/all/{layout}\n" in out
    assert command("vjo-data", "guess", str(write(tmp_path / "none", "")))[2].startswith(
        f"vjo-data: error: guess: {tmp_path}/none looks like no layout"
    )
    assert "guess: found 'nowhere', which does not exist" in command("vjo-data", "guess", "nowhere")[2]
    assert "guess: takes one folder or file" in command("vjo-data", "guess")[2]
