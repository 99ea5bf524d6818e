"""The methods as functions of the Gramian: TorchJD where it has them, closed forms, properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchjd import aggregation as jd

from vjo_train.weighting.aligned import aligned_weights
from vjo_train.weighting.cagrad import cagrad_weights
from vjo_train.weighting.config import config_weights
from vjo_train.weighting.dualproj import dualproj_weights
from vjo_train.weighting.gradvac import gradvac_weights
from vjo_train.weighting.imtl_g import imtl_g_weights
from vjo_train.weighting.mgda import mgda_weights
from vjo_train.weighting.nash import scaled_fair_weights
from vjo_train.weighting.pcgrad import pcgrad_weights
from vjo_train.weighting.sdmgrad import sdmgrad_simplex
from vjo_train.weighting.solvers import onto_simplex
from vjo_train.weighting.upgrad import upgrad_weights

SIZES = (2, 3, 5)
KINDS = ("random", "conflicting", "parallel", "zero", "nearly singular", "badly scaled")


def jacobian(kind, k, seed=0):
    generator = torch.Generator().manual_seed(seed + 100 * k)
    rows = torch.randn(k, 7, generator=generator, dtype=torch.float64)
    base = rows[0].clone()
    if kind == "conflicting":
        rows[1] = -rows[0] + 0.3 * rows[1]
    elif kind == "parallel":
        rows = base * torch.arange(1, k + 1)[:, None].double()
    elif kind == "zero":
        rows[0] = 0
    elif kind == "nearly singular":
        rows = base + 1e-4 * rows
    elif kind == "badly scaled":
        rows = rows * torch.logspace(-3, 3, k, dtype=torch.float64)[:, None]
    return rows


CASES = [pytest.param(kind, k, id=f"{kind}-{k}") for kind in KINDS for k in SIZES]


def close(rows, weights, expected, tolerance=1e-4):
    """The updates agree: weights themselves are not unique where gradients are linearly dependent."""
    update, other = rows.T @ weights, rows.T @ expected
    assert (update - other).norm() <= tolerance * max(float(other.norm()), 1e-12 * float(rows.norm()))


def order(k):
    return [[j for j in range(k) if j != i] for i in range(k)]


@pytest.fixture
def in_order(monkeypatch):
    """TorchJD's random orders become 0, 1, 2, ..."""
    monkeypatch.setattr(torch, "randperm", lambda n, **_: torch.arange(n))


@pytest.mark.parametrize(("kind", "k"), CASES)
class TestAgainstTorchJD:
    def test_pcgrad(self, kind, k, in_order):
        rows = jacobian(kind, k)
        close(rows, pcgrad_weights(rows @ rows.T, order(k)), jd.PCGradWeighting()(rows @ rows.T))

    def test_gradvac(self, kind, k, in_order):
        rows = jacobian(kind, k)
        other, targets = jd.GradVacWeighting(beta=0.3, eps=1e-300), torch.zeros(k, k, dtype=torch.float64)
        for _ in range(3):
            weights, targets = gradvac_weights(rows @ rows.T, targets, 0.3, order(k))
            close(rows, weights, other(rows @ rows.T))

    def test_mgda(self, kind, k):
        rows = jacobian(kind, k)
        ours = mgda_weights(rows @ rows.T, torch.ones(k).double(), "none") / k
        other = jd.MGDAWeighting(epsilon=1e-9, max_iters=3000)(rows @ rows.T)
        if kind in ("parallel", "nearly singular"):  # elsewhere Frank-Wolfe is far from converged
            close(rows, ours, other)
        products = rows @ rows.T @ ours
        assert products.min() >= ours @ products - 1e-9 * products.max().abs()  # the condition of the optimum
        assert ours @ products <= other @ rows @ rows.T @ other + 1e-12

    def test_aligned(self, kind, k):
        rows = jacobian(kind, k)
        for scale in ("min", "median", "rmse"):
            expected = k * jd.AlignedMTLWeighting(scale_mode=scale)(rows @ rows.T)
            torch.testing.assert_close(aligned_weights(rows @ rows.T, scale), expected, rtol=1e-4, atol=1e-6)

    def test_imtl_g(self, kind, k):
        rows = jacobian(kind, k)
        if kind in ("badly scaled", "parallel"):
            pytest.skip("TorchJD's pseudo-inverse drops short gradients, and gives parallel ones another length")
        expected = k * jd.IMTLGWeighting()(rows @ rows.T)
        close(rows, imtl_g_weights(rows @ rows.T), expected)

    def test_config(self, kind, k):
        rows = jacobian(kind, k)
        expected = jd.ConFIG()(rows)
        torch.testing.assert_close(
            rows.T @ config_weights(rows @ rows.T), expected, rtol=1e-4, atol=1e-4 * expected.norm()
        )

    def test_sdmgrad(self, kind, k):
        rows = jacobian(kind, k)
        start = torch.full((k,), 1 / k, dtype=torch.float64)
        w = sdmgrad_simplex(rows @ rows.T, start, 0.3, 0.1, 0.5, 20)
        expected = jd.SDMGradWeighting(lr=0.1, momentum=0.5, n_iter=20, lambda_=0.3)(rows @ rows.T)
        torch.testing.assert_close((w + 0.3 / k) / 1.3, expected, rtol=1e-4, atol=1e-6)

    def test_upgrad_and_dualproj(self, kind, k):
        from torchjd.linalg import QuadprogProjector

        rows, exact = jacobian(kind, k), QuadprogProjector(norm_eps=1e-300, reg_eps=1e-12)
        if kind == "badly scaled":
            pytest.skip("TorchJD's regularisation, however small, makes the short gradients conflict; ours do not")
        close(rows, upgrad_weights(rows @ rows.T), k * jd.UPGradWeighting(projector=exact)(rows @ rows.T))
        close(rows, dualproj_weights(rows @ rows.T), k * jd.DualProjWeighting(projector=exact)(rows @ rows.T))

    def test_cagrad(self, kind, k):
        if kind == "zero":
            pytest.skip("TorchJD answers zero at Pareto-stationary points; the authors' code, and ours, the mean")
        rows = jacobian(kind, k)
        expected = k / 1.4 * jd.CAGradWeighting(c=0.4, norm_eps=1e-12)(rows @ rows.T)
        close(rows, cagrad_weights(rows @ rows.T, 0.4), expected, 2e-3)

    def test_fairgrad_and_nash_solve_their_equation(self, kind, k):
        rows = jacobian(kind, k)
        for alpha in (0.5, 1.0, 2.0):
            weights, residual = scaled_fair_weights(rows @ rows.T, alpha)
            assert residual < 1e-8
            assert weights.sum() == pytest.approx(k)
            part = (rows @ rows.T).diagonal() > 0
            balance = (weights ** (1 / alpha) * (rows @ rows.T @ weights))[part]  # one number for all
            torch.testing.assert_close(balance, balance.mean().expand_as(balance), rtol=1e-6, atol=0)


@pytest.mark.parametrize("k", SIZES)
def test_dualproj_projects_badly_scaled_gradients_exactly(k):
    rows = jacobian("badly scaled", k)
    weights = dualproj_weights(rows @ rows.T)
    gains = rows @ (rows.T @ weights) / rows.norm(dim=1)
    moved = weights > 1 + 1e-9
    assert moved.any()
    assert gains.min() > -1e-9
    assert gains[moved].abs().max() < 1e-9  # complementary slackness: a task is helped up to no conflict, no further


@pytest.mark.parametrize("k", SIZES)
def test_fairgrad_is_torchjd_s_up_to_scale(k):
    rows = jacobian("random", k)
    expected = jd.FairGradWeighting(alpha=2.0)(rows @ rows.T)
    torch.testing.assert_close(
        scaled_fair_weights(rows @ rows.T, 2.0)[0], k * expected / expected.sum(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("k", SIZES)
def test_imtl_g_projects_equally_also_when_badly_scaled(k):
    rows = jacobian("badly scaled", k)
    update = rows.T @ imtl_g_weights(rows @ rows.T)
    projections = rows @ update / rows.norm(dim=1)
    torch.testing.assert_close(projections, projections.mean().expand_as(projections), rtol=1e-4, atol=0)


def test_closed_forms_of_two_conflicting_tasks():
    a, b, c = 4.0, 1.0, -1.0
    gramian = torch.tensor([[a, c], [c, b]], dtype=torch.float64)
    surgery = torch.tensor([1 - c / a, 1 - c / b], dtype=torch.float64)
    for weights in (pcgrad_weights(gramian, order(2)), upgrad_weights(gramian)):
        torch.testing.assert_close(weights, surgery)
    w = (b - c) / (a + b - 2 * c)
    expected = 2 * torch.tensor([w, 1 - w], dtype=torch.float64)
    torch.testing.assert_close(mgda_weights(gramian, torch.ones(2), "none"), expected)
    lengths = torch.tensor([0.5, 1.0], dtype=torch.float64)
    for found in (scaled_fair_weights(gramian, 1.0)[0], imtl_g_weights(gramian)):
        torch.testing.assert_close(found, 2 * lengths / lengths.sum())
    torch.testing.assert_close(mgda_weights(gramian, torch.ones(2), "l2"), torch.ones(2).double())


@pytest.mark.parametrize("k", [2, 3])
def test_cagrad_beats_a_fine_grid(k):
    for kind in KINDS:
        rows = jacobian(kind, k)
        gramian, mean = rows @ rows.T, rows.mean(0)
        update = rows.T @ cagrad_weights(gramian, 0.4) * 1.4 / k
        assert (update - mean).norm() <= 0.4 * mean.norm() * (1 + 1e-9)
        axis = np.linspace(0, 1, 101)
        grid = np.array(
            [[x, 1 - x] for x in axis] if k == 2 else [[x, y, 1 - x - y] for x in axis for y in axis if x + y <= 1]
        )
        w = torch.tensor(grid)
        dual = (w @ gramian.mean(1) + 0.4 * mean.norm() * (w @ gramian * w).sum(1).clamp(min=0).sqrt()).min()
        assert (rows @ update).min() >= dual - 1e-9 - 1e-3 * dual.abs()  # strong duality: the worst-off task's gain


def test_without_a_solution_the_residual_says_so():
    gramian = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    weights, residual = scaled_fair_weights(gramian, 1.0)
    assert residual > 0.1
    torch.testing.assert_close(weights, torch.ones(2).double())
    assert imtl_g_weights(gramian).tolist() == [0, 0]
    assert config_weights(gramian).tolist() == [0, 0]


matrices = (
    st.integers(2, 4)
    .flatmap(lambda k: st.lists(st.lists(st.integers(-8, 8), min_size=5, max_size=5), min_size=k, max_size=k))
    .map(lambda rows: torch.tensor(rows, dtype=torch.float64))
)

FUNCTIONS = {
    "mgda": lambda g: mgda_weights(g, torch.ones(len(g)).double(), "none"),
    "mgda l2": lambda g: mgda_weights(g, torch.ones(len(g)).double(), "l2"),
    "cagrad": lambda g: cagrad_weights(g, 0.4),
    "upgrad": upgrad_weights,
    "dualproj": dualproj_weights,
    "imtl_g": imtl_g_weights,
    "config": config_weights,
    "aligned": lambda g: aligned_weights(g, "rmse"),
    "nash": lambda g: scaled_fair_weights(g, 1.0)[0],
    "fairgrad": lambda g: scaled_fair_weights(g, 2.0)[0],
}
regular = matrices.filter(lambda rows: float(torch.linalg.svdvals(rows)[-1]) > 0.5)
quick = settings(max_examples=15)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(rows=regular, seed=st.integers(0, 99))
@quick
def test_permuting_tasks_permutes_weights(name, rows, seed):
    places = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    moved = rows[places]
    expected = FUNCTIONS[name](rows @ rows.T)[places]
    torch.testing.assert_close(FUNCTIONS[name](moved @ moved.T), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(rows=regular, scale=st.sampled_from([1e-6, 0.1, 1e5]))
@quick
def test_a_common_factor_on_all_gradients_changes_no_weight(name, rows, scale):
    expected = FUNCTIONS[name](rows @ rows.T)
    torch.testing.assert_close(FUNCTIONS[name](scale**2 * rows @ rows.T), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["nash", "imtl_g", "config"])
@given(rows=regular, data=st.data())
@quick
def test_scale_invariant_methods_keep_their_direction(name, rows, data):
    scales = torch.tensor([data.draw(st.sampled_from([0.1, 1.0, 10.0])) for _ in rows], dtype=torch.float64)
    scaled = rows * scales[:, None]
    first, second = rows.T @ FUNCTIONS[name](rows @ rows.T), scaled.T @ FUNCTIONS[name](scaled @ scaled.T)
    assert abs(torch.cosine_similarity(first, second, dim=0)) > 1 - 1e-6


@pytest.mark.parametrize("name", ["mgda", "upgrad", "dualproj"])
@given(rows=matrices)
@quick
def test_never_conflicts(name, rows):
    update = rows.T @ FUNCTIONS[name](rows @ rows.T)
    assert (rows @ update >= -1e-7 * (1 + rows.norm() * update.norm())).all()


@pytest.mark.parametrize("name", FUNCTIONS)
@given(row=st.lists(st.integers(-8, 8), min_size=5, max_size=5).filter(any), k=st.integers(1, 5))
@quick
def test_equal_gradients_have_equal_weights(name, row, k):
    rows = torch.tensor([row] * k, dtype=torch.float64)
    weights = FUNCTIONS[name](rows @ rows.T)
    torch.testing.assert_close(weights, weights.mean().expand(k), rtol=1e-6, atol=1e-7)
    if name != "aligned" or k == 1:
        assert float(weights.mean()) == pytest.approx(1)


@given(point=st.lists(st.floats(-5, 5), min_size=1, max_size=5))
@quick
def test_simplex_projection_is_the_nearest_point(point):
    y = torch.tensor(point, dtype=torch.float64)
    x = onto_simplex(y)
    assert float(x.sum()) == pytest.approx(1)
    assert (x >= 0).all()
    for corner in torch.eye(len(y), dtype=torch.float64):
        assert (y - x) @ (corner - x) <= 1e-9  # the obtuse-angle test of a projection


def test_the_updates_of_pcgrad_depend_on_the_order_with_three_tasks():
    rows = jacobian("conflicting", 3)
    backwards = [list(reversed(o)) for o in order(3)]
    assert not torch.allclose(pcgrad_weights(rows @ rows.T, order(3)), pcgrad_weights(rows @ rows.T, backwards))
