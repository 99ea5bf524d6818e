"""From a video to its frames, as players show them.

PyAV decodes: its wheels hold FFmpeg, where torchcodec needs one that is installed beside it. Cameras are OpenCV's,
which counts them alike on every system.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.data.opening import MOST_PIXELS
from vjo_train.errors import DataError
from vjo_train.inference.video.sources import VideoSource

PATIENCE = 15.0
"""Seconds that a stream may take to open, or for its next packet."""
USUAL_RATE = 25.0
"""Frames per second where a video does not say."""


@dataclass
class Frame:
    """One picture of a video."""

    number: int
    """From 1; of a live source that is read too slowly, numbers are left out."""
    time: float
    """Seconds since the first frame."""
    image: Tensor
    """uint8 RGB [3, H, W], upright."""


class Reader(Protocol):
    """A video that is open."""

    rate: float
    """Frames per second, on average."""
    expected: int | None
    """Frames, as far as the file says."""
    fault: str | None
    """What was wrong with the video, once it has ended: a sentence's end, such as `it ends early`."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Gives back the file or the device."""


def open_video(source: VideoSource) -> Reader:
    """Opens a video.

    Raises:
        DataError: it cannot be opened, or shows nothing.
    """
    return Camera(source) if source.kind == "camera" else Stream(source)


class Stream:
    """A file or an address, decoded by PyAV: the best of its streams of pictures."""

    def __init__(self, source: VideoSource) -> None:
        import av
        from av.stream import Disposition

        logging.getLogger("libav").setLevel(logging.CRITICAL)  # what FFmpeg says of damaged packets is told once
        self.shown = source.shown
        self.fault: str | None = None
        rtsp = {"rtsp_transport": "tcp"} if source.address.lower().startswith("rtsp") else {}
        try:
            self._container = av.open(source.address, options=rtsp, timeout=PATIENCE if source.live else None)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            what = "could not be opened" if source.live else "damaged or no video"
            raise DataError(f"{self.shown}: {what} ({_reason(error)}).") from error
        streams = [one for one in self._container.streams.video if not one.disposition & Disposition.attached_pic]
        if not streams:
            others = self._others()
            self._container.close()
            raise DataError(f"{self.shown}: has no pictures{others}.")
        self._stream = max(streams, key=lambda one: one.width * one.height)
        self._stream.thread_type = "AUTO"
        self.rate = float(self._stream.average_rate or self._stream.guessed_rate or USUAL_RATE)
        self.expected = self._stream.frames or self._by_duration()

    def __iter__(self) -> Iterator[Frame]:
        first, before, number = None, -1 / self.rate, 0
        for picture in self._pictures():
            number += 1
            if picture.width * picture.height > MOST_PIXELS:
                raise DataError(f"{self.shown}: a frame has more than {MOST_PIXELS} pixels.")
            time = before + 1 / self.rate if picture.time is None else float(picture.time)
            first = time if first is None else first
            before = time
            pixels = np.rot90(picture.to_ndarray(format="rgb24"), round(picture.rotation / 90) % 4)
            yield Frame(number, time - first, torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1))
        if self.fault is None and self._short(number, before - (first or 0.0)):
            self.fault = f"it ends after {number} of {self.expected} frames"

    def _pictures(self) -> Iterator[Any]:
        """What can be decoded; damaged packets are left out, as players do."""
        import av

        damaged, packets = 0, self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self.fault = f"it ends early ({_reason(error)})"
                packet = None
            try:
                yield from self._stream.decode(packet)
            except av.error.EOFError:
                pass
            except av.error.FFmpegError:
                damaged += 1
            if packet is None:
                break
        if damaged and self.fault is None:
            self.fault = f"{damaged} of its packets are damaged and were left out"

    def _short(self, frames: int, seconds: float) -> bool:
        """Whether a file says that it has more, in frames and in seconds: one that was cut by a program does not.

        Args:
            frames: that were decoded.
            seconds: from the first to the last one.
        """
        if self.expected is None or frames >= self.expected or self._container.duration is None:
            return False
        others = len(self._container.streams) > 1 and not self._stream.frames  # a longer sound is no fault
        return not others and seconds + 2 / self.rate + 0.1 < self._container.duration / 1_000_000

    def _others(self) -> str:
        kinds = sorted({one.type for one in self._container.streams} - {"video"})
        return f", only {' and '.join(kinds)}" if kinds else ""

    def _by_duration(self) -> int | None:
        if self._container.duration is None:
            return None
        return round(self._container.duration / 1_000_000 * self.rate) or None

    def close(self) -> None:
        with suppress(OSError):
            self._container.close()


class Camera:
    """A camera by its number, as OpenCV counts them."""

    expected: int | None = None

    def __init__(self, source: VideoSource) -> None:
        self.shown = source.shown
        self.fault: str | None = None
        before = cv2.utils.logging.setLogLevel(0)  # it says on the console what the error below says
        self._device = cv2.VideoCapture(int(source.address))
        cv2.utils.logging.setLogLevel(before)
        if not self._device.isOpened():
            raise DataError(f"{self.shown}: could not be opened; is it connected, and free of other programs?")
        self.rate = self._device.get(cv2.CAP_PROP_FPS) or USUAL_RATE

    def __iter__(self) -> Iterator[Frame]:
        number, first = 0, cv2.getTickCount()
        while True:
            there, pixels = self._device.read()
            if not there:
                self.fault = "it gives no more pictures"
                return
            number += 1
            seconds = (cv2.getTickCount() - first) / cv2.getTickFrequency()
            first = cv2.getTickCount() if number == 1 else first
            rgb: npt.NDArray[Any] = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            yield Frame(number, 0.0 if number == 1 else seconds, torch.from_numpy(rgb).permute(2, 0, 1))

    def close(self) -> None:
        self._device.release()


def _reason(error: Exception) -> str:
    """What FFmpeg says, without the file's name."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].upper() + text[1:]
