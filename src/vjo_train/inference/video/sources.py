"""Which videos a user means by a file, a pattern, a folder, the number of a camera or an address. Imports no torch."""

from __future__ import annotations

import glob
import logging
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from vjo_train.errors import ConfigError
from vjo_train.inference.sources import SUFFIXES as PICTURE_SUFFIXES
from vjo_train.inference.sources import named, visible_files

log = logging.getLogger("vjo_train")

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "qt", "mkv", "webm", "avi", "wmv", "asf", "flv", "f4v", "mpg", "mpeg", "m2v", "vob"),
        *("ts", "mts", "m2ts", "3gp", "3g2", "ogv", "mjpeg", "mjpg", "h264", "264", "h265", "hevc", "mxf", "y4m"),
    )
)
"""What counts as a video, in any case."""
MISSING_EXTRA = "{key}: {package} is not installed; pip install 'vjo-train[video]'."


@dataclass(frozen=True)
class VideoSource:
    """A video and the name by which what is written for it is called."""

    address: str
    """What is opened: a path, the number of a camera, or an address with its scheme."""
    shown: str
    """The same for messages and files, without a password."""
    name: str
    """Of the files to be written, without a suffix; may have folders, with `/`."""
    kind: Literal["file", "camera", "stream"]

    @property
    def live(self) -> bool:
        """Whether frames that nobody takes in time are lost, so that they are better left out than awaited."""
        return self.kind != "file"


def find_videos(text: str, output: Path) -> list[VideoSource]:
    """The videos that `text` names, in the order of their paths; none where it names pictures, or nothing.

    Args:
        text: a file, a pattern or a folder as of `find_sources`; the number of a camera; or an address, such as
            `rtsp://host/path`.
        output: a folder whose content is no source.

    Raises:
        ConfigError: a pattern matches videos and other files.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        return [_stream(text)]
    path = Path(text).expanduser()
    if text.isdecimal() and not path.exists():
        return [VideoSource(text, f"camera {text}", f"camera{int(text)}", "camera")]
    if path.is_dir():
        return _in_folder(path, output)
    found = [path] if path.is_file() else [file for file in map(Path, glob.glob(str(path), recursive=True))]
    files = sorted({file for file in found if file.is_file()})
    videos = [file for file in files if is_video(file)]
    if videos and len(videos) < len(files):
        other = next(file for file in files if not is_video(file))
        raise ConfigError(f"source: '{text}' matches videos ({videos[0]}) and other files ({other}); give one kind.")
    return _files(videos)


def is_video(file: Path) -> bool:
    """Whether a file has the suffix of a video."""
    return file.suffix.lower() in SUFFIXES


def check_library(key: str) -> None:
    """Looks for what videos are decoded with.

    Raises:
        ConfigError: it is not installed.
    """
    if find_spec("av") is None:
        raise ConfigError(MISSING_EXTRA.format(key=key, package="av (PyAV)"))


def _in_folder(folder: Path, output: Path) -> list[VideoSource]:
    """The videos in a folder without pictures; of a folder with both, the pictures are meant."""
    files = visible_files(folder, output, SUFFIXES | PICTURE_SUFFIXES)
    videos = [file for file in files if is_video(file)]
    if videos and len(videos) < len(files):
        log.warning("source: %d videos in %s are left out; source='%s/**/*%s' takes such alone.", len(videos), folder,
                    folder, videos[0].suffix)  # fmt: skip
        return []
    return _files(videos)


def _files(paths: list[Path]) -> list[VideoSource]:
    return [VideoSource(str(one.path), str(one.path), one.name, "file") for one in named(paths)]


def _stream(address: str) -> VideoSource:
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    stem = PurePosixPath(parts.path).stem or host or "stream"
    return VideoSource(address, f"{parts.scheme}://{host}{parts.path}", re.sub(r"[^\w.-]+", "_", stem), "stream")
