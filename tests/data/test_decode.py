from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

from vjo_train.data.decode import check_image, read_image, read_mask
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


def test_a_picture_that_claims_too_many_pixels_is_not_decoded(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.jpg", format="PNG")
    assert (tmp_path / "bomb.jpg").stat().st_size < 100_000
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.jpg", format="PNG")
    with pytest.raises(DataError, match=r"bomb\.jpg: too large .*at most 89478485 pixels are read"):
        read_image(tmp_path / "bomb.jpg")
    with pytest.raises(DataError, match=r"large\.jpg: found 10000 x 10000 pixels; must be at most 89478485"):
        read_image(tmp_path / "large.jpg")


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_an_animation_is_no_picture(tmp_path, kind):
    frames = [Image.new("L", (8, 8), level) for level in (0, 100, 200)]
    frames[0].save(tmp_path / "x.jpg", format=kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"x\.jpg: found 3 frames; must be a still picture"):
        read_image(tmp_path / "x.jpg")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name, message in (("pipe", "no regular file"), ("loop", "symbolic links"), ("folder", "no regular file")):
        with pytest.raises(DataError, match=rf"{name}\.jpg: .*{message}"):
            read_image(tmp_path / f"{name}.jpg")


def test_the_quick_check_finds_what_reading_finds(tmp_path):
    """Cut at every length: both refuse the file, or both take it."""
    path = tmp_path / "x.jpg"
    for options in ({}, {"progressive": True}, {"optimize": True}):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)).save(path, **options)
        whole = path.read_bytes()
        for length in range(0, len(whole) + 1, 7):
            path.write_bytes(whole[:length])
            assert fails(read_image, path) == fails(check_image, path, (24, 40)), length
        path.write_bytes(whole)
        with pytest.raises(DataError, match=r"found 40 x 24 pixels; its annotation says 24 x 40"):
            check_image(path, (40, 24))


def fails(function, *arguments) -> bool:
    try:
        function(*arguments)
    except DataError:
        return True
    return False


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
