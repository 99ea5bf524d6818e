"""Training on some of the labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.test_datamodule import NEEDS, make
from vjo_train.data.kept_labels import kept
from vjo_train.data.unlabelled import UnlabelledPlan
from vjo_train.errors import ConfigError, DataError

rows = st.sets(st.integers(0, 80), min_size=1).map(lambda found: np.array(sorted(found)))


@given(rows, rows, st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 9))
def test_a_smaller_share_lies_in_a_larger_one(one, two, a, b, seed):
    labelled = {"x": one, "y": two}
    less, more = (kept({"x": share}, labelled, seed) for share in sorted((a, b)))
    assert set(less["x"]) <= set(more["x"]) <= set(one)
    assert len(less["x"]) == max(1, round(min(a, b) * len(one)))
    assert np.array_equal(more["y"], two)
    number = kept({"x": len(less["x"])}, labelled, seed)
    assert np.array_equal(number["x"], less["x"])


@given(rows, st.floats(0.01, 1), st.integers(0, 9))
def test_tasks_keep_the_labels_of_the_same_images(both, share, seed):
    found = kept({"x": share, "y": share}, {"x": both, "y": both}, seed)
    assert np.array_equal(found["x"], found["y"])


def test_more_labels_than_there_are(shapes_root, tmp_path):
    with pytest.raises(DataError, match=r"dataset\.labels\.x: found 4; 3 training images are labelled"):
        kept({"x": 4}, {"x": np.arange(3)}, 0)
    with pytest.raises(ConfigError, match=r"dataset\.labels: found 'semantics'; .* did you mean 'semantic'"):
        make(shapes_root, tmp_path, labels={"semantics": 0.5})


@pytest.mark.parametrize("workers", [0, 2])
def test_a_withheld_label_reaches_no_batch(shapes_root, tmp_path, workers):
    """Instance sees the masks of five images; what the others see of the same images stays."""
    data = make(shapes_root, tmp_path, labels={"instance": 5, "classification": 0.5}, workers=workers)
    few = set(data.index.ids[data.training_labels["instance"]])
    assert len(few) == 5
    counts = {task: set() for task in NEEDS}
    for batch in [*data.train_dataloader(), *data.train_dataloader()]:
        for task, needs in NEEDS.items():
            known = batch.known(task)
            counts[task] |= {name for name, one in zip(batch.ids, known, strict=True) if needs <= one.labelled}
    assert counts["instance"] <= few
    assert len(counts["semantic"]) > 5
    assert counts["classification"] <= set(data.index.ids[data.training_labels["classification"]])
    assert data.plan.labelled == {"classification": 12, "semantic": 12, "instance": 5}
    whole = next(iter(data.val_dataloader()))
    assert whole.known("instance") is whole.targets  # evaluation sees all


def unlabelled(**changed):
    keys = {"labelled": {"x": np.arange(4), "y": np.arange(10)}, "images": np.arange(10), "per_step": 4, "seed": 1}
    return UnlabelledPlan(**{**keys, **changed})


def test_only_images_that_lack_a_label_of_a_task_that_is_on():
    plan = unlabelled()
    seen = [sample for step in range(3) for sample in plan.share(step, ("x", "y")).samples]
    assert sorted(sample.image for sample in seen) == sorted([*range(4, 10), *range(4, 10)])  # two whole rounds
    assert plan.share(0, ("y",)) is None
    assert plan.share(2, ("x",)) == unlabelled().share(2, ("x",))
    ranks = [plan.share(1, ("x",), rank, 2).samples for rank in (0, 1)]
    assert sorted(ranks[0] + ranks[1]) == sorted(plan.share(1, ("x",)).samples)


def test_there_must_be_some():
    with pytest.raises(ConfigError, match=r"semi: each of the 10 training images is labelled for y"):
        unlabelled(labelled={"y": np.arange(10)})
