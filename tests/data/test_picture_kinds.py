"""Pictures of every kind: the same pixels in training, evaluation and prediction, as bright as they are meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.data import dicom_files
from vjo_train.data.datamodule import DataModule
from vjo_train.data.deep_pictures import as_span
from vjo_train.data.sources.folders import Folders
from vjo_train.data.sources.voc.source import VOC
from vjo_train.data.transforms import Augment
from vjo_train.errors import ConfigError, DataError
from vjo_train.inference.inputs import Files
from vjo_train.schedules.joint import Joint

HEIGHT, WIDTH = 36, 48
GREY = np.repeat(np.linspace(40, 200, WIDTH)[None], HEIGHT, 0)
"""What all of them show, in 0..255."""


def pillow(mode: str, **options: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(GREY.astype(np.uint8)).convert("RGB").convert(mode).save(path, **options)


def turned(path: Path) -> None:
    """Stored with the left side up."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(GREY.astype(np.uint8))).convert("RGB").save(path, exif=exif, quality=95)


def deep(values: Any, colours: int = 0) -> Callable[[Path], None]:
    return lambda path: cv2.imwrite(str(path), np.repeat(values[..., None], colours, 2) if colours else values)


def dicom(values: Any, **header: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pytest.importorskip("pydicom")
        dicom_files.write(path, values, **header)

    return write


WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096, "BitsStored": 12}
KINDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "JPEG": ("jpg", pillow("RGB", quality=95)),
    "grey JPEG": ("JPEG", pillow("L", quality=95)),
    "CMYK JPEG": ("jpg", pillow("CMYK", quality=95)),
    "turned JPEG": ("jpg", turned),
    "RGBA PNG": ("png", pillow("RGBA")),
    "palette PNG": ("png", lambda path: Image.fromarray(GREY.astype(np.uint8)).convert("P").save(path)),
    "grey and alpha PNG": ("png", pillow("LA")),
    "WebP": ("webp", pillow("RGB", quality=95)),
    "TIFF": ("tif", pillow("RGB")),
    "BMP": ("bmp", pillow("RGB")),
    "AVIF": ("avif", pillow("RGB", quality=95)),
    "HEIC": ("heic", pillow("RGB", quality=95)),
    "12 bits in a PNG": ("png", deep((GREY * 16).astype(np.uint16))),
    "16 bits in a TIFF": ("tiff", deep((GREY * 257).astype(np.uint16))),
    "12 bits in an RGB PNG": ("png", deep((GREY * 16).astype(np.uint16), 3)),
    "10 bits in an RGBA PNG": ("png", deep((GREY * 4).astype(np.uint16), 4)),
    "16 bits in an RGB TIFF": ("tif", deep((GREY * 257).astype(np.uint16), 3)),
    "floats up to 1 in a TIFF": ("tif", deep((GREY / 255).astype(np.float32))),
    "DICOM": ("dcm", dicom(GREY.astype(np.uint8))),
    "12 bits in DICOM": ("dicom", dicom((GREY * 16).astype(np.uint16), **WINDOW)),
    "DICOM whose least value is white": (
        "dcm",
        dicom(255 - GREY.astype(np.uint8), PhotometricInterpretation="MONOCHROME1"),
    ),
}


def evaluated(root: Path, side: int, span: tuple[float, float] | None = None) -> Tensor:
    """The only picture of a data set of folders, as training and evaluation lay it on the canvas."""
    data = DataModule(
        root=str(root), classes=["a"], split="train", val_split=None, val_fraction=0, test_split="train",
        size=side, batch_size=1, eval_batch_size=1, workers=0, labelled_per_batch=1, cache_dir=str(root / "cache"),
        augment=Augment(zoom_out=0, crop=0, flip=0, jitter=0), source=Folders(), range=span,
    )  # fmt: skip
    data.set_tasks({"category": frozenset({"category"})}, Joint(tasks=("category",)))
    data.setup("fit")
    (batch,), (trained,) = data.test_dataloader(), data.train_dataloader()
    assert torch.equal(batch.images, trained.images)
    return batch.images


@pytest.mark.parametrize("side", [16, 64])  # reduced while it is decoded, and whole
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_pixels_everywhere(tmp_path: Path, kind: str, side: int) -> None:
    extension, write = KINDS[kind]
    if kind == "HEIC":
        pytest.importorskip("pillow_heif").register_heif_opener()
    path = tmp_path / f"train/a/x.{extension}"
    path.parent.mkdir(parents=True)
    write(path)
    seen = evaluated(tmp_path, side)
    loaded = Files([path], canvas=(side, side), tasks=["category"])[[0]]
    assert not loaded.unreadable
    assert torch.equal(loaded.batch.images, seen)
    assert loaded.batch.originals[0].size == (HEIGHT, WIDTH)
    (picture,) = loaded.pictures
    assert (picture.double() - torch.from_numpy(GREY)).abs().mean() < 4


def test_a_range_says_what_is_black_and_white(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "train/a/x.png"
    path.parent.mkdir(parents=True)
    deep((GREY + 1000).astype(np.uint16))(path)
    with caplog.at_level("INFO", logger="vjo_train"):
        evaluated(tmp_path, 64)
    assert "16 bits a colour, such as" in caplog.text
    assert "x.png: each file's greatest value says how many of them it uses" in caplog.text
    seen = evaluated(tmp_path, 64, (1000, 1255))
    loaded = Files([path], canvas=(64, 64), tasks=["category"], span=(1000, 1255))[[0]]
    assert torch.equal(loaded.batch.images, seen)
    assert (loaded.pictures[0].double() - torch.from_numpy(GREY)).abs().max() <= 1
    with pytest.raises(ConfigError, match=r"dataset\.range: found \[9, 3\]; the first must be below the second"):
        as_span((9, 3))


def test_values_that_only_a_range_explains(tmp_path: Path) -> None:
    path = tmp_path / "train/a/x.tif"
    path.parent.mkdir(parents=True)
    Image.fromarray((GREY - 100).astype(np.int32)).save(path)
    with pytest.raises(DataError, match=r"x\.tif: found a picture with values from -60 to 100; dataset\.range="):
        evaluated(tmp_path, 64)
    assert evaluated(tmp_path, 64, (-100, 155)).float().std() > 20


def test_annotations_of_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    """Where the size of the XML file fits the upright picture alone, its boxes do too."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    turned(tmp_path / "JPEGImages/x.jpg")
    box = "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>"
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    text = f"<annotation>{size}<object><name>a</name>{box}</object></annotation>"
    (tmp_path / "Annotations/x.xml").write_text(text)
    (tmp_path / "ImageSets/Main/train.txt").write_text("x")
    data = DataModule(
        root=str(tmp_path), classes=["a"], split="train", val_split=None, val_fraction=0, test_split="train",
        size=64, batch_size=1, eval_batch_size=1, workers=0, labelled_per_batch=1, cache_dir=str(tmp_path / "cache"),
        augment=Augment(zoom_out=0, crop=0, flip=0, jitter=0), source=VOC(),
    )  # fmt: skip
    data.set_tasks({"detection": frozenset({"boxes"})}, Joint(tasks=("detection",)))
    data.setup("fit")
    (batch,) = data.test_dataloader()
    assert batch.targets[0].size == (48, 64)
    assert torch.equal(
        batch.images, Files([tmp_path / "JPEGImages/x.jpg"], canvas=(64, 64), tasks=[])[[0]].batch.images
    )
