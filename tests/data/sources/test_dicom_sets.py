"""Public sets of DICOM pictures: RSNA's pneumonia challenge and VinDr-CXR, found by a guess and read where they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.dicom_files import write
from vjo_train.data.index import Index
from vjo_train.data.sources.guess.folders import guesses
from vjo_train.data.sources.objects.box_table import BoxTable
from vjo_train.data.sources.opened import load_index

pytest.importorskip("pydicom")


def index(root: Path, classes: list[str]) -> Index:
    source = BoxTable()
    return load_index(source, source.root(root), classes, root / "cache")


def picture(path: Path, size: tuple[int, int] = (20, 30)) -> None:
    write(path, np.arange(size[0] * size[1], dtype=np.uint16).reshape(size), WindowCenter=200, WindowWidth=300)


def test_rsna(tmp_path: Path) -> None:
    for k in range(4):
        picture(tmp_path / f"stage_2_train_images/p{k}.dcm")
        picture(tmp_path / f"stage_2_test_images/t{k}.dcm")
    boxes = ["p0,,,,,0", "p1,2.0,3.0,10.0,8.0,1", "p1,15.0,3.0,10.0,8.0,1", "p2,,,,,0", "p3,1.0,1.0,5.0,5.0,1"]
    (tmp_path / "stage_2_train_labels.csv").write_text("\n".join(["patientId,x,y,width,height,Target", *boxes]))
    kinds = [f"p{k},{'Normal' if k % 2 == 0 else 'Lung Opacity'}" for k in range(4)]
    (tmp_path / "stage_2_detailed_class_info.csv").write_text("\n".join(["patientId,class", *kinds]))
    answers = [f"t{k},0.5 0 0 100 100" for k in range(4)]
    (tmp_path / "stage_2_sample_submission.csv").write_text("\n".join(["patientId,PredictionString", *answers]))

    boxed, named = guesses(tmp_path)
    assert (boxed.choice, boxed.keys) == ("box_table", ("dataset.classes=[NAME]",))
    assert named.choice == "table"
    assert named.keys == (
        "dataset.source.file=stage_2_detailed_class_info.csv",
        "dataset.source.images=stage_2_train_images",
    )
    found = index(tmp_path, ["pneumonia"])
    assert found.images.tolist() == [f"stage_2_train_images/p{k}.dcm" for k in range(4)]
    assert found.sizes.tolist() == [[20, 30]] * 4
    assert not len(found.faults)
    assert np.diff(found.offsets).tolist() == [0, 2, 0, 1]
    assert found.objects(1).boxes.tolist() == [[2, 3, 12, 11], [15, 3, 25, 11]]


def test_vindr(tmp_path: Path) -> None:
    """As of PhysioNet: three readers of each picture that is trained on, and `.dicom`."""
    for split, columns in (("train", "image_id,rad_id,"), ("test", "image_id,")):
        rows, labels = [], []
        for k in range(3):
            picture(tmp_path / f"{split}/{split}{k}.dicom")
            for reader in ("R1,", "R2,", "R3,") if split == "train" else ("",):
                finding = "No finding,,,," if k == 0 else "Cardiomegaly,2.5,3.25,12.0,11.0"
                rows.append(f"{split}{k},{reader}{finding}")
                labels.append(f"{split}{k},{reader}{int(k > 0)},{int(k == 0)}")
        place = tmp_path / "annotations"
        place.mkdir(exist_ok=True)
        header = f"{columns}class_name,x_min,y_min,x_max,y_max"
        (place / f"annotations_{split}.csv").write_text("\n".join([header, *rows]))
        (place / f"image_labels_{split}.csv").write_text("\n".join([f"{columns}Cardiomegaly,No finding", *labels]))

    boxed, named = guesses(tmp_path)
    assert (boxed.choice, boxed.keys) == ("box_table", ())
    assert named.keys[0] == "dataset.source.file=annotations/image_labels_train.csv"
    assert BoxTable().class_names(tmp_path) == ["Cardiomegaly"]
    found = index(tmp_path, ["Cardiomegaly"])
    assert found.images.tolist() == [f"{split}/{split}{k}.dicom" for split in ("test", "train") for k in range(3)]
    assert np.diff(found.offsets).tolist() == [0, 1, 1, 0, 3, 3]
    assert found.objects(1).boxes.tolist() == [[2.5, 3.25, 12, 11]]
    assert BoxTable().split(tmp_path, "test") == [f"test/test{k}.dicom" for k in range(3)]


def test_folders_of_dicom_are_classes(tmp_path: Path) -> None:
    for path in ("normal/a.dcm", "normal/b.dcm", "abnormal/c.dcm"):
        picture(tmp_path / path)
    assert [guess.choice for guess in guesses(tmp_path)] == ["folders"]
