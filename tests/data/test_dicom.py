"""Pictures in DICOM files: how bright they are, what is refused, and that nobody hears of the patient."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.dicom_files import DEFLATED, IMPLICIT, PLAIN, RLE, SECRET, item, write
from tests.data.test_picture_kinds import evaluated
from vjo_train.data import opening
from vjo_train.data.decode import check_image, read_image, read_size, read_values
from vjo_train.data.deep_pictures import told
from vjo_train.errors import DataError
from vjo_train.inference.sources import find_sources

pydicom = pytest.importorskip("pydicom")

SYNTAXES = {"explicit": PLAIN, "implicit": IMPLICIT, "deflated": DEFLATED, "RLE": RLE}
RAMP = np.array([[0, 100, 200, 300], [400, 500, 600, 1000]], np.uint16)


def compressed(path: Path, syntax: str, content: bytes) -> Path:
    """The file with other pixels, which are encoded already."""
    from pydicom.encaps import encapsulate

    found = pydicom.dcmread(path)
    found.file_meta.TransferSyntaxUID = syntax
    found.PixelData = encapsulate([content])
    found["PixelData"].is_undefined_length = True
    found.save_as(path)
    return path


def grey(path: Path, span: tuple[float, float] | None = None) -> list[int]:
    red, green, blue = read_image(path, span=span)
    assert red.equal(green)
    assert red.equal(blue)
    return [int(value) for value in red.flatten()]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_window(tmp_path: Path, syntax: str) -> None:
    """Part 3, C.11.2.1.2: ((x - (c - 0.5)) / (w - 1) + 0.5) * 255, here (x - 100) / 200 * 255."""
    path = write(tmp_path / "a.dcm", RAMP, SYNTAXES[syntax], WindowCenter=200.5, WindowWidth=201)
    assert read_size(path) == (2, 4)
    check_image(path, (2, 4))
    assert grey(path) == [0, 0, 128, 255, 255, 255, 255, 255]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({}, [0, 26, 51, 77, 102, 128, 153, 255]),  # least to greatest: x / 1000
        ({"PhotometricInterpretation": "MONOCHROME1"}, [255, 229, 204, 178, 153, 127, 102, 0]),
        ({"WindowCenter": [200.5, 1], "WindowWidth": [201, 2]}, [0, 0, 128, 255, 255, 255, 255, 255]),  # the first
        ({"WindowCenter": 200, "WindowWidth": 0}, [0, 26, 51, 77, 102, 128, 153, 255]),  # of no width: none
        ({"WindowCenter": 201, "WindowWidth": 1}, [0, 0, 0, 255, 255, 255, 255, 255]),  # white from 200.5 on
        # (x - 200) / 400 + 0.5
        ({"WindowCenter": 200, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"}, [0, 64, 128, 191, *[255] * 4]),
        # 1 / (1 + exp(-4 (x - 200) / 400))
        (
            {"WindowCenter": 200, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
            [30, 69, 128, 186, 225, 243, 250, 255],
        ),
        # 2 x - 1000, of which 0..1000 is shown
        (
            {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 500.5, "WindowWidth": 1001},
            [0, 0, 0, 0, 0, 0, 51, 255],
        ),
        ({"RescaleSlope": -1, "RescaleIntercept": 0}, [255, 230, 204, 179, 153, 128, 102, 0]),
    ],
)
def test_what_is_black_and_white(tmp_path: Path, header: dict[str, Any], expected: list[int]) -> None:
    assert grey(write(tmp_path / "a.dcm", RAMP, **header)) == pytest.approx(expected, abs=0)


def test_a_range_takes_the_place_of_windows(tmp_path: Path) -> None:
    header = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 50, "WindowWidth": 10}
    expected = [0, 0, 0, 0, 0, 0, 102, 255]  # (2 x - 1000) / 500
    path = write(tmp_path / "a.dcm", RAMP, **header)
    assert grey(path, (0, 500)) == expected
    assert "a.dcm: 0 is black and 500 is white." in told(path, (0, 500))
    assert "each file's window says what is black and white" in told(path, None)
    inverted = write(tmp_path / "b.dcm", RAMP, PhotometricInterpretation="MONOCHROME1", **header)
    assert grey(inverted, (0, 500)) == [255 - value for value in expected]


def test_eight_bits_are_as_they_are(tmp_path: Path) -> None:
    values = np.array([[10, 20], [30, 250]], np.uint8)
    assert grey(write(tmp_path / "a.dcm", values)) == [10, 20, 30, 250]
    assert grey(write(tmp_path / "b.dcm", values, RLE)) == [10, 20, 30, 250]
    assert grey(write(tmp_path / "c.dcm", values.astype(np.uint16), BitsStored=8)) == [10, 20, 30, 250]
    assert grey(write(tmp_path / "d.dcm", values, WindowCenter=128, WindowWidth=256)) == [10, 20, 30, 250]


def test_signed_values_beyond_half_of_their_range(tmp_path: Path) -> None:
    values = np.arange(-20_000, 32_000, 2, dtype=np.int16).reshape(130, 200).repeat(2, axis=1)
    found = np.array(grey(write(tmp_path / "a.dcm", values)))
    expected = (values.astype(float).ravel() + 20_000) / 51_998 * 255
    assert abs(found - expected).max() <= 0.51


@given(st.lists(st.integers(-3000, 3000), min_size=4, max_size=4), st.integers(-1000, 1000), st.integers(2, 3000))
def test_many_pixels_are_as_bright_as_few(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], centre: int, width: int
) -> None:
    folder, small = tmp_path_factory.mktemp("dicom"), np.array([values], np.int16)
    header = {"WindowCenter": centre, "WindowWidth": width, "RescaleSlope": 0.5, "RescaleIntercept": 7}
    few = grey(write(folder / "a.dcm", small, **header))
    many = grey(write(folder / "b.dcm", small.repeat(2000, axis=0), **header))
    assert many == few * 2000
    expected = ((np.array(values) * 0.5 + 7 - (centre - 0.5)) / (width - 1) + 0.5).clip(0, 1) * 255
    assert abs(np.array(few) - expected).max() <= 0.51


@pytest.mark.parametrize("syntax", [PLAIN, IMPLICIT])
def test_tables(tmp_path: Path, syntax: str) -> None:
    """A table of 12 bits for what is of interest goes before a window; one that rescales comes before both."""
    steps = np.minimum(np.arange(500) * 16, 4095)
    table = item(LUTDescriptor=[500, 100, 12], LUTData=steps)
    path = write(tmp_path / "a.dcm", RAMP, syntax, VOILUTSequence=table, WindowCenter=1, WindowWidth=2)
    expected = [round(min(max(value - 100, 0) * 16, 4095) / 4095 * 255) for value in RAMP.ravel().tolist()]
    assert grey(path) == expected
    rescaling = item(LUTDescriptor=[1001, 0, 16], LUTData=np.arange(1001) // 2)
    path = write(tmp_path / "b.dcm", RAMP, syntax, ModalityLUTSequence=rescaling)
    assert grey(path, (0, 500)) == [0, 26, 51, 77, 102, 128, 153, 255]


def test_what_the_groups_of_a_single_frame_say(tmp_path: Path) -> None:
    rescaling = item(RescaleSlope=2, RescaleIntercept=-1000)
    window = item(WindowCenter=500.5, WindowWidth=1001)
    shared = item(PixelValueTransformationSequence=rescaling)
    own = item(FrameVOILUTSequence=window)
    groups = {"SharedFunctionalGroupsSequence": shared, "PerFrameFunctionalGroupsSequence": own}
    path = write(tmp_path / "a.dcm", RAMP, NumberOfFrames=1, **groups)
    assert grey(path) == [0, 0, 0, 0, 0, 0, 51, 255]


def test_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    planes = colours.transpose(2, 0, 1)
    stored = {
        "pixel by pixel": write(tmp_path / "a.dcm", colours),
        "compressed": write(tmp_path / "b.dcm", colours, RLE),
        "plane by plane": write(tmp_path / "c.dcm", colours, PlanarConfiguration=1, PixelData=planes.tobytes()),
    }
    for how, path in stored.items():
        assert np.array_equal(read_image(path), planes), how
    red = np.array([[[76, 85, 255]] * 2], np.uint8)  # luminance, blue and red differences of pure red
    path = write(tmp_path / "d.dcm", red, PhotometricInterpretation="YBR_FULL")
    assert abs(read_image(path)[:, 0, 0].numpy().astype(int) - [255, 0, 0]).max() <= 2
    assert told(path, None) == ""


@pytest.mark.parametrize(
    ("kind", "syntax"), [("JPEG", "1.2.840.10008.1.2.4.50"), ("JPEG2000", "1.2.840.10008.1.2.4.90")]
)
def test_compressed_by_jpeg(tmp_path: Path, kind: str, syntax: str) -> None:
    """As RSNA's and SIIM-ACR's pictures are."""
    values = np.arange(0, 256, 2, dtype=np.uint8).reshape(8, 16)
    encoded = BytesIO()
    Image.fromarray(values).save(encoded, kind, **({"quality": 95} if kind == "JPEG" else {"no_jp2": True}))
    path = compressed(write(tmp_path / "a.dcm", values), syntax, encoded.getvalue())
    assert abs(np.array(grey(path)) - values.ravel().astype(int)).max() <= (4 if kind == "JPEG" else 0)
    assert read_size(path) == (8, 16)


def test_a_palette(tmp_path: Path) -> None:
    palette = {}
    for name, values in {"Red": (0, 255, 10), "Green": (0, 128, 20), "Blue": (255, 0, 30)}.items():
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = (np.array(values, "<u2") * 257).tobytes()
    numbers = np.array([[0, 1, 2, 7]], np.uint8)
    path = write(tmp_path / "a.dcm", numbers, PhotometricInterpretation="PALETTE COLOR", **palette)
    assert read_image(path).tolist() == [[[0, 255, 10, 10]], [[0, 128, 20, 20]], [[255, 0, 30, 30]]]


def test_a_mask_is_none(tmp_path: Path) -> None:
    """Its numbers would be stretched from black to white."""
    with pytest.raises(DataError, match=r"a\.dcm: is a DICOM file, .*; a mask must be a PNG"):
        read_values(write(tmp_path / "a.dcm", RAMP), (2, 4))


def without(path: Path, *keywords: str) -> Path:
    found = pydicom.dcmread(path)
    for keyword in keywords:
        del found[keyword]
    found.save_as(path)
    return path


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", RAMP, NumberOfFrames=30)
    with pytest.raises(DataError, match=r"a\.dcm: found 30 frames; must be one: save those that are meant"):
        read_size(path)
    report = without(write(tmp_path / "b.dcm", RAMP, Modality="SR"), "Rows", "Columns", "PixelData")
    with pytest.raises(DataError, match=r"b\.dcm: holds no picture, as reports"):
        read_size(report)
    with pytest.raises(DataError, match=r"c\.dcm: damaged or not read \(it has no pixels\)"):
        check_image(without(write(tmp_path / "c.dcm", RAMP), "PixelData"), (2, 4))
    with pytest.raises(DataError, match="found a window of the kind CUBIC; must be LINEAR, LINEAR_EXACT or SIGMOID"):
        read_image(write(tmp_path / "d.dcm", RAMP, WindowCenter=2, WindowWidth=2, VOILUTFunction="CUBIC"))
    with pytest.raises(DataError, match="found 4 x 2 pixels; its annotation says 2 x 4"):
        read_image(write(tmp_path / "e.dcm", RAMP), size=(4, 2))


@pytest.mark.parametrize(
    ("syntax", "said"),
    [
        ("1.2.840.10008.1.2.4.70", r"compressed as JPEG Lossless.*; to read it, install .*pylibjpeg-libjpeg"),
        ("1.2.840.10008.1.2.4.100", r"damaged or not read \(No pixel data decoders .* 'MPEG2"),
    ],
)
def test_further_decoders_are_named(tmp_path: Path, syntax: str, said: str) -> None:
    from pydicom.pixels import get_decoder

    path = compressed(write(tmp_path / "a.dcm", RAMP), syntax, b"1234")
    if "Lossless" in said and get_decoder(syntax).is_available:
        pytest.skip("the decoder is there")
    for read in (read_image, lambda path: check_image(path, (2, 4))):
        with pytest.raises(DataError, match=said) as error:
            read(path)
        assert "\n" not in str(error.value)
    assert read_size(path) == (2, 4)


@given(st.data())
def test_truncated_and_broken_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = write(tmp_path_factory.mktemp("dicom") / "a.dcm", RAMP, data.draw(st.sampled_from([PLAIN, RLE])))
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 12))
    path.write_bytes(whole[:cut])
    with pytest.raises(DataError, match=r"a\.dcm: (damaged|holds no picture)") as error:
        read_image(path)
    assert len(str(error.value)) < 300 + len(str(path))
    broken = bytearray(whole)
    for _ in range(5):
        broken[data.draw(st.integers(132, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(broken))
    with suppress(DataError):
        assert read_image(path).shape[0] == 3


def test_nothing_of_the_patient_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.dcm", RAMP, WindowCenter=2, WindowWidth=2)
    found = pydicom.dcmread(path)
    found.PatientBirthDate, found.PatientAge = "19000101", "Jane"  # no age
    found.save_as(path)
    caplog.clear()
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        read_image(path)
    said = caplog.text + "".join(str(one.message) for one in warned)
    assert not any(word in said for word in (SECRET, "Jane", "19000101"))


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    """Many archives give no ending, or a number for one."""
    for name in ("IM0001", "1.2.840.113619.2.55"):
        assert grey(write(tmp_path / name, RAMP)) == [0, 26, 51, 77, 102, 128, 153, 255]
    (tmp_path / "x.dcm").write_bytes(b"x" * 200)
    with pytest.raises(DataError, match=r"x\.dcm: damaged or no picture"):
        read_image(tmp_path / "x.dcm")
    write(tmp_path / "y.DICOM", RAMP)
    assert [source.path.name for source in find_sources(str(tmp_path))] == ["x.dcm", "y.DICOM"]


def test_without_pydicom_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "train/a/x.dcm", RAMP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    opening.plugins.cache_clear()
    with pytest.raises(DataError, match=r"x\.dcm: DICOM pictures need pydicom: pip install 'vjo-train\[dicom\]'"):
        evaluated(tmp_path, 64)
    monkeypatch.undo()
    opening.plugins.cache_clear()
    assert evaluated(tmp_path, 64).float().std() > 20, "what was wrong without it is looked at again"
