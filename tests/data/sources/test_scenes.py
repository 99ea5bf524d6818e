"""The drawn scenes' folder, as it is read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from vjo_train.data.index import Index
from vjo_train.data.scenes import Scenes
from vjo_train.data.sources.scenes import SPACE, SceneFiles


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Scenes(train=3, val=1, test=1, image_size=48).write(tmp_path / "drawn")
    return tmp_path / "drawn"


def read(root: Path) -> Index:
    return SceneFiles().read_index(root, SceneFiles().class_names(root))


def _points_of_another_picture(file: Path) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"points": [*content["points"], *content["points"], [[1, 1, 2]] * 4]}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.write_text("{"), "cannot be read"),
        (lambda file: file.write_text('{"category": "wall"}'), "cannot be read"),
        (lambda file: file.write_text("[" * 100_000), "cannot be read"),
        (Path.unlink, "cannot be read"),
        (_points_of_another_picture, "found points of"),
    ],
)
def test_what_is_known_of_a_picture_and_does_not_fit_it_is_its_fault_alone(root: Path, change, said: str) -> None:
    sound = read(root)
    file = sorted((root / SPACE).iterdir())[1]
    stamp = SceneFiles().stamp(root)
    change(file)
    found = read(root)
    assert found.faulty.tolist() == [1]
    assert file.name in str(found.faults[0])
    assert said in str(found.faults[0])
    assert SceneFiles().stamp(root) != stamp
    for row in (0, 2, 3, 4):
        before, after = (SceneFiles().read(root, index, row, "keypoints") for index in (sound, found))
        assert np.array_equal(before.points, after.points)


def test_points_that_moved_change_the_fingerprint(root: Path) -> None:
    before = read(root)
    file = next(file for file in sorted((root / SPACE).iterdir()) if json.loads(file.read_text())["points"])
    content = json.loads(file.read_text())
    content["points"][0][0][0] += 1
    file.write_text(json.dumps(content))
    os.utime(file)
    every = np.arange(len(before))
    assert read(root).fingerprint(every) != before.fingerprint(every)
