from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vjo_train.data.plan import Plan
from vjo_train.data.rounds import Stream
from vjo_train.errors import ConfigError, DataError
from vjo_train.schedules.alternating import Alternating
from vjo_train.schedules.joint import Joint
from vjo_train.schedules.proportional import Proportional

TASKS = ("a", "b", "c")


@st.composite
def cases(draw):
    """Labelled images per task, with rare tasks likely, a batch that can hold the guarantee, a schedule."""
    images = draw(st.integers(1, 60))
    tasks = TASKS[: draw(st.integers(1, 3))]
    labelled = {
        task: np.array(sorted(draw(st.sets(st.integers(0, images - 1), min_size=1, max_size=images)))) for task in tasks
    }
    least = draw(st.integers(1, 4))
    batch = draw(st.integers(least * len(tasks), 24))
    schedule = draw(st.sampled_from(["joint", "step", "epoch", "rounds", "proportional"]))
    made = {
        "joint": lambda: Joint(tasks=tasks),
        "step": lambda: Alternating(tasks=tasks),
        "epoch": lambda: Alternating(tasks=tasks, by="epoch"),
        "proportional": lambda: Proportional(tasks=tasks, seed=1),
        "rounds": lambda: Alternating(tasks=tasks, rounds={task: 1 + i for i, task in enumerate(tasks)}),
    }[schedule]()
    made.set_counts({task: len(images) for task, images in labelled.items()})
    return {
        "labelled": labelled,
        "schedule": made,
        "batch_size": batch,
        "labelled_per_batch": least,
        "seed": draw(st.integers(0, 5)),
        "num_images": images,
        "weights": draw(st.none() | st.integers(0, 99).map(lambda seed: uneven(images, seed))),
    }


def uneven(images, seed):
    """From 1 to 4."""
    return 1 + 3 * np.random.default_rng(seed).random(images)


@settings(max_examples=60)
@given(cases())
def test_every_task_that_is_on_has_its_labelled_images(case):
    plan = Plan(**case)
    for step in range(25):
        batch = plan.batch(step)
        assert len(batch) == case["batch_size"]
        pool = np.concatenate([case["labelled"][task] for task in plan.tasks(step)])
        assert np.isin([draw.image for draw in batch], pool).all()
        for task in plan.tasks(step):
            served = np.isin([draw.image for draw in batch], case["labelled"][task]).sum()
            assert served >= case["labelled_per_batch"]


@settings(max_examples=30)
@given(cases(), st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_a_batch_depends_on_the_step_alone(case, steps):
    in_order, jumping = Plan(**case), Plan(**case)
    expected = [in_order.batch(step) for step in range(41)]
    for step in steps:
        assert jumping.batch(step) == expected[step]
        assert Plan(**case).batch(step) == expected[step]


@settings(max_examples=30)
@given(cases())
def test_draws_of_a_sequence_are_even_and_never_repeat_a_key(case):
    plan = Plan(**case)
    draws = [draw for step in range(40) for draw in plan.batch(step)]
    assert len(set(draws)) == len(draws)
    own = Counter(draw.image for draw in draws if draw.stream == "own/a")
    if own and case["weights"] is None:
        counts = [own[image] for image in case["labelled"]["a"]]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(0, 99))
def test_images_come_as_often_as_their_weights_say(images, seed):
    weights = uneven(images, seed)
    stream = Stream("own/a", np.arange(images), seed, weights)
    rounds = [[stream[number * images + place] for place in range(images)] for number in range(30)]
    shares = images * weights / weights.sum()
    for one in rounds:
        counts = np.bincount([sample.image for sample in one], minlength=images)
        assert (np.abs(counts - shares) < 1 + 1e-9).all()
    keys = [sample for one in rounds for sample in one]
    assert len(set(keys)) == len(keys)
    mean = np.bincount([sample.image for sample in keys], minlength=images) / 30
    assert np.abs(mean - shares).max() < 0.5
    equal = Stream("own/a", np.arange(images), seed, np.full(images, 2.0))
    assert sorted(equal[place].image for place in range(images)) == list(range(images))


def test_an_epoch_of_fully_labelled_images_shows_each_once():
    every = np.arange(20)
    plan = Plan(
        labelled={"a": every, "b": every},
        schedule=Joint(tasks=("a", "b")),
        batch_size=5,
        labelled_per_batch=2,
        seed=3,
        num_images=20,
    )
    assert plan.steps_per_epoch == 4
    epochs = [[draw.image for step in range(4 * e, 4 * e + 4) for draw in plan.batch(step)] for e in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_alternating_tasks_each_go_through_their_own_images():
    plan = Plan(
        labelled={"a": np.arange(12), "b": np.arange(100, 106)},
        schedule=Alternating(tasks=("a", "b"), rounds={"a": 2, "b": 1}),
        batch_size=6,
        labelled_per_batch=1,
        seed=0,
        num_images=18,
    )
    assert sorted(d.image for step in (0, 1) for d in plan.batch(step)) == list(range(12))
    assert sorted(d.image for d in plan.batch(2)) == list(range(100, 106))
    assert sorted(d.image for step in (3, 4) for d in plan.batch(step)) == list(range(12))


def test_ranks_share_the_global_batch_and_the_seed_matters():
    def plan(seed):
        every = np.arange(50)
        return Plan(
            labelled={"a": every, "b": every[:3]},
            schedule=Joint(tasks=("a", "b")),
            batch_size=8,
            labelled_per_batch=2,
            seed=seed,
            num_images=50,
        )

    shares = [plan(1).share(7, rank, 2).samples for rank in (0, 1)]
    together = [draw for pair in zip(*shares, strict=True) for draw in pair]
    assert together == plan(1).batch(7)
    assert plan(1).batch(7) != plan(2).batch(7)


def test_what_cannot_be_planned():
    labelled = {"a": np.arange(9), "semantic": np.arange(0)}
    rest = {"schedule": Joint(tasks=("a", "semantic")), "batch_size": 4, "seed": 0, "num_images": 9}
    with pytest.raises(DataError, match=r"heads\.semantic: none of the 9 training images is labelled for it"):
        Plan(labelled=labelled, labelled_per_batch=1, **rest)
    labelled["semantic"] = np.arange(6, 12)
    Plan(labelled=labelled, labelled_per_batch=2, **rest)
    with pytest.raises(
        ConfigError, match=r"dataset\.labelled_per_batch: found 3 for 2 tasks .* is 4; must be at most 2"
    ):
        Plan(labelled=labelled, labelled_per_batch=3, **rest)


@settings(max_examples=30)
@given(cases(), st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_what_each_task_has_seen_is_told_for_any_step(case, steps):
    plan = Plan(**case)
    for number in steps:
        expected = dict.fromkeys(case["labelled"], 0)
        for step in range(number):
            for task in plan.tasks(step):
                expected[task] += sum(draw.image in case["labelled"][task] for draw in plan.batch(step))
        assert plan.seen(number) == expected


@settings(max_examples=40)
@given(cases(), st.booleans())
def test_a_single_task_gets_the_images_that_it_gets_among_the_others(case, whole):
    if not isinstance(case["schedule"], Joint):
        return
    together = Plan(**case)
    everything = together.seen(20)
    for task, images in case["labelled"].items():
        alone = Plan(**case, trained=[task], keep_unlabelled=whole)
        for step in range(20):
            turn = alone.share(step)
            assert turn.tasks == (task,)
            of_task = [draw for draw in turn.samples if draw.image in images]
            assert of_task == [draw for draw in together.batch(step) if draw.image in images]
            assert len(turn.samples) == (case["batch_size"] if whole else len(of_task))
        assert alone.seen(20) == {task: everything[task]}


def test_a_single_task_and_its_ranks_need_images_at_every_step():
    case = {"batch_size": 4, "labelled_per_batch": 1, "seed": 0, "num_images": 8, "keep_unlabelled": False}
    labelled = {"a": np.arange(8), "b": np.array([3])}
    plan = Plan(labelled=labelled, schedule=Joint(tasks=("a", "b")), trained=["b"], **case)
    with pytest.raises(ConfigError, match=r"labelled_per_batch: batch \d holds 1 images for 2 ranks"):
        [plan.share(step, 0, 2) for step in range(4)]
    plan = Plan(labelled=labelled, schedule=Alternating(tasks=("a", "b")), trained=["b"], **case)
    with pytest.raises(ConfigError, match="a single task needs schedule=joint"):
        plan.share(0)


def make_plan(labelled, batch_size, labelled_per_batch=1):
    return Plan(
        labelled=labelled,
        schedule=Joint(tasks=tuple(labelled)),
        batch_size=batch_size,
        labelled_per_batch=labelled_per_batch,
        seed=0,
        num_images=12,
    )


def test_one_image_serves_all_tasks_that_it_is_labelled_for():
    """Tasks whose images are the same, or hold those of another task, ask for no place of their own."""
    every, some = np.arange(9), np.array([2, 5])
    plan = make_plan({"classification": every, "detection": every, "semantic": some}, batch_size=1)
    assert {plan.batch(step)[0].image for step in range(8)} == {2, 5}
    alike = make_plan({"classification": every, "detection": every}, batch_size=1)
    assert sorted(alike.batch(step)[0].image for step in range(9)) == list(range(9))
    with pytest.raises(ConfigError, match=r"dataset\.batch_size: found 1 for 2 tasks that differ .* at least 2"):
        make_plan({"detection": np.array([1, 2]), "semantic": some}, batch_size=1)


@settings(max_examples=100)
@given(st.data())
def test_every_task_gets_its_images_wherever_the_batch_can_hold_them(data):
    sets = data.draw(st.lists(st.sets(st.integers(0, 11), min_size=1), min_size=1, max_size=5))
    labelled = {f"task{k}": np.array(sorted(images)) for k, images in enumerate(sets)}
    batch, need = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 3))
    try:
        plan = make_plan(labelled, batch_size=batch, labelled_per_batch=need)
    except ConfigError:
        return
    for step in range(12):
        images = [draw.image for draw in plan.batch(step)]
        assert len(images) == batch
        for own in labelled.values():
            assert np.isin(images, own).sum() >= need
