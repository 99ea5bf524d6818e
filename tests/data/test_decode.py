from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from vjo_train.data.decode import check_image, read_image, read_mask, reduction
from vjo_train.data.orientation import orientation, upright
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
    assert image.permute(1, 2, 0).is_contiguous()
    if mode != "1":
        assert (image.int() - torch.from_numpy(grey.astype(int))).abs().max() <= 4


def photo(height, width, seed=0):
    """Smooth, as photographs are, with some noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((pixels + rng.integers(-6, 7, pixels.shape)).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 20}]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_decoded_to_pillows_bits(tmp_path, mode, options):
    path = tmp_path / "x.jpg"
    photo(75, 101).convert(mode).save(path, **options)
    with Image.open(path) as image:
        expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    assert torch.equal(read_image(path), expected)


def test_real_jpegs_are_decoded_to_pillows_bits(shared):
    for path in sorted((shared / "VOCdevkit/VOC2007/JPEGImages").glob("*.jpg"))[:20]:
        with Image.open(path) as image:
            expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        assert torch.equal(read_image(path), expected)


def test_what_turbo_finds_odd_pillow_may_still_read(tmp_path):
    """Bytes between two segments: libjpeg warns, and goes on."""
    path = tmp_path / "x.jpg"
    photo(40, 60).save(path)
    expected, content = read_image(path), path.read_bytes()
    place = content.index(b"\xff\xdb")
    path.write_bytes(content[:place] + b"\x00\x00" + content[place:])
    assert torch.equal(read_image(path), expected)


@pytest.mark.parametrize(("longest", "factor"), [(127, 1), (128, 2), (255, 2), (256, 4), (511, 4), (512, 8), (9999, 8)])
def test_the_longest_side_stays_twice_what_is_asked_for(longest, factor):
    assert reduction((20, longest), (32, 32)) == reduction((longest, 20), (32, 32)) == factor


@pytest.mark.parametrize(("mode", "kind"), [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG")])
@pytest.mark.parametrize(("side", "factor"), [(100, 2), (50, 4), (25, 8)])
def test_a_reduced_pixel_is_the_mean_of_those_it_stands_for(tmp_path, mode, side, factor, kind):
    path = tmp_path / "x.jpg"
    photo(301, 403).convert(mode).save(path, format=kind, **({"quality": 95} if kind == "JPEG" else {}))
    whole, found = read_image(path), read_image(path, (side, side))
    assert found.shape == (3, -(-301 // factor), -(-403 // factor))
    means = torch.nn.functional.avg_pool2d(whole.float(), factor)
    off = (found[:, : means.shape[1], : means.shape[2]] - means).abs()
    assert off.max() <= 8  # the colours of a JPEG are coarser than its light
    assert off.mean() <= 1


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


@pytest.mark.parametrize("size", [(1, 1), (7, 40), (40, 3)])
def test_a_jpeg_of_a_few_pixels_is_looked_into(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "few.jpg"
    Image.new("RGB", size, (9, 9, 9)).save(path)
    check_image(path, (size[1], size[0]))


def test_masks(devkit):
    indices = np.zeros((30, 40))
    indices[3, 4], indices[5] = 2, 255
    path = devkit.mask("SegmentationClass", "a", indices)
    assert torch.equal(read_mask(path, (30, 40), 2, "classes"), torch.from_numpy(indices.astype(np.uint8)))
    with pytest.raises(DataError, match=r"a\.png: found a mask of 40 x 30 pixels; the image has 30 x 40"):
        read_mask(path, (40, 30), 2, "classes")
    with pytest.raises(DataError, match=r"found the index 2; allowed are 0\.\.1 \(classes\) and 255"):
        read_mask(path, (30, 40), 1, "classes")
    Image.new("RGB", (40, 30), (1, 1, 1)).save(path)
    assert (read_mask(path, (30, 40), 2, "classes") == 1).all(), "three equal colours are a grey"
    Image.new("RGB", (40, 30), (1, 1, 0)).save(path)
    with pytest.raises(DataError, match=r"mask of mode RGB; must be an 8-bit palette"):
        read_mask(path, (30, 40), 2, "classes")


@pytest.mark.parametrize("turn", range(1, 9))
def test_upright_is_how_viewers_show_it(tmp_path: Path, turn: int) -> None:
    """Pillow's own transposition is the second implementation."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    assert orientation(path) == turn
    stored = read_image(path)
    np.testing.assert_array_equal(upright(stored, turn).permute(1, 2, 0), wanted)
    np.testing.assert_array_equal(stored.permute(1, 2, 0), pixels)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_means_nothing_turns_nothing(tmp_path: Path, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    Image.new("RGB", (7, 5)).save(tmp_path / "x.jpg", exif=exif)
    assert orientation(tmp_path / "x.jpg") == 1


def test_broken_exif_data_spoil_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.new("RGB", (7, 5)).save(path, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert orientation(path) == 1
    assert read_image(path).shape == (3, 5, 7)
