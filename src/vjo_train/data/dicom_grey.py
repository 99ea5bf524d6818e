"""How bright the stored values of a grey DICOM picture are meant to be.

The standard's part 3: C.11.1 (rescaling), C.11.2 (windows and their tables), C.7.6.3.1.2 (MONOCHROME1 and 2). Headers
are pydicom's data sets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.errors import DataError

Span = tuple[float, float]
Values = npt.NDArray[Any]


def as_grey(stored: Values, header: Any, span: Span | None) -> npt.NDArray[np.uint8]:
    """0 for black to 255 for white.

    What decides, in this order: the span; the first table for what is of interest; the first window; the values
    themselves, where they are unsigned, of 8 bits and not rescaled; else their least and greatest. MONOCHROME1 is
    inverted at the end.

    Args:
        stored: [H, W] as they are in the file.
        header: says what they mean.
        span: the rescaled values that are black and white; None: what the header says.

    Raises:
        DataError: a window of a kind that the standard does not have.
    """
    if stored.dtype.kind in "iu":
        low, high = int(stored.min()), int(stored.max())
        if high - low < stored.size:  # quicker by a table of what each value becomes
            table = _brightness(np.arange(low, high + 1), header, span)
            return np.take(table, np.subtract(stored, low, dtype=np.int64))
    return _brightness(stored, header, span)


def _brightness(stored: Values, header: Any, span: Span | None) -> npt.NDArray[np.uint8]:
    """As `as_grey`, of values in any form that has their least and greatest."""
    values = rescaled(stored, header)
    tables, window = header.get("VOILUTSequence"), window_of(header)
    shares: Values
    if span is not None:
        shares = (values - span[0]) / (span[1] - span[0])
    elif tables:
        found, white = table_of(tables[0], header)
        shares = looked_up(values, tables[0], found) / white
    elif window is not None:
        shares = window(values)
    elif values is stored and header.BitsStored == 8 and header.PixelRepresentation == 0:
        shares = values / np.float32(255)
    else:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        shares = (values.astype(np.float32) - low) / ((high - low) or 1)
    grey: npt.NDArray[np.uint8] = (np.nan_to_num(shares).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return 255 - grey if header.PhotometricInterpretation == "MONOCHROME1" else grey


def rescaled(stored: Values, header: Any) -> Values:
    """[H, W]: in what the header says they measure, such as Hounsfield units; the same array where it says nothing."""
    if tables := header.get("ModalityLUTSequence"):
        return looked_up(stored, tables[0], table_of(tables[0], header)[0])
    slope, intercept = (header.get(name) for name in ("RescaleSlope", "RescaleIntercept"))
    factor, added = 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
    return stored if (factor, added) == (1, 0) else stored.astype(np.float32) * np.float32(factor) + np.float32(added)


def window_of(header: Any) -> Callable[[Values], Values] | None:
    """From rescaled values to 0 for black .. 1 for white, and beyond; None without a window, or with one of no width.

    Raises:
        DataError: of a kind that the standard does not have.
    """
    centre, width = (_first(header.get(name)) for name in ("WindowCenter", "WindowWidth"))
    kind = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if centre is None or width is None or width <= 0:
        return None
    if kind == "LINEAR":  # width 1: one value is the last black, the next white
        return lambda values: (values - np.float32(centre - 0.5)) / np.float32(max(width - 1, 1e-6)) + 0.5
    if kind == "LINEAR_EXACT":
        return lambda values: (values - np.float32(centre)) / np.float32(width) + 0.5
    if kind == "SIGMOID":
        return lambda values: 1 / (1 + np.exp(-4 * ((values - np.float32(centre)) / np.float32(width)).clip(-20, 20)))
    raise DataError(f"found a window of the kind {kind[:16]}; must be LINEAR, LINEAR_EXACT or SIGMOID.")


def table_of(item: Any, header: Any) -> tuple[Values, int]:
    """[N] whole numbers that a table has for N values one after another, and its white."""
    entries, _, bits = item.LUTDescriptor
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if header.is_little_endian else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * (entries or 65_536) else np.uint8)
    found = np.asarray(data, np.int32).reshape(-1)
    return found, max((1 << bits) - 1, int(found.max()))  # some say fewer bits than they have


def looked_up(values: Values, item: Any, found: Values) -> Values:
    """What a table has for values; those outside get its first or last entry."""
    first = int(item.LUTDescriptor[1])
    return np.take(found, (np.rint(values).astype(np.int64) - first).clip(0, len(found) - 1))


def _first(value: Any) -> float | None:
    """The first of one or several numbers; None for nothing."""
    one = (value[0] if len(value) else None) if isinstance(value, Sequence) and not isinstance(value, str) else value
    return None if one is None or one == "" else float(one)
