"""Video files for tests, made on the spot."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

TICKS = 90_000
WIDTH, HEIGHT = 80, 48


def frame(number: int) -> npt.NDArray[np.uint8]:
    """[H, W, 3]: a smooth ground with a bright square that moves to the right."""
    rng = np.random.default_rng(3)
    ground = Image.fromarray(rng.integers(0, 120, (4, 5, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT))
    pixels = np.array(ground)
    left = 2 * number % (WIDTH - 16)
    pixels[10:26, left : left + 16] = (230, 200, 40)
    return pixels


def write(path: Path, times: Sequence[float], *, faststart: bool = False) -> Path:
    """An H.264 video with a frame at each time, in seconds."""
    with av.open(str(path), "w", options={"movflags": "+faststart"} if faststart else {}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "bf": "0", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        if not times:
            container.start_encoding()
        for number, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(frame(number), format="rgb24")
            picture.pts, picture.time_base = round(time * TICKS), Fraction(1, TICKS)
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_sound(path: Path) -> Path:
    """A file that has sound alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for number in range(10):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 44100, 1024 * number
            for packet in stream.encode(sound):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def turned(path: Path, copy: Path) -> Path:
    """The same MP4 file, marked as to be shown turned by 90 degrees clockwise, as phones do."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 8 + 20 + 16
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30)
    copy.write_bytes(content)
    return copy


def cut(path: Path, copy: Path, share: float) -> Path:
    """The first part of a file."""
    content = path.read_bytes()
    copy.write_bytes(content[: round(len(content) * share)])
    return copy


def shown(path: Path) -> list[tuple[float, int, int]]:
    """When each frame of a video is shown, its width and height."""
    with av.open(str(path)) as container:
        return [(float(one.time or 0), one.width, one.height) for one in container.decode(video=0)]
