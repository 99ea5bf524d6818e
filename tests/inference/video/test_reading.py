"""Frames of sound and broken video files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.inference.video import videos
from vjo_train.errors import ConfigError, DataError
from vjo_train.inference.video.reading import Frame, open_video
from vjo_train.inference.video.sources import VideoSource, find_videos

REGULAR = [k / 25 for k in range(30)]


def read(path: Path) -> tuple[list[Frame], str | None]:
    (source,) = find_videos(str(path), path.parent / "out")
    reader = open_video(source)
    frames = list(reader)
    reader.close()
    return frames, reader.fault


def test_frames_are_those_that_were_written_at_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.54, 2.0]
    frames, fault = read(videos.write(tmp_path / "a.mp4", times))
    assert fault is None
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-4)
    for k, frame in enumerate(frames):
        off = frame.image.permute(1, 2, 0).numpy().astype(int) - videos.frame(k)
        assert np.abs(off).mean() < 6  # colours are stored at half the resolution


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4", REGULAR[:3])
    (plain, *_), _ = read(path)
    (turned, *_), _ = read(videos.turned(path, tmp_path / "b.mp4"))
    assert torch.equal(turned.image, plain.image.rot90(-1, (1, 2)))


def test_a_cut_video_gives_what_is_left_and_says_so(tmp_path: Path) -> None:
    whole = videos.write(tmp_path / "a.mp4", REGULAR, faststart=True)
    frames, fault = read(videos.cut(whole, tmp_path / "b.mp4", 0.7))
    assert 0 < len(frames) < 30
    assert fault == f"it ends after {len(frames)} of 30 frames"
    whole = videos.write(tmp_path / "a.mkv", REGULAR * 1)
    frames, fault = read(videos.cut(whole, tmp_path / "b.mkv", 0.6))
    assert 0 < len(frames) < 30
    assert fault == f"it ends after {len(frames)} of 30 frames"


def test_damaged_packets_are_left_out_and_counted(tmp_path: Path) -> None:
    content = bytearray(videos.write(tmp_path / "a.mp4", REGULAR, faststart=True).read_bytes())
    middle = (content.index(b"mdat") + len(content)) // 2
    content[middle : middle + 200] = bytes(200)
    (tmp_path / "b.mp4").write_bytes(content)
    frames, fault = read(tmp_path / "b.mp4")
    assert frames
    assert fault is None or "damaged" in fault


@pytest.mark.parametrize("kind", ["text", "empty", "headless", "sound", "no frames"])
def test_what_is_no_video_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "b.mp4"
    if kind == "sound":
        videos.write_sound(path)
    elif kind == "no frames":
        videos.write(path, [])
    elif kind == "headless":
        videos.cut(videos.write(tmp_path / "a.mp4", REGULAR), path, 0.5)
    else:
        path.write_text("no video" if kind == "text" else "")
    (source,) = find_videos(str(path), tmp_path / "out")
    with pytest.raises(DataError, match=r"b\.mp4: (damaged or no video|has no pictures)") as error:
        open_video(source)
    assert "\n" not in str(error.value)
    assert ("only audio" in str(error.value)) == (kind == "sound")


def test_what_a_user_may_mean_by_a_source(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.MOV", "deep/c.mkv", "deep/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    out = tmp_path / "out"

    def names(text: str) -> list[str]:
        return [video.name for video in find_videos(text, out)]

    assert names(str(tmp_path / "a.mp4")) == ["a"]
    assert names(str(tmp_path / "*.[mM]*")) == ["a", "b"]
    assert names(str(tmp_path / "deep" / "d.png")) == []
    assert names(str(tmp_path)) == []  # a folder with pictures is one of pictures
    (tmp_path / "deep" / "d.png").unlink()
    assert names(str(tmp_path)) == ["a", "b", "deep/c"]
    (tmp_path / "deep" / "d.png").touch()
    with pytest.raises(ConfigError, match="give one kind"):
        find_videos(str(tmp_path / "deep" / "*"), out)
    assert find_videos("1", out) == [VideoSource("1", "camera 1", "camera1", "camera")]
    (stream,) = find_videos("rtsp://me:secret@host:554/yard/cam 1?x=1", out)
    assert (stream.kind, stream.name, stream.shown) == ("stream", "cam_1", "rtsp://host:554/yard/cam 1")
    assert stream.address == "rtsp://me:secret@host:554/yard/cam 1?x=1"
