"""Cross-stitch networks: the two ends between separate networks and hard sharing, the units, their rate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests import tiny
from tests.training.test_module import fit
from vjo_train.backbones.torchvision import TorchvisionBackbone
from vjo_train.errors import ConfigError
from vjo_train.optim.optimizers import SGD, AdamW
from vjo_train.sharing.cross_stitch import CrossStitch, mix, near_identity
from vjo_train.training.module import MultiTaskModule

PAIR = ("classification", "detection")
PLAIN = partial(SGD, lr=0.01, momentum=0.9, weight_decay=0.0)


def stitched(own_share: float, *, trained: bool = False, rate: float = 1.0, **keys: Any) -> MultiTaskModule:
    """The tiny network with units that start at `own_share`, and stay there if not `trained`."""
    optimizer = PLAIN(backbone_lr_factor=rate)
    module = tiny.module(PAIR, sharing=partial(CrossStitch, own_share=own_share, **keys), optimizer=optimizer)
    module.get_submodule("sharing.units").requires_grad_(trained)
    return module


def column(module: MultiTaskModule, task: str) -> dict[str, nn.Module]:
    """The parts of a task's network, by their names in one that has the task alone."""
    assert isinstance(module.sharing, CrossStitch)
    parts = {f"sharing.{name}": part for name, part in module.sharing.column(task).items()}
    return {**parts, f"heads.{task}": module.head(task)}


def test_identity_units_are_separate_networks_bit_for_bit(tmp_path: Path) -> None:
    both = stitched(1.0)
    alone = {task: tiny.module((task,), optimizer=PLAIN()) for task in PAIR}
    for task, module in alone.items():
        for name, part in column(both, task).items():
            module.get_submodule(name).load_state_dict(part.state_dict())
    fit(both, [tiny.batch(step=step) for step in range(3)], tmp_path)
    for task, module in alone.items():
        fit(module, [tiny.batch(tasks=(task,), step=step) for step in range(3)], tmp_path)
        for name, part in column(both, task).items():
            expected = module.get_submodule(name).state_dict()
            assert [key for key, value in part.state_dict().items() if not torch.equal(value, expected[key])] == []
        images = tiny.batch().images
        found, wanted = (m.eval().sharing(images.float(), (task,)).tasks[task] for m in (both, module))
        assert all(torch.equal(found[level], wanted[level]) for level in module.head(task).levels)


def test_equal_units_and_columns_are_hard_sharing(tmp_path: Path) -> None:
    """Each of the K columns gets 1/K of the gradient, so at K times the rate all move as hard sharing's one does."""
    batches = [tiny.batch(step=step) for step in range(3)]
    one = fit(tiny.module(PAIR, optimizer=PLAIN()), batches, tmp_path)
    both = fit(stitched(0.5, rate=2.0), batches, tmp_path)
    for task in PAIR:
        for name, part in column(both, task).items():
            for key, value in part.state_dict().items():
                expected = one.get_submodule(name).state_dict()[key]
                torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-4, msg=f"{task} {name} {key}")


@pytest.mark.parametrize("per", ["channel", "layer"])
def test_units_start_near_the_identity_and_move(per: str, tmp_path: Path) -> None:
    module = stitched(0.9, trained=True, per=per)
    units = dict(module.get_submodule("sharing.units").named_parameters())
    assert {name: tuple(unit.shape) for name, unit in units.items()} == {
        f"{level}.weight": (2, 2, 1 if per == "layer" else width)
        for level, width in zip(("c2", "c3", "c4", "c5"), (8, 8, 16, 16), strict=True)
    }
    before = {name: unit.detach().clone() for name, unit in units.items()}
    for unit in before.values():
        torch.testing.assert_close(unit[..., 0], torch.tensor([[0.9, 0.1], [0.1, 0.9]]))
    fit(module, [tiny.batch(step=step) for step in range(2)], tmp_path)
    assert all((units[name] != unit).all() for name, unit in before.items())


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_rows_of_the_start_sum_to_one(count: int) -> None:
    start = near_identity(count, 0.7)
    torch.testing.assert_close(start.sum(1), torch.ones(count))
    assert count == 1 or torch.allclose(start.diagonal(), torch.tensor(0.7))


def test_mixing_is_that_of_the_formula_in_bfloat16_too() -> None:
    maps, weights = torch.randn(3, 2, 5, 4, 4), torch.randn(3, 5)
    torch.testing.assert_close(mix(list(maps), weights), torch.einsum("jbchw,jc->bchw", maps, weights))
    half = maps.bfloat16()
    mixed = mix(list(half), weights)
    assert mixed.dtype == torch.bfloat16
    assert torch.equal(mixed, torch.einsum("jbchw,jc->bchw", half.double(), weights.double()).bfloat16())


def test_the_loss_of_one_task_reaches_every_column_but_no_other_neck_or_head() -> None:
    module = tiny.module(("classification", "detection", "semantic"), sharing=CrossStitch)
    batch = tiny.batch(tasks=("detection",))
    module.head("detection").loss(module(batch.images, ("detection",))["detection"], batch.targets).sum().backward()
    reached = {name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}
    shared = {id(p) for p in module.sharing.shared_parameters()}
    for name, parameter in module.named_parameters():
        assert (name in reached) == (id(parameter) in shared or "detection" in name), name


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1, weight_decay=0.1), AdamW(lr=0.1, weight_decay=0.1)])
def test_units_learn_at_their_own_rate_without_decay(optimizer: SGD | AdamW) -> None:
    optimizer.backbone_lr_factor = 0.5
    module = tiny.module(sharing=partial(CrossStitch, lr_factor=30.0))
    groups = {id(p): group for group in optimizer.build(module).param_groups for p in group["params"]}
    for name, parameter in module.named_parameters():
        rate = 3.0 if ".units." in name else 0.05 if ".backbone." in name else 0.1
        assert groups[id(parameter)]["lr"] == pytest.approx(rate), name
        if ".units." in name:
            assert groups[id(parameter)]["weight_decay"] == 0


def test_one_task_has_no_unit_to_learn(tmp_path: Path) -> None:
    module = tiny.module(("classification",), sharing=CrossStitch, optimizer=PLAIN())
    fit(module, [tiny.batch(tasks=("classification",))], tmp_path)
    assert all(torch.equal(p, torch.ones_like(p)) for p in module.get_submodule("sharing.units").parameters())


def test_frozen_stages_and_frozen_norms_stay_frozen_in_every_column() -> None:
    backbone = TorchvisionBackbone(name="resnet10", frozen_stages=2)
    levels = dict.fromkeys(PAIR, ("c5",))
    sharing = CrossStitch(backbone=backbone, neck=nn.Identity(), levels=levels).train()
    before = {key: value.clone() for key, value in sharing.state_dict().items()}
    sharing(torch.randn(2, 3, 64, 64), PAIR).tasks["detection"]["c5"].sum().backward()
    for place in range(2):
        own = sharing.backbone.get_submodule(str(place))
        assert all(
            (p.grad is None) == name.startswith(("stages.0.", "stages.1.")) for name, p in own.named_parameters()
        )
    moved = {key for key, value in sharing.state_dict().items() if not torch.equal(before[key], value)}
    norms = {key for key in before if key.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert moved == {key for key in norms if ".stages.0." not in key and ".stages.1." not in key}
    assert not {id(p) for p in sharing.shared_parameters()} & {id(p) for p in backbone.parameters()}


def test_a_backbone_without_stages_is_refused() -> None:
    class Whole(nn.Module):
        channels = {"c5": 4}  # noqa: RUF012

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"c5": images}

    with pytest.raises(ConfigError, match=r"backbone: Whole is no row of stages"):
        CrossStitch(backbone=Whole(), neck=nn.Identity(), levels={"classification": ("c5",)})
