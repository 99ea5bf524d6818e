"""Text files of names in the place of splits, as public sets have them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.sources.written import picture
from tests.data.test_datamodule import make
from vjo_train.data.datamodule import DataModule
from vjo_train.data.list_files import images_in
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.folders import Folders
from vjo_train.data.sources.mask_files import MaskFiles
from vjo_train.data.sources.objects.box_table import BoxTable
from vjo_train.data.sources.table import Table
from vjo_train.errors import ConfigError, DataError


def ids(data: DataModule, rows: np.ndarray[Any, Any]) -> list[str]:
    return [str(name) for name in data.index.ids[rows]]


def chest(root: Path) -> Source:
    """ChestX-ray14: names of pictures that lie in several folders."""
    lines = ["Image Index,Finding Labels,Patient ID"]
    for k in range(6):
        picture(root / f"images_00{k % 2}/images/0000000{k}_000.png")
        lines.append(f"0000000{k}_000.png,{('Mass', 'Mass|Hernia')[k % 2]},{k}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return Table()


def boxes(root: Path) -> Source:
    lines = ["filename,class,xmin,ymin,xmax,ymax"]
    for k in range(6):
        picture(root / f"pictures/0000000{k}_000.png")
        lines.append(f"0000000{k}_000.png,Mass,2,2,9,9")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return BoxTable()


def pets(root: Path) -> Source:
    """Oxford-IIIT Pet: names without ending, and numbers behind them."""
    for k in range(6):
        picture(root / f"images/0000000{k}_000.jpg")
        path = root / f"masks/0000000{k}_000.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.ones((30, 40), np.uint8)).save(path)
    return MaskFiles()


def food(root: Path) -> Source:
    """Food-101: folder and name without ending."""
    for k in range(6):
        picture(root / f"{('pie', 'soup')[k % 2]}/0000000{k}_000.jpg")
    return Folders()


FORMS = {
    chest: "0000000{}_000.png",
    boxes: "0000000{}_000.png",
    pets: "0000000{}_000 1 1 1",
    food: "{kind}/0000000{}_000",
}


@pytest.mark.parametrize("write", FORMS)
def test_lists_say_the_splits_of_any_source(tmp_path: Path, write: Any) -> None:
    root = tmp_path / "set"
    source = write(root)
    lists: Mapping[str, list[int]] = {"train_val_list.txt": [5, 0, 3, 1], "lists/test.txt": [4, 2]}
    for name, numbers in lists.items():
        (root / name).parent.mkdir(exist_ok=True)
        named = [FORMS[write].format(k, kind=("pie", "soup")[k % 2]) for k in numbers]
        (root / name).write_text("\r\n".join(named) + "\n\n")
    classes = [*source.class_names(root)] if write is not pets else ["pet"]
    keys = {"source": source, "classes": classes, "split": "train_val_list.txt", "test_split": "lists/test.txt"}
    needs = {"task": frozenset({source.kinds[0].name})}
    data = make(root, tmp_path / "cache", needs, **keys, val_split=None, val_fraction=0.25)
    data.setup("fit")
    numbers = {split: [int(name[-9]) for name in ids(data, data.split_rows(split))] for split in lists}
    assert numbers == lists, "in their order"
    assert sorted([*ids(data, data.train_rows), *ids(data, data.val_rows)]) == sorted(
        ids(data, data.split_rows("train_val_list.txt"))
    )
    assert len(data.val_rows) == 1, "validation is cut off from the list that is trained on"


def test_a_split_that_shares_images_with_the_list_is_refused(tmp_path: Path) -> None:
    """A test that is made by a hash would hold images of the list that is trained on."""
    root = tmp_path / "set"
    source = boxes(root)
    (root / "train.txt").write_text("\n".join(f"0000000{k}_000.png" for k in range(6)))
    keys = {"source": source, "classes": ["Mass"], "split": "train.txt", "val_split": None, "val_fraction": 0.0}
    said = r"'test' has 1 images of 'train\.txt', which is trained on; must have none of them"
    with pytest.raises(ConfigError, match=said):
        make(root, tmp_path / "cache", **keys, test_split="test").setup("fit")


def test_names_of_no_image_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "set"
    source = boxes(root)
    (root / "train.txt").write_text("00000000_000.png\nno such.png\n00000001_000.png\n")
    data = make(root, tmp_path / "cache", source=source, classes=["Mass"], split="train.txt", val_split=None)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert ids(data, data.split_rows("train.txt"))[0] == "pictures/00000000_000.png"
    said = f"{root}/train.txt: 1 names are of no image of the data set, and left out, such as 'no such.png'."
    assert [one.getMessage() for one in caplog.records] == [said]


def test_names_mean_the_image_whose_last_parts_they_are(tmp_path: Path) -> None:
    known = ["a/x/1.png", "b/x/1.png", "b/2.jpg", "b/2.png", "c d.jpg", "3"]
    path = tmp_path / "train.txt"
    for line, found in (
        ("b/x/1.png", "b/x/1.png"),
        ("/old/place/b/2.png", "b/2.png"),
        ("b\\2.jpg", "b/2.jpg"),
        ("2.png", "b/2.png"),
        ("c d.jpg", "c d.jpg"),
        ("c d.jpg 1", None),
        ("JPEGImages/3.jpg", "3"),
        ("3,0,1", "3"),
    ):
        path.write_text(f"{line}\n")
        if found is None:
            with pytest.raises(DataError, match=r"train\.txt: lists none of the 6 images, such as 'c d\.jpg 1'"):
                images_in(path, known)
        else:
            assert images_in(path, known) == ([found], [])
    for content, said in (
        ("x/1.png\n", r"line 1: 'x/1\.png' may be a/x/1\.png or b/x/1\.png; must be clear"),
        ("3\n\n3.jpg\n", r"line 3: 3 stands in line 1 too"),
        ("", "lists none of the 6 images"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=rf"train\.txt: {said}"):
            images_in(path, known)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"train\.txt: not UTF-8 text"):
        images_in(path, known)
    with pytest.raises(DataError, match=r"none\.txt: cannot be read \(No such file or directory\)"):
        images_in(tmp_path / "none.txt", known)
