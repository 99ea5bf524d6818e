"""Identities that survive crossing, hiding and gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vjo_train.data.clips import Clips
from vjo_train.errors import DataError
from vjo_train.metrics.tracking import count, figures
from vjo_train.tracking import kalman
from vjo_train.tracking.byte_track import ByteTrack
from vjo_train.tracking.mot_files import ANNOTATIONS, find_sequences, mot_lines, read_tracks
from vjo_train.types import Detections


def found(*rows: tuple[float, float, float, int]) -> Detections:
    """Squares of 20 pixels: left, top, score, class."""
    table = torch.tensor([row[:3] for row in rows]).reshape(-1, 3)
    labels = torch.tensor([row[3] for row in rows], dtype=torch.int64)
    return Detections(torch.cat([table[:, :2], table[:, :2] + 20], 1), table[:, 2], labels)


def ids(detections: Detections) -> list[int]:
    assert detections.tracks is not None
    return detections.tracks.tolist()


def test_two_that_pass_each_other_keep_their_identities() -> None:
    tracker, own = ByteTrack(), set()
    for frame in range(60):
        own.add(tuple(ids(tracker.update(found((2.0 * frame, 0, 0.9, 0), (120 - 2.0 * frame, 6, 0.9, 0))))))
    assert own == {(1, 2)}


def test_an_object_that_was_hidden_is_known_again_until_the_buffer_ends() -> None:
    for hidden, same in ((10, True), (11, False)):
        tracker = ByteTrack(buffer=10)
        for frame in range(5):
            assert ids(tracker.update(found((frame, 0, 0.9, 0)))) == [1]
        for _ in range(hidden):
            tracker.update(found())
        seen = [ids(tracker.update(found((5.0 + hidden + k, 0, 0.9, 0)))) for k in range(2)]
        assert seen == ([[1], [1]] if same else [[0], [2]])


def test_frames_that_were_left_out_count_as_time() -> None:
    tracker = ByteTrack(buffer=30)
    for frame in range(10):
        tracker.update(found((4.0 * frame, 0, 0.9, 0)))
    assert ids(tracker.update(found((4.0 * 19, 0, 0.9, 0)), frames=10)) == [1]


def test_an_unsure_detection_goes_on_with_a_track_but_begins_none() -> None:
    tracker = ByteTrack(high=0.5, new=0.6, low=0.1)
    assert ids(tracker.update(found((0, 0, 0.9, 0), (80, 0, 0.3, 0)))) == [1, 0]
    assert ids(tracker.update(found((1, 0, 0.2, 0), (80, 0, 0.3, 0)))) == [1, 0]
    assert ids(tracker.update(found((2, 0, 0.05, 0)))) == [0]


def test_an_object_keeps_its_class() -> None:
    tracker = ByteTrack()
    assert ids(tracker.update(found((0, 0, 0.9, 0)))) == [1]
    assert ids(tracker.update(found((0, 0, 0.9, 1)))) == [0]
    assert ids(tracker.update(found((0, 0, 0.9, 1)))) == [2]


def test_without_detections_there_is_nothing() -> None:
    tracker = ByteTrack()
    assert ids(tracker.update(found())) == []
    assert ids(tracker.update(found((0, 0, 0.9, 0)))) == [0]


def test_the_filter_learns_the_speed() -> None:
    states = kalman.started(np.array([[0.0, 0.0, 10.0, 20.0]]))
    for frame in range(1, 40):
        box = np.array([[3.0 * frame, 1.0 * frame, 3.0 * frame + 10, 1.0 * frame + 20]])
        states = kalman.corrected(kalman.predicted(states), box)
    assert states.mean[0, 4:6] == pytest.approx([3, 1], abs=0.02)
    assert np.linalg.eigvalsh(states.covariance[0]).min() > 0
    assert kalman.predicted(states).boxes[0] == pytest.approx([120, 40, 130, 60], abs=0.2)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "set"
    Clips(train=1, val=1, test=300, image_size=64, masked=0).write(folder)
    return folder


def test_a_drawn_clip_is_followed_by_its_true_boxes(drawn: Path, tmp_path: Path) -> None:
    (sequence,) = (one for one in find_sequences(drawn / "sequences") if one.name == "test-01")
    assert sequence.numbers == list(range(1, 301))
    truth = read_tracks(sequence.folder / ANNOTATIONS, annotated=True)
    assert set(truth.ids) == {1, 2, 3, 4, 5, 6}
    tracker, lines = ByteTrack(), []
    for frame in sequence.numbers:
        rows = truth.at(frame)
        rows = rows[truth.counted[rows]]
        boxes = torch.from_numpy(truth.boxes[rows]).float()
        here = Detections(boxes, torch.ones(len(rows)), torch.from_numpy(truth.labels[rows]))
        lines += mot_lines(frame, tracker.update(here))
    (tmp_path / "found.txt").write_text("".join(lines))
    result = figures(count(truth, read_tracks(tmp_path / "found.txt", annotated=False), sequence.numbers))
    assert result["idf1"] >= 0.95
    assert result["mota"] >= 0.98


def test_broken_annotations_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither is nor holds"):
        find_sequences(tmp_path)
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "gt.txt").write_text("1,1,5,5,10\n")
    with pytest.raises(DataError, match="has no pictures"):
        find_sequences(tmp_path)
    with pytest.raises(DataError, match="line 1"):
        read_tracks(tmp_path / "gt" / "gt.txt", annotated=True)
