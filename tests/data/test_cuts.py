"""Parts of a split: every image in one fold, groups in one part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.test_datamodule import make
from vjo_train.data import cuts
from vjo_train.data.sources.unlisted import SHARES, made, regrouped
from vjo_train.errors import ConfigError, DataError

GROUPS = st.lists(st.integers(0, 12), min_size=4, max_size=40).map(np.array)


@given(GROUPS, st.integers(1, 20), st.integers(0, 99))
def test_a_cut_takes_whole_groups_and_no_more_than_it_needs(groups: np.ndarray, number: int, seed: int) -> None:
    is_cut = cuts.cut(groups, number, np.random.default_rng(seed))
    assert not set(groups[is_cut].tolist()) & set(groups[~is_cut].tolist())
    assert is_cut.sum() >= min(number, len(groups))
    sizes = [int((groups[is_cut] == group).sum()) for group in set(groups[is_cut].tolist())]
    assert is_cut.sum() - max(sizes) < number, "without some group it would be too small"


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_images_alone_are_cut_as_a_permutation_says(images: int, number: int, seed: int) -> None:
    is_cut = cuts.cut(np.arange(images), min(number, images), np.random.default_rng(seed))
    wanted = np.random.default_rng(seed).permutation(images)[: min(number, images)]
    assert np.flatnonzero(is_cut).tolist() == sorted(wanted.tolist())


@given(GROUPS, st.integers(2, 5), st.integers(0, 99))
def test_every_image_is_in_one_fold_with_its_group(groups: np.ndarray, count: int, seed: int) -> None:
    fold = cuts.folds(groups, count, np.random.default_rng(seed))
    assert set(fold.tolist()) <= set(range(count))
    for group in set(groups.tolist()):
        assert len(set(fold[groups == group].tolist())) == 1
    alone = cuts.folds(np.arange(len(groups)), count, np.random.default_rng(seed))
    sizes = np.bincount(alone, minlength=count)
    assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.integers(0, 30), min_size=3, max_size=60), st.sampled_from([(), ("test",), ("trainval",)]))
def test_images_in_no_list_are_shared_out_by_whole_groups(owners: list[int], listed: tuple[str, ...]) -> None:
    groups = {f"{number:02}": f"p{owner}" for number, owner in enumerate(owners)}
    parts = made(dict.fromkeys(listed, ()), groups)
    assert regrouped(parts, {name: name for name in groups}) == parts
    count = len(set(owners))
    if count < len(set(parts) - {"trainval"}):
        with pytest.raises(DataError, match=f"found {count} groups of images to share out"):
            regrouped(parts, groups)
        return
    try:
        found = regrouped(parts, groups)
    except DataError:
        assert count < 12, "a large group may leave none for train"
        return
    assert set(found) == set(parts)
    own = [{groups[name] for name in found[split]} for split in SHARES if split in found]
    assert sum(map(len, own)) == count == len(set().union(*own))
    assert sorted(name for split in SHARES for name in found.get(split, ())) == sorted(groups)
    if "trainval" in found:
        assert found["trainval"] == sorted([*found["train"], *found["val"]])


def test_the_folds_of_a_data_set(shapes_root: Path, tmp_path: Path) -> None:
    """24 images `000000`..`000023`; groups of those with the same first five digits."""
    parts = [make(shapes_root, tmp_path, val_split=None, val_fraction=0.25, fold=fold) for fold in range(4)]
    assert sorted(row for part in parts for row in part.val_rows.tolist()) == sorted(
        parts[0].split_rows("train").tolist()
    )
    for part in parts:
        assert len(part.val_rows) == 6
        assert not set(part.val_rows.tolist()) & set(part.train_rows.tolist())
    grouped = make(shapes_root, tmp_path, val_split=None, val_fraction=0.3, group="^(.{5})", meta_fraction=0.3)
    names = [
        {str(name)[:5] for name in grouped.index.ids[rows]}
        for rows in (grouped.train_rows, grouped.val_rows, grouped.meta_rows)
    ]
    assert not names[0] & names[1]
    assert not names[0] & names[2]
    assert not names[1] & names[2]
    with pytest.raises(ConfigError, match=r"0\.2 makes 5 folds of 'train', which has 3 groups"):
        _ = make(shapes_root, tmp_path, val_split=None, val_fraction=0.2, fold=0, group="^(.{5})").val_rows
    with pytest.raises(DataError, match=r"'\^\(x\)' does not occur in the image id"):
        _ = make(shapes_root, tmp_path, val_split=None, val_fraction=0.2, group="^(x)").val_rows


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"val_fraction": 0.2, "fold": 5}, r"found 5; dataset\.val_fraction=0\.2 makes folds 0\.\.4"),
        ({"val_fraction": 0.0, "fold": 0}, r"dataset\.val_fraction is 0; 0\.2 makes five folds"),
        ({"val_split": "val", "fold": 0}, r"next to dataset\.val_split=val"),
        ({"group": "p[0-9"}, "is no regular expression"),
        ({"group": "p[0-9]+"}, "must have a group in brackets"),
    ],
)
def test_folds_and_groups_that_cannot_be(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(tmp_path, tmp_path, **{"val_split": None, "val_fraction": 0.1, **keys})
