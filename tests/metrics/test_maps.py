"""Depth, normals, yes and no, and categories against literal NumPy and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy

from vjo_train.metrics.binary import STEPS, BinaryPixels
from vjo_train.metrics.choices import CategoryAccuracy
from vjo_train.metrics.depth import depth_figures
from vjo_train.metrics.edges import NearEdges, near_counts
from vjo_train.metrics.image_means import ImageMeans
from vjo_train.metrics.normals import normals_figures
from vjo_train.types import IGNORE


def depths(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 10, (7, 9)).astype(np.float32)
    found = (truth * rng.uniform(0.5, 2.2, truth.shape)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.3] = np.nan
    truth[0, 0] = 2.0
    return found, truth


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_depth_as_the_papers_write_it(seed: int) -> None:
    found, truth = depths(seed)
    figures = depth_figures(torch.from_numpy(found), torch.from_numpy(truth))
    pairs = [(float(p), float(t)) for p, t in zip(found.ravel(), truth.ravel(), strict=True) if not math.isnan(t)]
    n = len(pairs)
    wanted = {
        "abs_err": sum(abs(p - t) for p, t in pairs) / n,
        "abs_rel": sum(abs(p - t) / t for p, t in pairs) / n,
        "rmse": math.sqrt(sum((p - t) ** 2 for p, t in pairs) / n),
        "log10": sum(abs(math.log10(p) - math.log10(t)) for p, t in pairs) / n,
        **{f"delta{k}": sum(max(p / t, t / p) < 1.25**k for p, t in pairs) / n for k in (1, 2, 3)},
    }
    assert {name: float(value) for name, value in figures.items()} == pytest.approx(wanted, abs=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_normals_as_the_papers_write_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, truth = (rng.normal(size=(3, 6, 5)) for _ in range(2))
    truth = found + rng.uniform(0.05, 1.0) * truth
    found, truth = found / np.linalg.norm(found, axis=0), truth / np.linalg.norm(truth, axis=0)
    truth[:, 2, 3] = np.nan
    figures = normals_figures(torch.from_numpy(found), torch.from_numpy(truth))
    known = ~np.isnan(truth[0])
    angles = np.degrees(np.arccos(np.clip((found * truth).sum(0)[known], -1, 1)))
    wanted = {
        "mean_angle": angles.mean(),
        "median_angle": np.sort(angles)[(len(angles) - 1) // 2],
        "within_11": (angles < 11.25).mean(),
        "within_22": (angles < 22.5).mean(),
        "within_30": (angles < 30).mean(),
    }
    assert {name: float(value) for name, value in figures.items()} == pytest.approx(wanted, abs=1e-6)


def test_opposite_and_equal_normals() -> None:
    up = torch.tensor([0.0, 0.0, 1.0])[:, None, None].expand(3, 2, 2)
    assert float(normals_figures(up, up)["mean_angle"]) == 0
    assert float(normals_figures(up, -up)["mean_angle"]) == pytest.approx(180)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_the_best_threshold_of_yes_and_no(seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = BinaryPixels()
    scores, truths = rng.random((3, 8, 9)), rng.integers(0, 2, (3, 8, 9)).astype(np.uint8)
    truths[rng.random(truths.shape) < 0.2] = IGNORE
    truths[0, 0, 0] = 1
    for score, truth in zip(scores, truths, strict=True):
        metric.update(torch.from_numpy(score), torch.from_numpy(truth))
    counted = truths != IGNORE
    yes = truths[counted] == 1
    f1 = []
    for step in range(100):
        found = np.floor(scores[counted] * 100) >= step
        f1.append(2 * (found & yes).sum() / (found.sum() + yes.sum()))
    found = scores[counted] >= 0.5
    figures = metric.compute()
    assert float(figures["f_max"]) == pytest.approx(max(f1), abs=1e-12)
    assert float(figures["iou"]) == pytest.approx((found & yes).sum() / (found | yes).sum(), abs=1e-12)


def test_categories_as_torchmetrics_counts_them() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(60, 8, generator=generator).softmax(1)
    truth = torch.randint(0, 7, (60,), generator=generator)  # one class is never there
    metric = CategoryAccuracy(8)
    for row, label in zip(probabilities, truth.tolist(), strict=True):
        metric.update(row, label)
    found = metric.compute()
    for name, average, k in (("top1", "micro", 1), ("top5", "micro", 5)):
        wanted = MulticlassAccuracy(8, top_k=k, average=average)(probabilities, truth)
        assert float(found[name]) == pytest.approx(float(wanted), abs=1e-6)
    recall = MulticlassAccuracy(8, average="none")(probabilities, truth)
    torch.testing.assert_close(found["recall"][:7].float(), recall[:7])
    assert found["recall"][7].isnan()
    assert float(found["balanced_accuracy"]) == pytest.approx(float(recall[:7].mean()), abs=1e-6)
    assert "top5" not in CategoryAccuracy(3).compute()


def test_figures_of_samples_are_those_of_repeated_images() -> None:
    means, accuracy = ImageMeans(["a", "b"]), CategoryAccuracy(7)
    rng = np.random.default_rng(1)
    rows, scores, truth = rng.random((5, 2)), rng.random((5, 7)), rng.integers(0, 7, 5)
    for row, score, label in zip(rows, scores, truth, strict=True):
        means.update({"a": torch.tensor(row[0]), "b": torch.tensor(row[1])})
        accuracy.update(torch.from_numpy(score), int(label))
    draws = rng.integers(0, 3, (6, 5)) + np.eye(6, 5, dtype=int)
    found = means.records().resampled(draws) | accuracy.records().resampled(draws)
    for place, drawn in enumerate(draws):
        again, chosen = ImageMeans(["a", "b"]), CategoryAccuracy(7)
        for number in np.repeat(np.arange(5), drawn).tolist():
            again.update({"a": torch.tensor(rows[number, 0]), "b": torch.tensor(rows[number, 1])})
            chosen.update(torch.from_numpy(scores[number]), int(truth[number]))
        wanted = again.compute() | chosen.compute()
        for name in ("a", "b", "top1", "top5", "balanced_accuracy"):
            assert found[name][place] == pytest.approx(float(wanted[name]), abs=1e-6)


def test_what_is_no_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        ImageMeans(["a"]).update({"a": torch.tensor(math.nan)})
    with pytest.raises(ValueError, match="should be \\['a'\\]"):
        ImageMeans(["a"]).update({"b": torch.tensor(1.0)})
    with pytest.raises(ValueError, match="probabilities"):
        CategoryAccuracy(3).update(torch.rand(3), 3)
    assert ImageMeans(["a"]).compute()["a"].isnan()


@pytest.mark.parametrize("distance", [0.0, 1.0, 1.5, 2.3])
def test_near_edges_by_distances_to_every_pixel(distance: float) -> None:
    """Counts at every threshold against distances between all pairs of pixels."""
    torch.manual_seed(0)
    prediction, truth = torch.rand(9, 11), (torch.rand(9, 11) < 0.1).to(torch.uint8)
    truth[4:6, 3:8] = 255
    counts = near_counts(prediction, truth, distance).flip(1).cumsum(1).flip(1)
    places = torch.cartesian_prod(torch.arange(9), torch.arange(11)).float()
    away = torch.cdist(places, places).reshape(9, 11, 9, 11)
    edges, counted = truth == 1, truth != 255
    for step in (0, 10, 50, 90):
        found = counted & (prediction.double() >= step / STEPS)
        right = found & (away[:, :, edges].amin(2) <= distance + 1e-5)
        reached = edges & (away[:, :, found].amin(2) <= distance + 1e-5)
        assert counts[:, step].tolist() == [int((found & ~right).sum()), int(right.sum()), int(reached.sum())]


def test_an_edge_a_pixel_off_is_right_with_a_tolerance() -> None:
    truth, prediction = torch.zeros(30, 40, dtype=torch.uint8), torch.zeros(30, 40)
    truth[:, 20], prediction[:, 21] = 1, 0.8
    for tolerance, wanted in ((0.03, 1.0), (0.0, 2 * 0.025 / 1.025)):  # no better than calling every pixel an edge
        metric = NearEdges(tolerance)  # a diagonal of 50
        metric.update(prediction, truth)
        assert metric.compute() == {"ods_f": pytest.approx(wanted), "ois_f": pytest.approx(wanted)}


def test_every_image_may_have_its_own_threshold() -> None:
    metric = NearEdges(0.0)
    truth = torch.eye(4).to(torch.uint8)
    for high, low in ((0.9, 0.5), (0.4, 0.1)):
        metric.update(torch.where(truth > 0, high, low), truth)
    found = metric.compute()
    assert found["ois_f"].item() == pytest.approx(1)
    assert found["ods_f"].item() < 1
