"""Drawn clips: a function of seed and frame, and sequences that agree with the pictures' labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vjo_train.data.clips import Clips
from vjo_train.data.shape_clip import Clip
from vjo_train.tracking.assignment import overlaps
from vjo_train.tracking.mot_files import ANNOTATIONS, find_sequences, read_tracks


def test_a_frame_depends_on_seed_and_number_alone() -> None:
    one, other = Clip((1, 2), 4, 48, 0.5), Clip((1, 2), 4, 48, 0.5)
    for number in (1, 2, 3):
        one.frame(number)
    assert np.array_equal(one.frame(9).scene.image, other.frame(9).scene.image)
    assert not np.array_equal(one.frame(9).scene.image, Clip((1, 3), 4, 48, 0.5).frame(9).scene.image)


def test_boxes_are_around_what_is_seen_and_objects_cross() -> None:
    clip, crossed = Clip((0,), 6, 64, 0.5), set()
    for number in range(1, 200, 3):
        frame = clip.frame(number)
        for k, box in enumerate(frame.scene.boxes, 1):
            rows, columns = np.nonzero(frame.scene.owner == k)
            assert box == (columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1)
            whole = frame.boxes[frame.ids[k - 1] - 1]
            assert whole[0] <= box[0] + 0.5
            assert whole[3] >= box[3] - 1.5
        for k, j in zip(*np.nonzero(overlaps(frame.boxes, frame.boxes) > 0.1), strict=True):
            crossed |= {k + 1} if k != j else set()
    assert crossed == {1, 2, 3, 4, 5, 6}


def test_sequences_are_the_pictures_of_the_splits(tmp_path: Path) -> None:
    Clips(train=5, val=2, test=3, frames=3, objects=3, image_size=48).write(tmp_path / "set")
    sequences = {one.name: one for one in find_sequences(tmp_path / "set" / "sequences")}
    counts = {name: len(one.pictures) for name, one in sequences.items()}
    assert counts == {"train-01": 3, "train-02": 2, "val-01": 2, "test-01": 3}
    for place, name in enumerate(("000003", "000004")):
        picture = (tmp_path / "set" / "JPEGImages" / f"{name}.jpg").read_bytes()
        assert sequences["train-02"].pictures[place].read_bytes() == picture
    truth = read_tracks(sequences["test-01"].folder / ANNOTATIONS, annotated=True)
    assert truth.frames.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert truth.ids.tolist() == [1, 2, 3] * 3
    assert (truth.boxes >= 0).all()
    assert (truth.boxes <= 48).all()
