"""Numbers of a whole picture: the head's maths, its figures, and the way from a table to a file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.tiny import BACKBONE
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.regression import Numbers, Regression
from vjo_train.metrics.numbers import NumberErrors
from vjo_train.runs.records import FILE, TaskRecords, read_records, to_bytes
from vjo_train.types import Frames, Target

Command = Callable[..., tuple[int, str, str]]
NAN = math.nan


def head(numbers: int = 2, **options: object) -> Regression:
    torch.manual_seed(0)
    return Regression(channels={"c5": 8}, num_classes=numbers, dropout=0.0, **options)  # type: ignore[arg-type]


def target(*values: float) -> Target:
    return Target((4, 4), {"numbers": torch.tensor(values)} if values else {})


@pytest.mark.parametrize("loss", ["smooth_l1", "mse"])
def test_the_loss_is_about_one_for_the_mean_whatever_the_unit(loss: str) -> None:
    torch.manual_seed(0)
    truth = torch.randn(20_000, 1) * 1e5 + 3e6
    own = head(1, loss=loss)
    own.learn_scale({"income": (3e6, 1e5)})
    losses = own.loss(torch.zeros(len(truth), 1), [target(float(value)) for value in truth[:, 0]])
    assert float(losses.mean()) == pytest.approx(1, abs=0.03)


def test_what_is_said_is_in_the_units_of_the_data() -> None:
    own = head()
    own.learn_scale({"age": (40.0, 10.0), "weight": (70.0, 0.0)})
    frames = Frames.of_files(torch.tensor([[4, 4]]), (4, 4))
    said = own.decoded(torch.tensor([[1.0, -2.0]]), frames)["numbers"]
    assert said.tolist() == [[50.0, 68.0]], "a number that never varies has a deviation of 1"
    assert float(own.loss(torch.tensor([[1.0, -2.0]]), [target(50.0, 68.0)])) == 0
    other = head()
    other.load_state_dict(own.state_dict())
    assert (other.mean.tolist(), other.deviation.tolist()) == ([40, 70], [10, 1]), "they lie in the checkpoint"


def test_what_is_unknown_counts_neither_way() -> None:
    own = head()
    own.space = LabelSpace(["weight", "age"], ["cat", "age", "weight"])
    own.learn_scale({"cat": (NAN, NAN), "age": (40.0, 10.0), "weight": (70.0, 5.0)})
    targets = [target(), target(NAN, NAN, NAN), target(NAN, 50.0, NAN), target(NAN, 50.0, 75.0)]
    seen = own.view(targets)
    assert [own.labelled(one) for one in seen] == [False, False, True, True]
    outputs = torch.tensor([[9.0, 3.0]] * 4, requires_grad=True)
    losses = own.loss(outputs, seen)
    alone = head(1).loss(torch.tensor([[2.0]]), [target(0.0)])  # an error of two deviations
    assert losses[:2].tolist() == [0, 0]
    assert float(losses[2].detach()) == pytest.approx(float(alone))
    losses.sum().backward()
    assert outputs.grad is not None
    assert outputs.grad[:3].count_nonzero() == 1, "no gradient, and no NaN, from what is unknown"
    assert outputs.grad.isfinite().all()
    published = own.published(Numbers(torch.tensor([71.0, 41.0]))).values
    assert published.isnan().tolist() == [True, False, False]
    assert published[1:].tolist() == [41, 71]


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 3))
def test_the_figures_are_their_formulas(seed: int, images: int, numbers: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = rng.normal(100, 20, (images, numbers)), rng.normal(100, 20, (images, numbers))
    truth[rng.random(truth.shape) < 0.3] = np.nan
    metric = NumberErrors(numbers)
    for one, other in zip(found, truth, strict=True):
        metric.update(torch.tensor(one), torch.tensor(other))
    computed = {name: value.numpy() for name, value in metric.compute().items()}
    for place in range(numbers):
        known = ~np.isnan(truth[:, place])
        own, error = truth[known, place], (found - truth)[known, place]
        if known.any():
            assert computed["mae_number"][place] == pytest.approx(np.abs(error).mean())
            assert computed["rmse_number"][place] == pytest.approx(np.sqrt((error**2).mean()))
        if known.sum() > 1:
            assert computed["r2_number"][place] == pytest.approx(1 - (error**2).sum() / ((own - own.mean()) ** 2).sum())
        else:
            assert np.isnan(computed["r2_number"][place])
    draws = rng.integers(0, 3, (4, images))
    sampled = metric.records().resampled(draws)
    for k, drawn in enumerate(draws):
        again = NumberErrors(numbers)
        for row in np.repeat(np.arange(images), drawn):
            again.update(torch.tensor(found[row]), torch.tensor(truth[row]))
        for name, value in sampled.items():
            np.testing.assert_allclose(value[k], float(again.compute()[name]), rtol=1e-6, atol=1e-9)


def test_records_come_back_and_say_which_images_went_well(tmp_path: Path) -> None:
    metric = NumberErrors(2)
    for found, true in (((1.0, 1.0), (1.0, NAN)), ((5.0, 5.0), (3.0, NAN)), ((1.0, 1.0), (NAN, 7.0))):
        metric.update(torch.tensor(found), torch.tensor(true))
    (tmp_path / FILE).write_bytes(to_bytes({"regression": TaskRecords(("a", "b", "c"), metric.records())}))
    records = read_records(tmp_path / FILE)["regression"].records
    assert records.quality().tolist() == pytest.approx([1, 1 / (1 + 2), 1 / 7])
    assert records.contents().tolist() == [1, 1, 1]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Grey pictures whose brightness and contrast-free twin are written beside them; one row has no number."""
    rng, lines = np.random.default_rng(0), ["image,bright,dark,round"]
    (tmp_path / "set").mkdir()
    for number in range(24):
        value = int(rng.integers(20, 236))
        Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(tmp_path / f"set/{number:02}.png")
        dark = "" if number % 3 else str(-value / 100)
        lines.append(f"{number:02}.png,{1000 + value},{dark},{number % 2}" if number != 5 else f"{number:02}.png,,,1")
    (tmp_path / "set/labels.csv").write_text("\n".join(lines))
    return tmp_path / "set"


@pytest.mark.slow
def test_from_a_table_to_files(command: Command, table: Path) -> None:
    words = ["dataset=table", f"dataset.root={table}", "dataset.source.numbers=[bright,dark]", "dataset.size=32"]
    words += ["heads=[regression,classification]", "dataset.batch_size=8", "dataset.workers=0"]
    words += ["dataset.augment.jitter=0", "dataset.augment.zoom_out=0", "dataset.cache_dir=cache", "seed=1"]
    words += ["trainer.max_epochs=3", "trainer.precision=32-true", "trainer.progress=false", "hydra.run.dir=run"]
    words += [
        *BACKBONE,
        "heads.regression.level=c3",
        "lr_schedule=constant",
        "optimizer=adamw",
        "optimizer.lr=0.005",
    ]
    status, _, err = command("vjo-train", *words)
    assert status == 0, err
    results = json.loads(Path("run/results.json").read_text())
    assert {name.rpartition("/")[2] for name in results["metrics"] if "regression" in name} == {"mae", "rmse", "r2"}
    assert set(results["per_class"]["test/regression/mae_number"]) == {"bright", "dark"}
    assert results["reported"]["test/regression/rmse"] is False
    assert set(results["per_class"]["test/classification/ap"]) == {"round"}
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert 1020 < float(state["heads.regression.mean"][0]) < 1236
    assert command("vjo-eval", "run=run")[0] == 0
    assert command("vjo-predict", "run=run", f"source={table}", "output=found")[0] == 0
    assert command("vjo-export", "run=run", "decoded=true", "output=net.onnx")[0] == 0
    assert command("vjo-predict", "model=net.onnx", f"source={table}", "output=onnx", "pictures=false")[0] == 0
    mine, other = (json.loads(Path(folder, "regression.json").read_text()) for folder in ("found", "onnx"))
    assert len(mine) == len(other) == 24
    for one, two in zip(mine, other, strict=True):
        assert one["file_name"] == two["file_name"]
        assert list(one["numbers"]) == ["bright", "dark"]
        for name, value in one["numbers"].items():
            assert value == pytest.approx(two["numbers"][name], rel=1e-4, abs=1e-3)
