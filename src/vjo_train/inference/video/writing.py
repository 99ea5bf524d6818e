"""A drawn video: H.264 in MP4, each picture shown when its frame was."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vjo_train.drawing.captions import PAPER
from vjo_train.errors import ResourceError

TICKS = 90_000
"""Units of time in a second: whole for 24, 25, 30 and 30000/1001 frames per second."""
_CODECS = (("libx264", {"crf": "20", "preset": "veryfast", "bf": "0"}), ("mpeg4", {"qscale": "3"}))
"""The first of them that PyAV's FFmpeg has is used. Without B-frames, which would shift the times of all others."""


class VideoWriter:
    """Writes pictures into a file, which can be played at any moment, also after a crash.

    All pictures get the size of the first, with an odd side made even by a line of white.

    Args:
        path: of the file; its folder is made if missing.
        rate: frames per second, on average.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._last = -1

    def add(self, picture: Image.Image, time: float) -> None:
        """Takes a picture that is shown from `time` on, in seconds since the first.

        Raises:
            ResourceError: it cannot be written.
        """
        import av

        if self._container is None:
            self._open(picture.size)
        if picture.size != self._size:
            picture = picture.resize(self._size)
        frame = av.VideoFrame.from_ndarray(_even(np.asarray(picture)), format="rgb24")
        self._last = frame.pts = max(round(time * TICKS), self._last + 1)
        frame.time_base = Fraction(1, TICKS)
        self._send(frame)

    def close(self) -> None:
        """Writes what is left; without any picture there is no file.

        Raises:
            ResourceError: it cannot be written.
        """
        if self._container is None:
            return
        try:
            self._send(None)
        finally:
            self._container.close()
            self._container = None

    def _open(self, size: tuple[int, int]) -> None:
        import av

        self.path.parent.mkdir(parents=True, exist_ok=True)
        codec, options = next(one for one in _CODECS if one[0] in av.codecs_available)
        # In fragments, which are joined at the end: what is written can be played, whatever happens.
        self._container = av.open(str(self.path), "w", format="mp4", options={"movflags": "+hybrid_fragmented"})
        rate = Fraction(self.rate).limit_denominator(1001)
        self._stream = self._container.add_stream(codec, rate=rate, options=options)
        self._stream.width, self._stream.height = (side + side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._size = size

    def _send(self, frame: Any) -> None:
        import av

        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError) as error:
            raise ResourceError(f"{self.path}: could not be written ({error}).") from error


def _even(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """[H, W, 3] with even sides, as the codec wants them."""
    height, width = pixels.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(pixels)
    even = np.full((height + height % 2, width + width % 2, 3), PAPER, np.uint8)
    even[:height, :width] = pixels
    return even
