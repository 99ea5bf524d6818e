"""Trees of shared stages: their ends (hard sharing, separate networks), what is computed, what is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import tiny
from tests.sharing.test_every_way import Ones, assert_close
from tests.sharing.ways import LABELLED, THREE
from tests.training.test_module import fit
from vjo_train.backbones.torchvision import TorchvisionBackbone
from vjo_train.config.compose import Composer
from vjo_train.errors import ConfigError
from vjo_train.optim.optimizers import SGD, depth_rates
from vjo_train.sharing.branched import Branched
from vjo_train.sharing.tree import tree
from vjo_train.training.module import MultiTaskModule

PLACES = ("c2", "c3", "c4", "c5", "neck")
DEEP = {"c4": [["classification"], ["detection", "semantic"]], "neck": [[task] for task in THREE]}
PARTED: dict[str, Any] = {"c2": [["classification", "semantic"], ["detection"]]}


def branched(branches: Any, tasks: Any = THREE, **keys: Any) -> MultiTaskModule:
    return tiny.module(tasks, sharing=partial(Branched, branches=branches), **keys)


def sharing_of(module: MultiTaskModule) -> Branched:
    assert isinstance(module.sharing, Branched)
    return module.sharing


def test_a_tree_without_branches_is_hard_sharing_bit_for_bit(tmp_path: Path) -> None:
    batches = [tiny.batch(tasks=THREE, labelled=LABELLED, step=step) for step in range(3)]
    trunk, hard = fit(branched({}), batches, tmp_path), fit(tiny.module(THREE), batches, tmp_path)
    for one, other in zip(trunk.parameters(), hard.parameters(), strict=True):
        assert torch.equal(one, other)


def test_tasks_parted_at_the_image_are_separate_networks_bit_for_bit(tmp_path: Path) -> None:
    both = branched(PARTED)
    apart = [tiny.module(("classification", "semantic")), tiny.module(("detection",))]
    start = {name: part.state_dict() for name, part in both.heads.items()}
    for module in apart:
        for name, head in module.heads.items():
            head.load_state_dict(start[name])
    batches = {tasks: [tiny.batch(tasks=tasks, labelled=LABELLED, step=s) for s in range(2)] for tasks in [THREE]}
    fit(both, batches[THREE], tmp_path)
    for column, module in enumerate(apart):
        fit(module, [tiny.batch(tasks=module.tasks, labelled=LABELLED, step=s) for s in range(2)], tmp_path)
        own = sharing_of(both)
        for mine, other in ((own.backbone[column], "backbone"), (own.necks[column], "neck")):
            expected = module.get_submodule(f"sharing.{other}").state_dict()
            assert [key for key, value in mine.state_dict().items() if not torch.equal(value, expected[key])] == []
        for name, head in module.heads.items():
            found = both.head(name).state_dict()
            assert all(torch.equal(value, found[key]) for key, value in head.state_dict().items())


@pytest.mark.parametrize("branches", [None, {}, DEEP, {"c3": [["detection"], ["semantic", "classification"]]}])
def test_gradients_meet_where_the_last_copy_of_all_ends(branches: Any, tmp_path: Path) -> None:
    batches = [tiny.batch(tasks=THREE, labelled=LABELLED, step=step) for step in range(2)]
    plain = fit(branched(branches), batches, tmp_path)
    ats: tuple[Any, ...] = ("parameters", "features", "last_shared")
    for at in ats:
        assert_close(fit(branched(branches, weighting=Ones(tasks=THREE, at=at)), batches, tmp_path), plain)


def test_a_copy_is_shared_by_those_whose_losses_reach_it() -> None:
    module = branched(DEEP)
    shared = {id(p) for p in module.sharing.shared_parameters()}
    reached: dict[str, set[str]] = {}
    for task in THREE:
        module.zero_grad(set_to_none=True)
        batch = tiny.batch(tasks=(task,), labelled=[tiny.ALL] * 4)
        module.head(task).loss(module(batch.images, (task,))[task], batch.targets).sum().backward()
        for name, p in module.sharing.named_parameters():
            if p.grad is not None and p.grad.any():
                reached.setdefault(name, set()).add(task)
    for name, p in module.sharing.named_parameters():
        assert (id(p) in shared) == (len(reached.get(name, ())) > 1), name


def test_only_the_path_to_the_tasks_that_are_on_is_computed() -> None:
    module = branched(DEEP).eval()
    ran: list[str] = []
    for name, part in module.sharing.named_modules():
        if name.split(".")[-2:-1] == ["stages"]:
            part.register_forward_hook(lambda *_, name=name: ran.append(name))
    module(tiny.batch().images, ("classification",))
    assert ran == [f"backbone.0.stages.{place}" for place in range(4)]
    ran.clear()
    module(tiny.batch().images, THREE)
    assert sorted(ran) == [*(f"backbone.0.stages.{i}" for i in range(4)), "backbone.1.stages.2", "backbone.1.stages.3"]


def test_a_stage_that_nobody_reads_is_left_out() -> None:
    backbone = tiny.TinyBackbone()
    sharing = Branched(backbone=backbone, neck=nn.Identity(), levels={"a": ("c3",), "b": ("c4",)}, branches={})
    found = sharing(torch.randn(1, 3, 64, 64), ("a", "b"))
    assert set(found.tasks["a"]) == {"c2", "c3"}
    assert found.summary is None
    names = {name.split(".")[3] for name, _ in sharing.named_parameters()}
    assert names == {"0", "1", "2"}
    common = {id(p) for p in sharing.shared_parameters()}
    assert [id(p) in common for p in sharing.backbone[0].get_submodule("stages.2").parameters()] == [False, False]


def test_frozen_stages_stay_frozen_in_every_copy() -> None:
    backbone = TorchvisionBackbone(name="resnet10", frozen_stages=3)
    sharing = Branched(
        backbone=backbone, neck=nn.Identity(), levels={"a": ("c5",), "b": ("c5",)}, branches={"c4": [["a"], ["b"]]}
    ).train()
    before = {key: value.clone() for key, value in sharing.state_dict().items()}
    found = sharing(torch.randn(2, 3, 64, 64), ("a", "b"))
    sum(found.tasks[task]["c5"].sum() for task in "ab").backward()
    moved = {key.split(".")[3] for key, value in sharing.state_dict().items() if not torch.equal(before[key], value)}
    assert moved == {"3"}
    learned = {name.split(".")[3] for name, p in sharing.named_parameters() if p.grad is not None}
    assert learned == {"3"}


def test_a_single_task_run_of_a_tree_has_one_path() -> None:
    sharing = Branched(
        backbone=tiny.TinyBackbone(),
        neck=nn.Identity(),
        levels={"semantic": ("c5",)},
        branches=DEEP,
        absent=("classification", "detection"),
    )
    assert len(sharing.backbone) == 1
    assert {id(p) for p in sharing.parameters()} == {id(p) for p in sharing.shared_parameters()}


def test_layers_decay_by_their_depth_in_every_copy() -> None:
    rates = depth_rates(branched(DEEP), 0.5)
    assert rates["sharing.backbone.0.stages.2.0.weight"] == rates["sharing.backbone.1.stages.2.0.weight"] == 0.25
    groups = SGD(lr=1.0, backbone_lr_factor=0.1).build(branched(DEEP)).param_groups
    assert {group["name"].split("/")[0] for group in groups} == {"backbone", "rest"}


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        ({"c6": []}, r"sharing.branches: found 'c6'; must be one of c2, c3, c4, c5, neck."),
        ({"c4": [["a", "b"]]}, r"sharing.branches.c4: does not name c; must name each task once."),
        ({"c4": [["a", "b"], ["b", "c"]]}, r"sharing.branches.c4: found b 2 times; must name each task once."),
        ({"c4": [["a", "b"], ["cc"]]}, r"sharing.branches.c4: found 'cc', which is no head; did you mean 'c'?"),
        (
            {"c5": [["a", "b"], ["c"]], "c3": [["a"], ["b", "c"]]},
            r"sharing.branches.c5: found a and b together, which c3 has parted; branches never join again.",
        ),
    ],
)
def test_what_is_no_tree_is_refused(branches: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tree(branches, ("a", "b", "c"), PLACES, ())


def test_a_tree_that_shares_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing would be shared"):
        branched({"c2": [[task] for task in THREE]})


def test_groups_keep_the_order_of_the_heads_and_go_on_until_they_part() -> None:
    found = tree({"c5": [["c"], ["b", "a"]], "neck": [["b"], ["c"], ["a"]]}, ("a", "b", "c"), PLACES, ())
    assert found["c2"] == found["c4"] == (("a", "b", "c"),)
    assert found["c5"] == (("a", "b"), ("c",))
    assert found["neck"] == (("a",), ("b",), ("c",))


def test_gradients_at_features_are_refused_where_tasks_part_at_once() -> None:
    composer = Composer("train")
    words = ["heads=[classification,detection,semantic]", "sharing=branched", "weighting=pcgrad", "backbone=resnet10"]
    cfg = composer.compose(
        [*words, "weighting.at=features", "sharing.branches={c2: [[classification, semantic], [detection]]}"]
    )
    from vjo_train.config import build

    with pytest.raises(ConfigError, match="never meet under Branched"):
        build.model(cfg)
