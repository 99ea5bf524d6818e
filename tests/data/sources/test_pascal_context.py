"""PASCAL-Context for several tasks, on a miniature of the published folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.miniatures import PASCAL_SIZE as SIZE
from tests.miniatures import SKY, WALL, write_pascal
from vjo_train.data.index import Index
from vjo_train.data.labels.human_parts import HumanParts
from vjo_train.data.placement import Unmoved
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.pascal_context.classes import NORMALS_KNOWN, OBJECTS, PARTS
from vjo_train.data.sources.pascal_context.source import PascalContext, borders
from vjo_train.errors import DataError


def halves(rows: slice) -> npt.NDArray[np.uint8]:
    mask = np.zeros(SIZE, np.uint8)
    mask[rows] = 1
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "PASCAL_MT"
    write_pascal(place, "2008_000002", parts={"hair": halves(slice(0, 2)), "lfoot": halves(slice(8, 12))})
    write_pascal(place, "2008_000003", parts=None, context=True)
    write_pascal(place, "2008_000004", parts={"torso": halves(slice(0, 12))}, split="val")
    return place


def read(root: Path, classes: list[str] | None = None) -> tuple[PascalContext, Index]:
    source = PascalContext()
    place = source.root(root)
    return source, load_index(source, place, classes or source.class_names(place), root.parent / "cache")


def test_every_kind_is_read(root: Path) -> None:
    source, index = read(root.parent)
    assert source.splits(root) == ["train", "val"]
    assert source.split(root, "train") == ["2008_000002", "2008_000003"]
    assert {kind: flags.tolist() for kind, flags in index.labelled.items()} == {
        **{kind: [True, True, True] for kind in ("semantic", "normals", "saliency", "edges")},
        "human_parts": [True, False, True],
    }
    semantic = source.read(root, index, 1, "semantic")
    assert (semantic[0] == 255).all()
    assert np.unique(semantic[1:]).tolist() == [0, 15]
    parts = HumanParts().place(source.read(root, index, 0, "human_parts"), Unmoved(SIZE, 0))
    names = ["background", *index.classes.tolist()]
    assert [names[int(parts[row, 0])] for row in (0, 5, 9)] == ["head", "background", "lower leg"]
    saliency = source.read(root, index, 0, "saliency")
    assert [int(saliency[row, 0]) for row in (0, 5, 9)] == [1, 0, 0]
    edges = source.read(root, index, 0, "edges")
    assert edges.nonzero()[:, 1].unique().tolist() == [7], "one pixel wide, between wall and sky"


def test_normals_are_known_where_nyuv2_has_the_class(root: Path) -> None:
    source, index = read(root)
    normals = source.read(root, index, 0, "normals")
    assert normals.shape == (3, *SIZE)
    assert normals[:, :, 8:].isnan().all(), "sky"
    wall = normals[:, :, :8]
    np.testing.assert_allclose(wall.norm(dim=0), 1, atol=1e-6)
    assert (wall[0] > 0.99).all()
    assert {WALL, 427, 284, 158} <= set(NORMALS_KNOWN)
    assert not {SKY, 431, 187} & set(NORMALS_KNOWN)
    assert len(set(NORMALS_KNOWN)) == len(NORMALS_KNOWN)


def test_heads_have_the_classes_of_their_kind(root: Path) -> None:
    source, index = read(root, ["person", "torso"])
    assert source.class_names_of(root, "semantic") == list(OBJECTS)
    assert source.class_names_of(root, "human_parts") == list(PARTS)
    assert np.unique(source.read(root, index, 2, "semantic")).tolist() == [0, 1, 255]
    assert np.unique(source.read(root, index, 2, "human_parts")).tolist() == [2]
    with pytest.raises(DataError, match=r"dataset\.classes: found 'tail'; allowed are aeroplane"):
        read(root, ["tail"])


@pytest.mark.parametrize("content", [b"", b"MATLAB", None])
def test_broken_files_are_faults_of_their_pictures(root: Path, content: bytes | None) -> None:
    path = root / "human_parts/2008_000002.mat"
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    _, index = read(root)
    assert index.faulty.tolist() == [0]
    assert "2008_000002.mat: damaged or no MATLAB file" in str(index.faults[0])


def test_an_unknown_part_is_said(root: Path) -> None:
    write_pascal(root, "2008_000005", parts={"tail": halves(slice(0, 3))})
    _, index = read(root)
    assert "found the part 'tail'; allowed are head, hair" in str(index.faults[0])


def test_mistakes_in_lists_and_folders(root: Path, tmp_path: Path) -> None:
    source = PascalContext()
    with pytest.raises(DataError, match="must be the folder PASCAL_MT"):
        source.root(tmp_path / "other")
    with pytest.raises(DataError, match="there is no split 'test'; found train, val"):
        source.split(root, "test")
    (root / "ImageSets/Context/train.txt").write_text("a\na\n")
    with pytest.raises(DataError, match="must list at least one image, and each once"):
        source.split(root, "train")


def test_a_name_that_no_disk_can_hold_has_no_picture(root: Path) -> None:
    ids = PascalContext().split(root, "train")
    listed = root / "ImageSets/Context/train.txt"
    listed.write_text(f"{listed.read_text()}{'x' * 300}\n")
    _, index = read(root)
    assert [name for name in index.ids if name in ids] == ids


def test_borders_lie_on_one_side() -> None:
    np.testing.assert_array_equal(borders(np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])), [[0, 1, 0], [1, 1, 1], [0] * 3])
