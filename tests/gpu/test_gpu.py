"""Whole runs on a GPU, where there is one: they train, are resumed and predict as on the processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import vjo_train
from tests.config.test_experiments import CONF, EXPERIMENTS, Miniature, miniature, small  # noqa: F401 - a fixture
from tests.sharing.ways import BUILD
from tests.training.test_run import FEW, META, SMALL, assert_same_run, stop_after, train, weights
from vjo_train.config import jobs
from vjo_train.runs.results import read_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
GPU = ("trainer.accelerator=gpu", "trainer.max_epochs=1")
EXACT = ("trainer.precision=32-true", "heads.classification.dropout=0", "weighting=equal")
METHODS = sorted(file.stem for file in (CONF / "weighting").glob("*.yaml"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def no_tf32() -> Iterator[None]:
    """Convolutions of float32 in float32."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def test_the_first_steps_are_those_of_the_processor(cache: Path, tmp_path: Path, no_tf32: None) -> None:
    common = [*EXACT, *FEW, "trainer.max_steps=2", "backbone._target_=tests.tiny.TinyBackbone"]
    one = train(cache, tmp_path / "one", *common)
    two = train(cache, tmp_path / "two", *common, *GPU)
    other = weights(two)
    for name, value in weights(one).items():
        torch.testing.assert_close(value, other[name], atol=2e-4, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("precision", ["auto", "16-mixed"])
def test_every_experiment_trains_an_epoch(
    name: str,
    precision: str,
    miniature: Miniature,  # noqa: F811
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    cfg = small(name, miniature, tmp_path_factory.getbasetemp() / "cache")
    cfg.trainer.accelerator, cfg.trainer.precision = "gpu", precision
    results = jobs.train(cfg, tmp_path)
    assert results.epochs == 1
    assert {metric.split("/")[1] for metric in results.metrics} == {*cfg.heads, *(cfg.get("merge") or {})}


@pytest.mark.parametrize("name", METHODS)
def test_every_weighting_trains_an_epoch(name: str, cache: Path, tmp_path: Path) -> None:
    held_out = ["dataset.meta_fraction=0.2"] if name in ("meta", "autolambda") else []
    folder = train(cache, tmp_path, *GPU, f"weighting={name}", *held_out)
    assert read_results(folder / "results.json").epochs == 1


OPTIONS = {
    **{way: [f"sharing={way}"] for way in BUILD if way != "adashare"},  # which needs residual blocks
    "alternating": ["schedule=alternating"],
    "ema": ["trainer.ema=0.9"],
    "accumulate": ["trainer.accumulate_grad_batches=2", "weighting=pcgrad"],
    "half precision with a scaler": ["trainer.precision=16-mixed", "weighting=pcgrad", "trainer.gradient_clip_val=1"],
    "teacher": ["dataset.labels={detection: 0.5}", "semi=mean_teacher"],
    "workers": ["dataset.workers=2", "dataset.cache=ram"],
    "pictures": ["trainer.drawn_images=4", "insight=[regions]"],
    "affinity": ["insight=[affinity]"],
    "activations": ["trainer.activation_checkpointing=true"],
    "compiled": ["trainer.compile=true"],
    "profile": ["trainer.profile=true"],
    "deterministic": ["trainer.deterministic=true"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_go_with_it(name: str, cache: Path, tmp_path: Path) -> None:
    folder = train(cache, tmp_path, *GPU, *OPTIONS[name])
    assert read_results(folder / "results.json").epochs == 1


@pytest.mark.parametrize("extra", [[], [*META, "schedule=alternating", "trainer.ema=0.9"]])
def test_a_run_that_was_stopped_goes_on(cache: Path, tmp_path: Path, extra: list[str]) -> None:
    """The kernels of the backward pass add in any order, so that the weights are nearly the same."""
    common = [*extra, "trainer.accelerator=gpu", "trainer.precision=32-true"]
    whole, cut = train(cache, tmp_path / "whole", *common), tmp_path / "cut"
    stop_after(6, cache, cut, *common)
    train(cache, cut, *common, "trainer.resume=auto")
    other = weights(cut)
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, other[name], atol=1e-3, rtol=1e-2, msg=lambda m, name=name: f"{name}: {m}")


def test_a_run_that_was_stopped_goes_on_bit_equal(cache: Path, tmp_path: Path) -> None:
    common = ["trainer.accelerator=gpu", "trainer.deterministic=true"]
    whole, cut = train(cache, tmp_path / "whole", *common), tmp_path / "cut"
    stop_after(6, cache, cut, *common)
    train(cache, cut, *common, "trainer.resume=auto")
    assert_same_run(whole, cut)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_it_predicts_and_tests_as_the_processor(
    cache: Path, tmp_path: Path, no_tf32: None, precision: str, command: Callable[..., Any]
) -> None:
    def ended(*words: str) -> None:
        code, _, err = command(*words)
        assert code == 0, err

    run = tmp_path / "run"
    words = [*SMALL, *GPU, f"dataset.cache_dir={cache}", "trainer.max_epochs=8", f"trainer.precision={precision}"]
    ended("vjo-train", *words, f"hydra.run.dir={run}")
    pictures = sorted(cache.rglob("JPEGImages/*"))[:6]
    found = [vjo_train.load(run, device=device, precision="32-true")(pictures) for device in ("cpu", "cuda")]
    for one, two in zip(*found, strict=True):
        scores = [torch.as_tensor(answer["classification"].scores) for answer in (one, two)]
        torch.testing.assert_close(*scores, atol=1e-3, rtol=0)
    assert len(vjo_train.load(run, device="cuda", precision=precision)(pictures)) == len(pictures)
    for device in ("cpu", "gpu"):
        ended("vjo-eval", f"run={run}", f"hydra.run.dir={tmp_path / device}", f"trainer.accelerator={device}")
    figures = [read_results(tmp_path / device / "results.json").metrics for device in ("cpu", "gpu")]
    assert figures[0] == pytest.approx(figures[1], abs=0.02, nan_ok=True)
    ended("vjo-predict", f"run={run}", f"source={pictures[0].parent}", f"output={tmp_path / 'o'}", "accelerator=gpu")
    ended("vjo-export", f"run={run}", f"output={tmp_path / 'model.onnx'}")
