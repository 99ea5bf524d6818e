"""`vjo-predict` on videos: what it writes, and that it says of frames what it says of the same pictures."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.inference.test_prediction import make_run
from tests.inference.video import videos
from vjo_train.data.clips import Clips
from vjo_train.inference.video.files import FrameFiles
from vjo_train.inference.video.reading import open_video
from vjo_train.inference.video.sources import find_videos

Answer = tuple[int, str, str]
Command = Callable[..., Answer]
TIMES = [0.0, 0.04, 0.08, 0.3, 0.34, 0.38, 0.42]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = ("heads.detection.depth=1", "heads.detection.levels=[p4,p5]", "heads.detection.detections_per_image=5")
    small += ("heads.semantic.width=16", "heads.semantic.levels=[p4,p5]", "heads.detection.score_threshold=0")
    return make_run(tmp_path_factory.mktemp("runs") / "run", "heads=[classification,detection,semantic]", *small)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return videos.write(tmp_path_factory.mktemp("clips") / "clip.mp4", TIMES)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_frames_are_predicted_as_the_same_pictures(command: Command, run: Path, clip: Path) -> None:
    status, out, err = command("vjo-predict", f"run={run}", f"source={clip}", "output=found", "batch_size=3")
    assert (status, err) == (0, "")
    assert "Predictions for 7 frames" in out
    found = lines(Path("found/clip.jsonl"))
    assert [line["frame"] for line in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [line["time"] for line in found] == pytest.approx(TIMES, abs=1e-4)

    (source,) = find_videos(str(clip), Path("found"))
    for frame in open_video(source):
        Path("frames").mkdir(exist_ok=True)
        Image.fromarray(frame.image.permute(1, 2, 0).numpy()).save(f"frames/{frame.number:06d}.png")
    assert command("vjo-predict", f"run={run}", "source=frames", "output=pictures", "batch_size=3")[0] == 0
    for task in ("classification", "detection"):
        of_frames = [{"image_id": line["frame"], **row} for line in found for row in line[task]]
        of_pictures = read(Path(f"pictures/{task}.json"))
        assert of_frames == [{k: v for k, v in row.items() if k != "file_name"} for row in of_pictures]
    for number in range(1, 8):
        one, other = (Image.open(f"{place}/{number:06d}.png") for place in ("found/semantic/clip", "pictures/semantic"))
        assert np.array_equal(np.asarray(one), np.asarray(other))

    shown = videos.shown(Path("found/clip.mp4"))
    assert [time for time, _, _ in shown] == pytest.approx(TIMES, abs=1e-4)
    with Image.open("pictures/pictures/000001.jpg") as drawn:
        assert all((w - w % 2, h - h % 2) == (w, h) and w - drawn.width in (0, 1) for _, w, h in shown)
    listed = read(Path("found/videos.json"))
    assert listed["videos"][0] | {"fps": 0, "file_name": ""} == {
        "id": 1, "file_name": "", "name": "clip", "width": 80, "height": 48, "fps": 0, "length": 7,
    }  # fmt: skip
    assert listed["categories"][0]["name"] == "circle"


def test_several_videos_of_which_some_are_broken(command: Command, run: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    videos.write(tmp_path / "many" / "a.mp4", TIMES)
    (tmp_path / "many" / "b.mp4").write_text("no video")
    videos.cut(videos.write(tmp_path / "long.mp4", [k / 25 for k in range(30)], faststart=True),
               tmp_path / "many" / "c.mp4", 0.7)  # fmt: skip
    words = (f"run={run}", "source=many/*.mp4", "output=found", "tasks=[detection]", "pictures=false")
    status, out, err = command("vjo-predict", *words)
    assert (status, err) == (3, "")
    assert "b.mp4: damaged or no video" in out
    assert "c.mp4: it ends after" in out
    assert not list(Path("found").glob("*.mp4"))
    assert len(lines(Path("found/a.jsonl"))) == 7
    assert [row["file_name"] for row in read(Path("found/videos.json"))["skipped"]] == ["many/b.mp4", "many/c.mp4"]
    status, _, err = command("vjo-predict", f"run={run}", "source=many/b.mp4", "output=other")
    assert status == 2
    assert err.count("\n") == 1


def test_objects_are_followed(command: Command, run: Path, clip: Path) -> None:
    words = (f"run={run}", f"source={clip}", "output=found", "tasks=[detection]", "track=true")
    assert command("vjo-predict", *words, "tracker.high=0", "tracker.new=0", "tracker.low=0")[0] == 0
    found = lines(Path("found/clip.jsonl"))
    told = [(line["frame"], row["track_id"]) for line in found for row in line["detection"] if "track_id" in row]
    assert told
    assert len(set(told)) == len(told)
    table = np.loadtxt("found/clip.detection.txt", delimiter=",").reshape(-1, 9)
    assert [(int(row[0]), int(row[1])) for row in table] == told
    boxes = [row["bbox"] for line in found for row in line["detection"] if "track_id" in row]
    assert table[:, 2:6] - [1, 1, 0, 0] == pytest.approx(np.array(boxes), abs=2e-3)


def test_ctrl_c_leaves_what_was_done(command: Command, run: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = FrameFiles.add

    def add_and_interrupt(self: FrameFiles, *args: Any) -> None:
        add(self, *args)
        if self.frames == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FrameFiles, "add", add_and_interrupt)
    long = videos.write(Path("long.mp4"), [k / 25 for k in range(400)])
    words = (f"run={run}", f"source={long}", "output=found", "tasks=[detection]", "batch_size=1")
    status, out, err = command("vjo-predict", *words)
    assert status == 130
    done = len(lines(Path("found/long.jsonl")))
    assert 3 <= done < 400
    assert f"Interrupted: the first {done} frames" in out + err
    assert len(videos.shown(Path("found/long.mp4"))) == done
    assert read(Path("found/videos.json"))["videos"][0]["length"] == done


def test_mistakes_are_told(command: Command, run: Path, clip: Path, tmp_path: Path) -> None:
    for words, said in (
        ((f"source={clip}", f"output={clip.parent}"), "would be overwritten"),
        ((f"source={clip}", "output=o", "tracker.high=2"), "tracker.high"),
        ((f"source={clip}", "output=o", "track=yes please"), "track"),
        (("source=nothing.mp4", "output=o"), "nothing.mp4"),
        (("source=0", "output=o"), "camera 0: could not be opened"),
    ):
        status, _, err = command("vjo-predict", f"run={run}", *words)
        assert status == 2, words
        assert said in err
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    status, _, err = command("vjo-predict", f"run={run}", "source=a.png", "output=o", "track=true")
    assert status == 2
    assert "track:" in err


def test_annotated_sequences_are_evaluated(command: Command, run: Path) -> None:
    Clips(train=1, val=1, test=12, frames=6, objects=3, image_size=48, masked=0).write(Path("set"))
    words = (f"run={run}", "hydra.run.dir=out", "tracker.high=0.02", "tracker.new=0.02", "tracker.low=0.01")
    status, out, err = command("vjo-eval", *words, "sequences=set/sequences")
    assert (status, err) == (0, "")
    assert "idf1" in out
    report = read(Path("out/tracking.json"))["detection"]
    assert set(report) == {"train-01", "val-01", "test-01", "test-02", "all"}
    assert report["all"]["misses"] == sum(values["misses"] for name, values in report.items() if name != "all")
    assert Path("out/test-01.detection.txt").is_file()
    for more, said in (("sequences=nowhere", "no folder"), ("sequences=set/JPEGImages", "neither is nor holds")):
        status, _, err = command("vjo-eval", f"run={run}", "hydra.run.dir=out2", more)
        assert status == 2
        assert said in err
