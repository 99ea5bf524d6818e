"""A table of pictures and their classes: columns, values, splits, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vjo_train.data.datamodule import DataModule
from vjo_train.data.sources.guess.folders import guesses
from vjo_train.data.sources.mixture import Mixture, Part
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.table import Table
from vjo_train.data.transforms import Augment
from vjo_train.errors import DataError
from vjo_train.schedules.joint import Joint


def write(root: Path, text: str, *pictures: str) -> None:
    for name in pictures or ("a.jpg", "b.jpg", "c.jpg"):
        (root / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(root / "pictures" / name)
    (root / "labels.csv").write_text(text, encoding="utf-8-sig")


def load(root: Path, *classes: str, **keys: Any) -> tuple[Table, dict[str, list[int]], Any]:
    """The source, picture -> its flags, and the index."""
    source = Table(images="pictures", **keys)
    names = list(classes) or source.class_names(source.root(root))
    index = load_index(source, root, names, root / "cache")
    flags = {str(name): source.read(root, index, row, "classes").tolist() for row, name in enumerate(index.ids)}
    return source, flags, index


def test_a_column_for_each_class(tmp_path: Path) -> None:
    write(tmp_path, "image,cat,dog,age,split\nb.jpg,1,0.0,7,train\na.jpg,-1,1.0,8,train\nc.jpg,,,9,valid\n")
    source, flags, index = load(tmp_path)
    assert source.class_names(tmp_path) == ["cat", "dog"]
    assert flags == {"a.jpg": [0, 1], "b.jpg": [1, -1], "c.jpg": [0, 0]}
    assert index.labelled["classes"].tolist() == [True, True, False], "of c nothing is known"
    assert source.splits(tmp_path) == ["train", "valid"]
    assert source.split(tmp_path, "val") == ["c.jpg"]
    assert index.image(tmp_path, 0).is_file()
    assert load(tmp_path, "dog", "bird")[1]["b.jpg"] == [-1, 0], "a class without a column is unknown"


def test_a_column_of_names(tmp_path: Path) -> None:
    write(tmp_path, "path\tlabel\na.jpg\tcat|dog\nb.jpg\tdog\nc.jpg\t\n")
    source, flags, index = load(tmp_path, separator="|")
    assert flags == {"a.jpg": [1, 1], "b.jpg": [-1, 1], "c.jpg": [0, 0]}
    assert index.labelled["classes"].tolist() == [True, True, False]
    shared = [source.split(tmp_path, name) for name in ("train", "val", "test")]
    assert sorted(name for part in shared for name in part) == ["a.jpg", "b.jpg", "c.jpg"]


def test_pictures_by_their_names_alone(tmp_path: Path) -> None:
    """ISIC, APTOS, ... name them without an ending; ChestX-ray14 has them in several folders."""
    write(
        tmp_path,
        "Image Index,Finding Labels,View,\na,Hernia|Edema,PA,\nb.png,No Finding,AP,\n",
        "one/a.jpg",
        "two/b.png",
    )
    _, flags, index = load(tmp_path)
    assert index.classes.tolist() == ["Edema", "Hernia", "No Finding"], "a bar separates, a space does not"
    assert flags == {"a": [1, 1, -1], "b.png": [-1, -1, 1]}
    assert index.images.tolist() == ["pictures/one/a.jpg", "pictures/two/b.png"]
    assert not index.faults.tolist()
    write(tmp_path, "id_code,diagnosis\na,2\nb,0\n")
    assert load(tmp_path)[1] == {"a": [-1, 1], "b": [1, -1]}


def test_without_0_a_table_of_1_and_minus_1_says_yes_and_no(tmp_path: Path) -> None:
    """As CelebA's; beside 0 or a blank, -1 is unknown."""
    write(tmp_path, "image_id,Male,Young\na.jpg,1,-1\nb.jpg,-1,-1\n")
    assert load(tmp_path)[1] == {"a.jpg": [1, -1], "b.jpg": [-1, -1]}
    write(tmp_path, "image_id,Male,Young\na.jpg,1,-1\nb.jpg,-1,0\nc.jpg,True,\n")
    assert load(tmp_path)[1] == {"a.jpg": [1, 0], "b.jpg": [0, -1], "c.jpg": [1, 0]}


def test_columns_of_numbers(tmp_path: Path) -> None:
    write(tmp_path, "image,cat,age,score\na.jpg,1,7,1\nb.jpg,0,,0\nc.jpg,,-1e3,nan\n")
    source, flags, index = load(tmp_path, numbers=["age", "score"])
    assert source.class_names(tmp_path) == ["cat", "age", "score"]
    assert source.class_names_of(tmp_path, "numbers") == ["age", "score"]
    assert source.class_names_of(tmp_path, "classes") == ["cat"], "not score, though it holds 0 and 1 alone"
    assert flags == {"a.jpg": [1, 0, 0], "b.jpg": [-1, 0, 0], "c.jpg": [0, 0, 0]}
    rows = [source.read(tmp_path, index, row, "numbers").tolist() for row in range(3)]
    assert repr(rows) == "[[nan, 7.0, 1.0], [nan, nan, 0.0], [nan, -1000.0, nan]]"
    assert index.labelled["numbers"].all()
    assert not load(tmp_path, "cat", "weight", numbers=["age"])[2].labelled["numbers"].any()


def test_without_columns_of_numbers_the_key_is_named(tmp_path: Path) -> None:
    write(tmp_path, "image,cat\na.jpg,1\n", "a.jpg")
    with pytest.raises(DataError, match=r"dataset\.source\.numbers: names no columns of .*labels\.csv"):
        Table(images="pictures").class_names_of(tmp_path, "numbers")


PATIENTS = "image,patient_id,sick\n" + "".join(f"s{k:02}.jpg,{k // 4},{k % 2}\n" for k in range(40))


def served(root: Path, **keys: Any) -> DataModule:
    return DataModule(
        root=str(root), classes=["sick"], split="train", val_fraction=0.2,
        size=[30, 40], batch_size=2, eval_batch_size=2, workers=0, labelled_per_batch=1, cache_dir=str(root / "cache"),
        augment=Augment(zoom_out=0, crop=0, flip=0, jitter=0),
        **{"val_split": None, "test_split": "test", **keys},
    )  # fmt: skip


def test_no_split_separates_the_pictures_of_a_patient(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "vjo_train")
    write(tmp_path, PATIENTS, *(f"s{k:02}.jpg" for k in range(40)))
    for keys, wanted in (
        ({"source": Table(images="pictures")}, False),
        ({"source": Table(images="pictures", group="patient_id")}, True),
        ({"source": Table(images="pictures"), "group": r"([0-9])\.jpg"}, True),
        ({"source": Mixture(parts={"a": Part(source=Table(images="pictures", group="patient_id"), root=".")})}, True),
    ):
        data = served(tmp_path, **keys)
        data.set_tasks({"classification": frozenset({"classes"})}, Joint(tasks=("classification",)))
        data.setup("fit")
        parts = [data.train_rows, data.val_rows, data.rows("test")]
        ids = [{name.rpartition("/")[2] for name in data.index.ids[rows].tolist()} for rows in parts]
        owners = [{name[2] if "group" in keys else int(name[1:3]) // 4 for name in own} for own in ids]
        assert (sum(map(len, owners)) == len(set().union(*owners))) == wanted
        assert all(ids)
        assert sum(map(len, ids)) == 40, "no picture is left out"
        for more, split in (({"test_split": "val"}, "val"), ({"val_split": "val"}, "train")):
            other = served(tmp_path, **keys, **more)
            other.set_tasks({"classification": frozenset({"classes"})}, Joint(tasks=("classification",)))
            if split == "train" and isinstance(other.source, Mixture):
                continue  # which offers no split that is made for val
            rows = other.rows(split)
            if split == "val":
                assert rows.tolist() == data.val_rows.tolist(), "what a run validated on is what vjo-eval calls val"
            else:
                assert len(rows) + len(other.val_rows) + len(other.rows("test")) == 40
                assert not set(rows.tolist()) & set(other.val_rows.tolist())
    assert "dataset.source.group=patient_id keeps pictures with one patient_id together" in caplog.text
    assert "flatter" not in caplog.text


def test_lists_that_separate_a_patient_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f"s{k:02}.jpg,{'' if k == 7 else k // 4},{k % 2},{'test' if k in (3, 7) else 'train'}" for k in range(40)]
    write(tmp_path, "\n".join(["image,owner,sick,split", *rows]), *(f"s{k:02}.jpg" for k in range(40)))
    data = served(tmp_path, source=Table(images="pictures", group="owner"))
    data.set_tasks({"classification": frozenset({"classes"})}, Joint(tasks=("classification",)))
    data.setup("fit")
    assert "1 groups of images, such as '0', are both in train and in test" in caplog.text
    with pytest.raises(DataError, match="found no column 'onwer'; its columns are image, owner, sick, split"):
        Table(images="pictures", group="onwer").class_names(tmp_path)


def test_numbers_alone_need_no_labels(tmp_path: Path) -> None:
    write(tmp_path, "image,age\na.jpg,7.5\nb.jpg,\nc.jpg,9\n")
    source, _, index = load(tmp_path, numbers=["age"])
    assert source.class_names(tmp_path) == ["age"]
    assert not index.labelled["classes"].any()
    assert index.labelled["numbers"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"numbers": ["height"]}, r"no column 'height'; its columns are image, cat, age; see dataset\.source\.numbers"),
        ({"numbers": ["cat"], "labels": ["cat"]}, r"found 'cat' among the classes and the numbers"),
        ({"numbers": ["age"]}, r"line 3: found '7 years' for age; must be a number, or blank"),
    ],
)
def test_numbers_that_are_none(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    write(tmp_path, "image,cat,age\na.jpg,1,inf\nb.jpg,0,7 years\n", "a.jpg", "b.jpg")
    with pytest.raises(DataError, match=message):  # noqa: PT012
        faults = load(tmp_path, **keys)[2].faults.tolist()
        assert "found 'inf' for age" in faults[0]
        raise DataError(faults[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,cat\na.jpg,1\nb.jpg,2\n", r"line 3: found '2' for cat; must be 0, 1, -1 or blank"),
        ("image,cat\na.jpg,1\na.jpg,0\n", r"line 3: 'a\.jpg' stands in line 2 too"),
        ("image,cat\nz.jpg,1\nb.jpg,1\n", r"z\.jpg: the file is missing"),
    ],
)
def test_a_wrong_row_is_the_fault_of_its_picture(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text)
    _, _, index = load(tmp_path, labels=["cat"])
    with pytest.raises(DataError, match=message):
        raise DataError(str(index.faults[0]))
    assert len(index.faulty) == 1


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        ("what,cat\na.jpg,1\n", {}, "no column of the path; its columns are what, cat; see dataset.source.path"),
        ("image,cat\na.jpg,1\n", {"labels": ["dog"]}, "no column 'dog'; its columns are image, cat"),
        ("image,age\na.jpg,30\n", {}, "no column of the label; its columns are image, age"),
        ("image,cat\n", {}, "found no rows below its first line"),
    ],
)
def test_a_table_that_lacks_something_is_named(tmp_path: Path, text: str, keys: dict[str, Any], message: str) -> None:
    write(tmp_path, text)
    with pytest.raises(DataError, match=message):
        load(tmp_path, **keys)
    with pytest.raises(DataError, match=r"found no .*other\.csv; must be a CSV"):
        Table(file="other.csv").root(tmp_path)


def test_a_parquet_file_says_the_same(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    write(tmp_path, "image,cat,dog,split\nb.jpg,1,0,train\na.jpg,-1,1,train\nc.jpg,,,valid\n")
    columns = {
        "image": ["b.jpg", "a.jpg", "c.jpg"],
        "cat": [1.0, -1.0, None],
        "dog": [False, True, None],
        "split": ["train", "train", "valid"],
    }
    parquet.write_table(arrow.table(columns), tmp_path / "labels.parquet")
    written, read = load(tmp_path), load(tmp_path, file="labels.parquet")
    assert read[1] == written[1]
    assert read[0].splits(tmp_path) == written[0].splits(tmp_path)
    lists = {"path": columns["image"], "tags": [["cat", "dog"], ["dog"], []]}
    parquet.write_table(arrow.table(lists), tmp_path / "lists.parquet")
    assert load(tmp_path, file="lists.parquet")[1] == {"a.jpg": [-1, 1], "b.jpg": [1, 1], "c.jpg": [0, 0]}
    parquet.write_table(arrow.table({"path": ["a.jpg", "a.jpg"], "cat": [1, 0]}), tmp_path / "twice.parquet")
    assert "row 2: 'a.jpg' stands in row 1 too" in load(tmp_path, file="twice.parquet")[2].faults[0]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match=r"broken\.parquet: cannot be read .*; must be a Parquet file"):
        load(tmp_path, file="broken.parquet")


def test_several_rows_of_a_picture_are_put_together(tmp_path: Path) -> None:
    """Three readers of a radiograph, of whom two may agree; and a row for each name of a picture."""
    rows = ["a.jpg,1,0,,10", "a.jpg,1,1,0,", "a.jpg,0,,1,20", "b.jpg,0,1,,", "c.jpg,,,,"]
    write(tmp_path, "image,cat,dog,bird,age\n" + "\n".join(rows) + "\n")
    keys: dict[str, Any] = {"labels": ["cat", "dog", "bird"], "numbers": ["age"]}
    fault = load(tmp_path, **keys)[2].faults[0]
    assert "'a.jpg' stands in line 2 too; must be there once, or dataset.source.repeated must be any or vote" in fault
    faulty = load(tmp_path, **keys)[2]
    assert faulty.rows(["a.jpg"])[0] in faulty.faulty, "the first row is not taken in silence"
    source, flags, index = load(tmp_path, repeated="vote", **keys)
    assert {name: own[:3] for name, own in flags.items()} == {
        "a.jpg": [1, 0, 0],
        "b.jpg": [-1, 1, 0],
        "c.jpg": [0, 0, 0],
    }
    assert not len(index.faults)
    assert source.read(tmp_path, index, 0, "numbers")[3] == 15
    assert load(tmp_path, repeated="any", **keys)[1]["a.jpg"][:3] == [1, 1, 1]
    write(tmp_path, "image,label\na.jpg,cat\na.jpg,dog\nb.jpg,dog\nc.jpg,\n")
    assert load(tmp_path, repeated="any")[1] == {"a.jpg": [1, 1], "b.jpg": [-1, 1], "c.jpg": [0, 0]}
    write(tmp_path, "image,cat,split\na.jpg,1,train\na.jpg,1,val\nb.jpg,0,train\nc.jpg,0,val\n")
    fault = load(tmp_path, repeated="vote")[2].faults[0]
    assert "'a.jpg': found the splits train and val; must be of one" in fault


def test_a_name_that_no_disk_can_hold_is_told_and_guess_passes_over_it(tmp_path: Path) -> None:
    write(tmp_path, f"file,cat\na.jpg,1\n{'1' * 5000},0\n", "a.jpg")
    _, flags, index = load(tmp_path)
    assert flags["a.jpg"] == [1]
    assert len(index.faults) == 1
    assert guesses(tmp_path)


def test_a_table_for_each_split(tmp_path: Path) -> None:
    write(tmp_path, "", "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "train.csv").write_text("path,label\na.jpg,cat\nb.jpg,dog\n")
    (tmp_path / "validation.csv").write_text("path,label\nc.jpg,cat\n")
    for file in ("{split}.csv", "*n.csv"):
        source, flags, _ = load(tmp_path, file=file)
        assert source.split(tmp_path, "val") == ["c.jpg"]
        assert source.split(tmp_path, "train") == ["a.jpg", "b.jpg"]
        assert flags == {"a.jpg": [1, -1], "b.jpg": [-1, 1], "c.jpg": [1, -1]}, "what is not named is not there"
    (tmp_path / "train.csv").write_text("path,cat,dog\na.jpg,1,0\nb.jpg,0,1\n")
    (tmp_path / "validation.csv").write_text("path,cat\nc.jpg,1\n")
    assert load(tmp_path, file="{split}.csv")[1]["c.jpg"] == [1, 0], "a class without a column is unknown"
    (tmp_path / "validation.csv").write_text("path,cat\na.jpg,1\n")
    with pytest.raises(DataError, match=r"validation\.csv: 'a\.jpg' stands in train\.csv too"):
        load(tmp_path, file="{split}.csv")
    (tmp_path / "more.csv").write_text("path,cat\nd.jpg,1\n")
    (tmp_path / "validation.csv").unlink()
    with pytest.raises(DataError, match=r"more\.csv says no split, others do"):
        load(tmp_path, file="*r*.csv")
    with pytest.raises(DataError, match=r"found no .*x_\*\.csv; must be a CSV"):
        load(tmp_path, file="x_*.csv")
