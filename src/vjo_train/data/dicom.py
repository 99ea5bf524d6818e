"""Pictures in DICOM files, as a format of Pillow's: opening one reads its header, decoding it the pixels.

The standard: https://www.dicomstandard.org/current. Of a header only what describes the pixels is read: nothing of the
patient is, or gets into a message.
"""

from __future__ import annotations

import logging
import re
import warnings
from itertools import product
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from vjo_train.data.dicom_grey import Span, as_grey
from vjo_train.errors import DataError

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_IN_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_CHANNELS = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
_READ = [
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *(f"{palette}{what}" for palette in _CHANNELS for what in ("Descriptor", "Data")),
    *(f"Segmented{palette}Data" for palette in _CHANNELS),
    *_GROUPS,
]
"""What is read of a header."""
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_PREAMBLE, _MAGIC = 128, b"DICM"
warnings.filterwarnings("ignore", module=r"pydicom\.")  # they quote values, as its log does


class DicomPicture(ImageFile.ImageFile):
    """One picture of 8 bits a colour: grey, mode L, or mode RGB.

    Attributes:
        span: the rescaled values that are black and white in a grey picture, set before it is decoded; None: what
            `as_grey` finds.
    """

    format, format_description = "DICOM", "Digital Imaging and Communications in Medicine"
    span: Span | None = None

    def _open(self) -> None:
        """Reads the header.

        Raises:
            SyntaxError: it is no DICOM file; Pillow tries other formats.
            DataError: as `_header`.
        """
        assert self.fp is not None
        if self.fp.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] != _MAGIC:
            raise SyntaxError("no DICOM file")
        self._called = str(self.filename or "picture")
        self._header: Any = _header(self.fp, self._called)
        self._size = int(self._header.Columns), int(self._header.Rows)
        self._mode = "RGB" if self._header.get("SamplesPerPixel") == 3 or _has_palette(self._header) else "L"

    def load(self) -> Any:
        """Decodes.

        Raises:
            DataError: as `_decoded` and `as_grey`.
        """
        if self._header is not None:
            self.im, self._header = Image.fromarray(self._pixels()).im, None
        return super().load()

    def _pixels(self) -> npt.NDArray[np.uint8]:
        assert self.fp is not None
        pixels = _decoded(self.fp, self._header, self._called)
        expected = (self.height, self.width, 3) if self.mode == "RGB" else (self.height, self.width)
        if pixels.shape != expected:
            found = f"pixels of shape {list(pixels.shape)}, not {list(expected)}"
            raise DataError(f"{self._called}: damaged ({found}); must be a whole DICOM file.")
        if self.mode == "RGB":
            return pixels
        try:
            return as_grey(pixels, self._header, self.span)
        except DataError as error:
            raise DataError(f"{self._called}: {error}") from None
        except Exception as error:  # tables and numbers that make no sense
            raise DataError(f"{self._called}: damaged ({_short(error)}); must be a whole DICOM file.") from None


def _header(file: IO[bytes], name: str) -> Any:
    """What `_READ` names, as a data set of pydicom's, with what its groups say of a single frame at the top.

    Raises:
        DataError: pydicom is missing; the file is damaged, or holds no picture, or several.
    """
    try:
        from pydicom import dcmread
    except ImportError:
        raise DataError(f"{name}: DICOM pictures need pydicom: pip install 'vjo-train[dicom]'") from None
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # importing it has set another level
    file.seek(0)
    try:
        found = dcmread(file, stop_before_pixels=True, specific_tags=_READ)
        sides = [int(found.get(side) or 0) for side in ("Rows", "Columns")]
        frames = int(found.get("NumberOfFrames") or 1)
        for group, inner in product(_GROUPS, _IN_GROUPS) if frames == 1 else ():
            for item in ((found.get(group) or [{}])[0].get(inner) or [])[:1]:
                found.update(item)
        list(found)  # converts every element, so that what is damaged shows here
    except Exception as error:  # pydicom raises anything for a damaged file; what it says may quote the file
        raise DataError(f"{name}: damaged ({type(error).__name__}); must be a whole DICOM file.") from None
    if not all(sides):
        raise DataError(f"{name}: holds no picture, as reports (SR) and plans (RT), or is cut off; must be a picture.")
    if frames > 1:
        said = "must be one: save those that are meant as pictures of their own, PNG or DICOM"
        raise DataError(f"{name}: found {frames} frames; {said}.")
    return found


def _decoded(file: IO[bytes], header: Any, name: str) -> npt.NDArray[Any]:
    """[H, W] as stored, or uint8 RGB [H, W, 3], of which the upper 8 bits are kept.

    Raises:
        DataError: the pixels are damaged, missing, or compressed in a way that is not read or needs a further decoder.
    """
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut, get_decoder, pixel_array

    file.seek(0)
    try:
        syntax = header.file_meta.TransferSyntaxUID
        decoder = get_decoder(syntax)
        needed = [] if decoder.is_available else decoder.missing_dependencies
        if not needed:
            found = dcmread(file, specific_tags=[*_READ, *_PIXELS])
            if not any(keyword in found for keyword in _PIXELS):
                raise LookupError("it has no pixels")
            pixels: npt.NDArray[Any] = pixel_array(found)
            bits = int(header.get("BitsStored") or 8)
            if _has_palette(header):
                pixels = apply_color_lut(pixels, header)
                bits = 8 if pixels.max() < 256 else 16
            if pixels.ndim == 3:
                pixels = (pixels >> max(0, bits - 8)).astype(np.uint8)
    except Exception as error:  # pydicom and its decoders raise anything for damaged pixels
        raise DataError(f"{name}: damaged or not read ({_short(error)}); must be a whole DICOM file.") from None
    if needed:
        said = ", or ".join(one.partition(" - requires ")[2] or one for one in needed)
        raise DataError(f"{name}: compressed as {syntax.name}; to read it, install {said}.")
    return pixels


def _has_palette(header: Any) -> bool:
    return str(header.get("PhotometricInterpretation")) == "PALETTE COLOR"


def _short(error: Exception) -> str:
    """What a decoder says, in one line, without advice, objects and their addresses."""
    return " ".join(re.sub("<.*?>", "", str(error)).partition(" - ")[0].split())[:160] or type(error).__name__
