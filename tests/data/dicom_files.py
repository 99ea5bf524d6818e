"""Small DICOM files, written from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SECRET = "Doe^Jane"
"""The patient, whom nobody may hear of."""
PLAIN, IMPLICIT, DEFLATED, RLE = (f"1.2.840.10008.1.2{end}" for end in (".1", "", ".1.99", ".5"))
"""Transfer syntaxes: how a file is encoded."""


def write(path: Path, pixels: npt.NDArray[Any], syntax: str = PLAIN, **header: Any) -> Path:
    """A picture of digital radiography.

    Args:
        path: of the file; its folder is made.
        pixels: [H, W] of whole numbers, or uint8 RGB [H, W, 3].
        syntax: how it is encoded.
        header: further elements, or other ones, by their keywords.
    """
    from pydicom.dataset import Dataset, FileMetaDataset

    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = PLAIN if syntax == RLE else syntax
    found.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    found.SOPInstanceUID = "1.2.3"
    found.Modality, found.PatientName, found.PatientID = "DX", SECRET, SECRET
    found.Rows, found.Columns = pixels.shape[:2]
    found.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        found.PlanarConfiguration = 0
    found.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    found.BitsAllocated = found.BitsStored = 8 * pixels.dtype.itemsize
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    found.PixelData = pixels.tobytes()
    for keyword, value in header.items():
        setattr(found, keyword, value)
    found.HighBit = found.BitsStored - 1
    if syntax == RLE:
        found.compress(RLE, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    found.save_as(path, enforce_file_format=True)
    return path


def item(**elements: Any) -> Any:
    """A sequence of one item."""
    from pydicom.dataset import Dataset

    inner = Dataset()
    for keyword, value in elements.items():
        if keyword == "LUTData":
            inner.add_new(keyword, "OW", np.asarray(value, "<u2").tobytes())
        else:
            setattr(inner, keyword, value)
    return [inner]


def radiographs(root: Path) -> None:
    """Boxes by patientId, as of RSNA's challenge, with pictures of 12 bits and a window, compressed and not."""
    rows = ["patientId,x,y,width,height,Target"]
    values = np.random.default_rng(0).integers(0, 4096, (30, 40)).astype(np.uint16)
    for split in ("train", "val", "test"):
        for k in range(3):
            picture = root / f"{split}/{split}{k}.dcm"
            window = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 1, "RescaleIntercept": -100}
            write(picture, values, (PLAIN, IMPLICIT, RLE)[k], BitsStored=12, **window)
            rows.append(f"{picture.stem},,,,,0" if k == 1 else f"{picture.stem},2,3,20,10,1")
    (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
