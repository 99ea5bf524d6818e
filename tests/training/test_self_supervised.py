"""Self-supervised tasks beside the others in the training step, in runs and in evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests import tiny
from tests.training.test_module import fit
from tests.training.test_run import HELPED, TASKS, assert_same_run, config, rows, stop_after, train, weights
from tests.training.test_semi_supervised import ALTERNATING
from vjo_train.config import build, jobs
from vjo_train.errors import ConfigError
from vjo_train.heads.self_supervised.masked import Masked
from vjo_train.heads.self_supervised.rotation import Rotation
from vjo_train.runs.results import read_results
from vjo_train.training.module import MultiTaskModule
from vjo_train.training.self_supervised import stacked
from vjo_train.types import Batch
from vjo_train.weighting.autolambda import AutoLambda
from vjo_train.weighting.base import Weighting
from vjo_train.weighting.equal import EqualWeighting
from vjo_train.weighting.pcgrad import PCGrad

ALL = (*TASKS, "rotation", "masked")
HEADS = [*HELPED, "heads.rotation.images=2"]
FEW = ["dataset.labels={classification:3,detection:1}"]


def module(weighting: Weighting | None = None) -> MultiTaskModule:
    """Two tasks, and two that are self-supervised; no norm, so that an image's features are its own."""
    plain = tiny.module(TASKS)
    channels = {"c5": 16} | {f"p{k}": 16 for k in range(3, 8)}
    torch.manual_seed(0)
    heads = {
        **{task: plain.head(task) for task in TASKS},
        "rotation": Rotation(channels=channels),
        "masked": Masked(channels=channels, width=8, patch=8),
    }
    sharing = type(plain.sharing)(
        backbone=plain.sharing.backbone, neck=plain.sharing.neck, levels={t: h.levels for t, h in heads.items()}
    )
    made = MultiTaskModule(
        sharing=sharing,
        heads=heads,
        weighting=weighting or EqualWeighting(tasks=ALL),
        optimizer=plain._optimizer,
        lr_schedule=plain._lr_schedule,
        channels_last=False,
    )
    made.views_per_step = {"rotation": 4, "masked": 2}
    return made


def batch(step: int = 0) -> Batch:
    return replace(tiny.batch(3, step=step), pictures=tiny.batch(4, tasks=(), step=step, seed=9))


def pieces(rank: int = 0, world: int = 1, of: Batch | None = None) -> list[Batch]:
    made = module()
    made._trainer = SimpleNamespace(world_size=world, global_rank=rank)  # type: ignore
    return made.with_helpers(of or batch())


def test_the_other_tasks_see_nothing_of_it() -> None:
    made, own = module(), batch()
    whole = stacked(pieces())
    assert (len(whole), whole.tasks) == (3 + 4 + 2, ALL)
    with torch.no_grad():
        together = made._together(whole, made._per_image(whole, made.share(whole.images, ALL)))
        alone = made._together(own, made._per_image(own, made.share(own.images, TASKS)))
    assert together.counts == {**alone.counts, "rotation": 4, "masked": 2}
    for task in TASKS:
        torch.testing.assert_close(together.values[task], alone.values[task], atol=1e-6, rtol=1e-6)
        assert not together.per_image[task][3:].any()
    assert together.per_image["rotation"].bool().tolist() == [False] * 3 + [True] * 4 + [False] * 2
    assert together.per_image["masked"].bool().tolist() == [False] * 7 + [True] * 2


def test_the_views_are_those_of_the_step_whatever_the_number_of_ranks() -> None:
    whole = pieces()
    assert torch.equal(pieces()[1].images, whole[1].images)
    assert not torch.equal(pieces(of=batch(1))[1].images, whole[1].images)
    for rank in (0, 1):
        own = batch()
        assert own.pictures is not None
        mine = tiny.batch(4, tasks=(), seed=9)
        mine.images, mine.targets, mine.ids = mine.images[rank::2], mine.targets[rank::2], mine.ids[rank::2]
        mine.scales, mine.originals = mine.scales[rank::2], mine.originals[rank::2]
        for piece, part in zip(whole[1:], pieces(rank, 2, replace(own, pictures=mine))[1:], strict=True):
            assert torch.equal(piece.images[rank::2], part.images)


def test_every_rank_gets_as_many() -> None:
    made = module()
    made._trainer = SimpleNamespace(world_size=4, global_rank=0)  # type: ignore
    with pytest.raises(ConfigError, match=r"heads\.masked\.images: found 2 for 4 ranks; must be a multiple"):
        made.on_fit_start()


@pytest.mark.parametrize(
    "weighting",
    [
        PCGrad(tasks=ALL, at="parameters", sample=0.5),
        PCGrad(tasks=ALL, at="features"),
        AutoLambda(tasks=ALL, helpers=ALL[2:], lr=0.1),
    ],
    ids=["sample", "features", "autolambda"],
)
def test_weightings_count_it_as_a_task_of_the_step(weighting: Weighting, tmp_path: Path) -> None:
    """From samples of the images too, and with held-out images, which are of the other tasks alone."""
    made = module(weighting)
    steps = [batch(step) for step in range(2)]
    if weighting.meta_tasks:
        assert weighting.meta_tasks == TASKS
        steps = [replace(one, meta=tiny.batch(3, step=one.step, seed=5)) for one in steps]
    fit(made, steps, tmp_path)
    found = {task: float(made.trainer.callback_metrics[f"train/{task}/weight"]) for task in ALL}
    assert all(value > 0 for value in found.values())
    assert len(set(found.values())) > 1


@pytest.mark.parametrize("extra", [[], [*ALTERNATING, "semi=mean_teacher", "semi.sure={classification:0.5}"]])
def test_a_run_goes_on_bit_equal(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path, extra: list[str]
) -> None:
    """With few labels; beside a teacher, one task at a time and with accumulation; stopped inside an epoch."""
    words = [*HEADS, *FEW, *extra]
    cut = tmp_path / "cut"
    stop_after(5, cache, cut, *words)
    train(cache, cut, "trainer.resume=auto", *words)
    whole = undisturbed(*words)
    assert_same_run(whole, cut)
    last = rows(whole)[-1]
    assert 0 < float(last["train/masked/loss"]) < 2
    assert 0 <= float(last["val/rotation/top1"]) <= 1
    assert float(last["val/monitor"]) == pytest.approx(
        (float(last["val/classification/map"]) + float(last["val/detection/map_area"])) / 2, abs=1e-6
    )


def test_it_is_no_goal_of_the_run(undisturbed: Callable[..., Path]) -> None:
    results = read_results(undisturbed(*HEADS, *FEW) / "results.json")
    assert {"test/rotation/top1", "test/masked/r2"} <= set(results.metrics)
    assert {name.split("/")[1] for name in results.monitors} == set(TASKS)
    assert results.counts["train"] == {"images": 14, "classification": 3, "detection": 1}


def test_figures_do_not_depend_on_the_evaluations_batches_nor_the_others_on_it(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path
) -> None:
    folder = undisturbed(*HEADS, *FEW)
    tested = {k: v for k, v in read_results(folder / "results.json").metrics.items() if k.startswith("test/")}
    cfg = config(cache, [*HEADS, *FEW, "dataset.eval_batch_size=3"])
    again = jobs.evaluate(cfg, tmp_path / "eval", folder / "checkpoints/best.ckpt").metrics
    assert again == pytest.approx(tested, abs=1e-5)
    assert again["test/rotation/top1"] == tested["test/rotation/top1"]
    jobs_ = [build.job(config(cache, words), tmp_path / "run") for words in ([*HEADS, *FEW], FEW)]
    state = weights(folder)
    for job in jobs_:
        own = [name for name in job.module.state_dict() if not name.startswith("weighting")]
        job.module.load_state_dict({name: state[name] for name in own}, strict=False)
        job.module.eval()
    batch = next(iter(jobs_[0].data.test_dataloader()))
    with torch.no_grad():
        found, alone = (job.module.predict(batch) for job in jobs_)
    assert set(found) == set(TASKS)
    for mine, other in zip(found["detection"], alone["detection"], strict=True):
        assert torch.equal(mine.boxes, other.boxes)
        assert torch.equal(mine.scores, other.scores)
    assert all(map(torch.equal, found["classification"], alone["classification"]))


def test_without_helpers_a_run_is_that_of_the_other_heads(undisturbed: Callable[..., Path]) -> None:
    assert_same_run(undisturbed(*HEADS, "helpers=false"), undisturbed())


def plans(cache: Path, folder: Path, *words: str) -> list[Any]:
    data = build.job(config(cache, words), folder).data
    data.prepare_data()
    data.setup("fit")
    return [data.batch_plan(step) for step in range(7)]


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_batches_are_those_without_it_and_all_pictures_serve(cache: Path, tmp_path: Path, schedule: str) -> None:
    own = plans(cache, tmp_path, *HEADS, *FEW, f"schedule={schedule}")
    assert [replace(plan, pictures=None) for plan in own] == plans(cache, tmp_path, *FEW, f"schedule={schedule}")
    shown = [sample.image for plan in own for sample in plan.pictures.samples]
    assert len(shown) == 28  # seven steps of four
    assert len(set(shown[:14])) == len(set(shown[14:])) == 14  # each round shows every picture once
    # A task alone trains on the same images, without it.
    assert all(plan.pictures is None for plan in plans(cache, tmp_path, *HEADS, "single=detection"))


def test_it_trains_in_bfloat16_and_tells_whom_it_helps(cache: Path, tmp_path: Path) -> None:
    words = ["trainer.precision=bf16-mixed", "trainer.max_epochs=1", "insight=[affinity]", "insight.affinity.every=2"]
    folder = train(cache, tmp_path / "run", *HEADS, *words)
    assert 0 < float(rows(folder)[0]["train/masked/loss"]) < 2
    assert math.isfinite(read_results(folder / "results.json").training["train/affinity/rotation/detection"])
