from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vjo_train.data.decode import read_image, read_mask
from vjo_train.errors import DataError


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "LA", "1", "I;16"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    grey = np.tile(np.arange(0, 240, 8, dtype=np.uint8), (20, 1))
    path = tmp_path / "x.jpg"
    if mode == "I;16":
        Image.fromarray(grey.astype(np.uint16) * 256 + 3).save(path, format="PNG")
    else:
        picture = Image.fromarray(grey).convert("RGB") if mode == "CMYK" else Image.fromarray(grey)
        picture.convert(mode).save(path, format="JPEG" if mode in ("RGB", "L", "CMYK") else "PNG")
    image = read_image(path)
    assert image.dtype == torch.uint8
    assert image.shape == (3, 20, 30)
    assert image.is_contiguous()
    if mode != "1":
        assert (image.int() - torch.from_numpy(grey.astype(int))).abs().max() <= 4


def test_the_exif_orientation_is_ignored(tmp_path):
    picture = Image.new("RGB", (30, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "x.jpg", exif=exif)
    assert read_image(tmp_path / "x.jpg").shape == (3, 20, 30)


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "x.jpg"
    with pytest.raises(DataError, match=r"x\.jpg: the file is missing"):
        read_image(path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a picture", whole[:30]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.jpg: damaged or no picture"):
            read_image(path)
    Image.new("L", (50, 60), 3).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(content[:45] + b"\x00" + content[46:])
    with pytest.raises(DataError, match=r"x\.png: damaged"):
        read_mask(tmp_path / "x.png", (60, 50), 3, "classes")


def test_masks(devkit):
    indices = np.zeros((30, 40))
    indices[3, 4], indices[5] = 2, 255
    path = devkit.mask("SegmentationClass", "a", indices)
    assert torch.equal(read_mask(path, (30, 40), 2, "classes"), torch.from_numpy(indices.astype(np.uint8)))
    with pytest.raises(DataError, match=r"a\.png: found a mask of 40 x 30 pixels; the image has 30 x 40"):
        read_mask(path, (40, 30), 2, "classes")
    with pytest.raises(DataError, match=r"found the index 2; allowed are 0\.\.1 \(classes\) and 255"):
        read_mask(path, (30, 40), 1, "classes")
    Image.new("RGB", (40, 30)).save(path)
    with pytest.raises(DataError, match=r"mask of mode RGB; must be an 8-bit palette"):
        read_mask(path, (30, 40), 2, "classes")
