"""Sparse experts: the same figures as the dense computation, who computes what, and loads that are kept even."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests import tiny
from tests.sharing.ways import THREE
from tests.training.test_module import fit
from vjo_train.errors import ConfigError
from vjo_train.sharing.mmoe import expert, mix
from vjo_train.sharing.pyramid import pyramid
from vjo_train.sharing.routed import Routed, added, dense, sparse
from vjo_train.sharing.router import Route, Router, route

IMAGES = torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def build(top: int = 2, experts: int = 4) -> Routed:
    sharing = tiny.module(THREE, sharing=partial(Routed, experts=experts, top=top, reduction=2)).sharing
    assert isinstance(sharing, Routed)
    return sharing


def test_the_best_by_the_biased_logits_are_chosen_and_weigh_their_own_softmax() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    found = route(logits, torch.tensor([0.0, -3.0, 0.0]), 2)
    assert found.chosen.tolist() == [[True, False, True], [True, False, True]]
    torch.testing.assert_close(found.gate, logits.softmax(1) * found.chosen)


def exact(count: int) -> nn.ModuleList:
    """Experts of whole numbers: sums in another order, as for another number of images, are the same."""
    found = nn.ModuleList(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()) for _ in range(count))
    for parameter in found.parameters():
        parameter.data = parameter.data.mul(50).round()
    return found


@pytest.mark.parametrize("top", [1, 2, 3])
def test_sparse_is_the_dense_computation_of_the_chosen_experts_bit_for_bit(top: int) -> None:
    torch.manual_seed(0)
    experts = exact(4)
    inputs = torch.randint(-9, 10, (6, 16, 8, 8)).float()
    routes = {task: route(torch.randn(6, 4), torch.zeros(4), top) for task in THREE}
    some = sparse(experts, inputs, routes)
    for task, one in routes.items():
        for image, found in enumerate(some[task]):
            own = inputs[image, None]
            expected = own
            for e in one.chosen[image].nonzero().flatten().tolist():
                expected = torch.addcmul(expected, one.gate[image, e], experts[e](own))
            assert torch.equal(found, expected[0])
    every = dense(experts, inputs, routes)
    assert all(torch.equal(every[task], some[task]) for task in THREE)


def test_under_one_fixed_route_the_network_is_its_dense_self_bit_for_bit() -> None:
    sharing = build().eval()
    sharing.router.bias.copy_(torch.tensor([9.0, -9.0, 9.0, -9.0]))
    features = pyramid(sharing.backbone, sharing.neck, IMAGES, ["p4"])
    gate = sharing.router(features["c5"].mean((2, 3)), ("semantic",))["semantic"].gate
    own = sharing.experts["neck"]
    assert isinstance(own, nn.ModuleList)
    expected = mix(features["p4"], [own[0](features["p4"]), own[2](features["p4"])], gate[:, [0, 2]])
    assert torch.equal(sharing(IMAGES, ("semantic",)).tasks["semantic"]["p4"], expected)


def test_gradients_are_those_of_the_dense_computation() -> None:
    torch.manual_seed(0)
    experts = nn.ModuleList(expert(16, 8) for _ in range(3))
    logits = torch.randn(5, 3, requires_grad=True)
    inputs = torch.randn(5, 16, 4, 4, requires_grad=True)
    found = []
    for compute in (sparse, dense):
        routes = {"a": route(logits, torch.zeros(3), 2)}
        value = compute(experts, inputs, routes)["a"].square().mean()
        found.append([value, *torch.autograd.grad(value, [logits, inputs, *experts.parameters()])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_with_all_experts_it_is_the_mixture_of_experts() -> None:
    sharing = build(top=4)
    found = sharing(IMAGES, ("detection",))
    features = pyramid(sharing.backbone, sharing.neck, IMAGES, ["p3"])
    gate = sharing.router.logits["detection"](features["c5"].mean((2, 3))).softmax(1)
    own = sharing.experts["neck"]
    assert isinstance(own, nn.ModuleList)
    torch.testing.assert_close(
        found.tasks["detection"]["p3"], mix(features["p3"], [one(features["p3"]) for one in own], gate)
    )
    assert all(float(load) == 1 for load in found.figures.values())


def test_an_expert_computes_only_the_images_that_are_sent_to_it() -> None:
    sharing = build(top=1)
    counted: dict[int, int] = {}

    def count(e: int, given: Tensor) -> None:
        counted[e] = len(given)

    own = sharing.experts["c5"]
    assert isinstance(own, nn.ModuleList)
    for e, one in enumerate(own):
        one.register_forward_pre_hook(lambda _, given, e=e: count(e, given[0]))
    found = sharing(IMAGES, ("classification",))
    loads = {e: round(6 * float(found.figures[f"load/classification_{e}"])) for e in range(4)}
    assert counted == {e: load for e, load in loads.items() if load}
    assert sum(loads.values()) == 6


def test_added_leaves_the_other_images_as_they_are() -> None:
    features, change = torch.randn(3, 2, 1, 1), torch.randn(1, 2, 1, 1)
    found = added(features, change, torch.tensor([1]), torch.tensor([5.0, 0.5, 5.0]))
    torch.testing.assert_close(found[1], features[1] + 0.5 * change[0])
    assert torch.equal(found[[0, 2]], features[[0, 2]])


@pytest.mark.parametrize("top", [1, 2])
def test_loads_of_images_that_look_much_alike_come_within_a_factor_of_two(top: int) -> None:
    """Averages of ReLUs are all positive and nearly the same for all images, which would choose one expert for all."""
    torch.manual_seed(0)
    router = Router(("a",), 32, 4, top, balance=0.1)
    base = 5 * torch.rand(32)
    loads = []
    for _ in range(200):
        pooled = base + 0.05 * torch.randn(8, 32)
        routes = router(pooled, ("a",))
        router.observe(router.statistics(pooled, routes))
        router.step()
        loads.append(routes["a"].chosen.float().mean(0))
    late = torch.stack(loads[100:]).mean(0)
    assert late.sum() == pytest.approx(top)
    assert late.max() < 2 * late.min()


def test_what_is_accumulated_moves_the_router_as_one_batch() -> None:
    torch.manual_seed(0)
    router = Router(("a", "b"), 8, 3, 1, balance=0.5)
    other = Router(("a", "b"), 8, 3, 1, balance=0.5)
    other.load_state_dict(router.state_dict())
    for _ in range(3):
        pooled = torch.rand(6, 8)
        for one, parts in ((router, [pooled]), (other, [pooled[:3], pooled[3:]])):
            for part in parts:
                one.observe(one.statistics(part, one(part, ("a",))))
            one.step()
    for name, value in router.named_buffers():
        torch.testing.assert_close(value, other.get_buffer(name))
    assert router.bias[0].any()
    assert not router.bias[1].any()  # its task was off


def test_running_averages_are_those_of_the_features() -> None:
    router = Router(("a",), 16, 2, 1, balance=0.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        pooled = 3 + 2 * torch.randn(64, 16, generator=generator)
        router.observe(router.statistics(pooled, {}))
        router.step()
    torch.testing.assert_close(router.centre, torch.full((16,), 3.0), atol=0.3, rtol=0)
    assert float(router.spread) == pytest.approx(4.0, rel=0.1)


def test_an_expert_without_images_learns_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    module = tiny.module(sharing=partial(Routed, experts=3, top=1, reduction=2, balance=0.0))
    assert isinstance(module.sharing, Routed)
    module.sharing.router.bias.copy_(torch.tensor([99.0, 0.0, 0.0]))
    before = {name: p.clone() for name, p in module.sharing.experts.named_parameters()}
    fit(module, [tiny.batch(size=1, labelled=[tiny.ALL], step=step) for step in range(2)], tmp_path)
    moved = {name.split(".")[1] for name, p in module.sharing.experts.named_parameters() if (p != before[name]).any()}
    assert moved == {"0"}
    assert all(p.isfinite().all() for p in module.parameters())


def test_loads_are_logged(tmp_path: Path) -> None:
    module = tiny.module(sharing=partial(Routed, experts=3, top=2, reduction=2))
    fit(module, [tiny.batch()], tmp_path)
    logged = module.trainer.callback_metrics
    assert sum(float(logged[f"train/sharing/load/detection_{e}"]) for e in range(3)) == pytest.approx(2)


def test_more_chosen_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sharing.top: found 5; must be at most sharing.experts, 4"):
        build(top=5)


def test_routes_hold_no_graph_in_what_is_chosen() -> None:
    found = route(torch.randn(2, 3, requires_grad=True), torch.zeros(3), 1)
    assert isinstance(found, Route)
    assert found.gate.requires_grad
    assert not found.chosen.requires_grad
