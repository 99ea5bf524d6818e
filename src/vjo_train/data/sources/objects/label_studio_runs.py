"""The run lengths of Label Studio's brushes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MOST = 1 << 28
"""Values of a mask."""


def unpacked(packed: Sequence[int], count: int) -> npt.NDArray[np.uint8]:
    """The values of a brush: those of the colours red, green, blue and opacity of each pixel.

    The bits, the highest of each byte first, are: the number of values in 32; the bits of a value, less 1, in 5; the
    bits of a length, less 1, in 4, for each of four sizes. Then, again and again: 1 for a run and 0 for single values;
    which size in 2; the length, less 1; and the one value of the run, or all values.

    Args:
        packed: bytes.
        count: of values that there must be.

    Raises:
        ValueError: the bytes say another number of values, or end too soon.
    """
    bits = np.unpackbits(np.array(packed, np.int64).astype(np.uint8))
    place = 0

    def number(size: int) -> int:
        nonlocal place
        own = bits[place : place + size]
        if len(own) < size:
            raise ValueError("the run lengths end too soon")
        place += size
        return int("".join(map(str, own.tolist())), 2)

    found = number(32)
    if found != count or not 0 < count <= MOST:
        raise ValueError(f"{found} values for {count}")
    word = number(5) + 1
    sizes = [number(4) + 1 for _ in range(4)]
    values = np.empty(count, np.uint8)
    done = 0
    while done < count:
        run, end = number(1), 0
        end = done + number(sizes[number(2)]) + 1
        if end > count:
            raise ValueError("a run goes beyond the end")
        if run:
            values[done:end] = number(word)
        else:
            values[done:end] = [number(word) for _ in range(end - done)]
        done = end
    return values
