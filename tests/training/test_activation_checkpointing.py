"""Activations that are computed again in backward: the same losses, gradients and statistics, for less memory."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import tiny
from tests.sharing.ways import ALL, BUILD, LABELLED, THREE
from tests.training.test_module import assert_same, fit, state
from vjo_train.backbones.base import Backbone
from vjo_train.backbones.neck import FPN
from vjo_train.backbones.timm import TimmBackbone
from vjo_train.backbones.torchvision import TorchvisionBackbone
from vjo_train.config import rules
from vjo_train.errors import ConfigError
from vjo_train.optim.lr_schedules import Constant
from vjo_train.optim.optimizers import AdamW
from vjo_train.training.activation_checkpointing import LeafRuns, Recomputed, checkpoint_activations, units
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch
from vjo_train.weighting.equal import EqualWeighting
from vjo_train.weighting.meta import MetaWeighting
from vjo_train.weighting.pcgrad import PCGrad


def network(way: str = "hard", tasks: tuple[str, ...] = ALL, **keys: Any) -> MultiTaskModule:
    """A tiny network with batch norm and dropout in its stages, where the way of sharing takes its backbone."""
    module = tiny.module(tasks, sharing=BUILD[way], **keys)
    torch.manual_seed(1)
    for stage in [one for one in module.sharing.modules() if isinstance(one, nn.Sequential) and len(one) == 2]:
        convolution, activation = stage
        if isinstance(convolution, nn.Conv2d) and isinstance(activation, nn.SiLU):
            stage[1] = nn.BatchNorm2d(convolution.out_channels)
            stage.extend([activation, nn.Dropout(0.2)])
    return module


def pair(*args: Any, **keys: Any) -> tuple[MultiTaskModule, MultiTaskModule]:
    """One network as it is, and one that keeps less."""
    plain, other = network(*args, **keys), network(*args, **keys)
    checkpoint_activations(other)
    assert other.state_dict().keys() == plain.state_dict().keys()
    assert any(isinstance(one, Recomputed) for one in other.modules())
    return plain, other


def trained(module: MultiTaskModule, batches: list[Batch], folder: Path, **flags: Any) -> dict[str, torch.Tensor]:
    return state(fit(module, batches, folder, **flags))


@pytest.mark.parametrize("way", sorted(BUILD))
def test_training_comes_to_the_same_weights_and_statistics_to_the_bit(way: str, tmp_path: Path) -> None:
    """Batch norm counts each batch once, and dropout drops the same places again."""
    batches = [tiny.batch(tasks=ALL, labelled=LABELLED, step=step) for step in range(2)]
    assert_same(*(trained(one, batches, tmp_path) for one in pair(way, optimizer=AdamW(lr=0.01))))


@pytest.mark.parametrize(
    ("precision", "keys"),
    [("32-true", {}), ("bf16-mixed", {}), ("32-true", {"at": "features"}), ("bf16-mixed", {"sample": 0.5})],
    ids=str,
)
def test_gradient_methods_go_backward_many_times(keys: Any, precision: Any, tmp_path: Path) -> None:
    """Under mixed precision and accumulation, and with statistics that a second forward leaves alone."""
    batches = [tiny.batch(tasks=THREE, labelled=LABELLED, step=step) for step in range(2)]
    made = pair(tasks=THREE, channels_last=True)
    for one in made:
        one.weighting = PCGrad(tasks=THREE, seed=0, **keys)
    assert_same(*(trained(one, batches, tmp_path, precision=precision, accumulate_grad_batches=2) for one in made))


def test_steps_beside_the_training_step_leave_no_trace(tmp_path: Path) -> None:
    """Losses at other parameters, of held-out images and without graph."""
    batch = tiny.batch(tasks=THREE, labelled=LABELLED)
    batch.meta = tiny.batch(tasks=THREE, labelled=LABELLED, seed=1)
    made = pair(tasks=THREE)
    for one in made:
        one.weighting = MetaWeighting(tasks=THREE, channels=16)
    assert_same(*(trained(one, [batch, batch], tmp_path) for one in made))


def with_backbone(backbone: Backbone | TimmBackbone) -> MultiTaskModule:
    """A network of four tasks on a real backbone."""
    neck = FPN(in_channels=backbone.channels, channels=16)
    heads = tiny.heads(ALL, {**backbone.channels, **neck.channels})
    levels = {task: head.levels for task, head in heads.items()}
    return MultiTaskModule(
        sharing=BUILD["hard"](backbone=backbone, neck=neck, levels=levels),
        heads=heads,
        weighting=EqualWeighting(tasks=ALL),
        optimizer=AdamW(lr=0.01),
        lr_schedule=Constant(),
    )


@pytest.fixture(scope="module")
def resnet() -> tuple[MultiTaskModule, MultiTaskModule]:
    """Twice the same network, one of which keeps less."""
    plain = with_backbone(TorchvisionBackbone(name="resnet10")).train()
    other = deepcopy(plain)
    checkpoint_activations(other)
    return plain, other


def kept(module: MultiTaskModule, batch: Batch) -> int:
    """Bytes of what the graph of the shared part holds beside the parameters."""
    memory: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        memory[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        shared = module.share(batch.images, batch.tasks)
    parameters = {p.untyped_storage().data_ptr() for p in module.parameters()}
    assert shared.representation
    return sum(size for place, size in memory.items() if place not in parameters)


def test_the_graph_of_a_resnet_holds_less(resnet: tuple[MultiTaskModule, MultiTaskModule]) -> None:
    batch = tiny.batch(2, tasks=ALL, labelled=[tiny.ALL] * 2)
    plain, other = (kept(one, batch) for one in resnet)
    assert other < 0.5 * plain


def test_copies_compute_with_their_own_weights(resnet: tuple[MultiTaskModule, MultiTaskModule]) -> None:
    """As the average of the weights and a teacher are made."""
    copy = deepcopy(resnet[1])
    with torch.no_grad():
        copy.sharing.backbone.stages[0][4][0].conv1.weight.zero_()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    levels = [one.sharing(one.normalised(images), ALL).tasks["semantic"]["c2"] for one in (copy, *resnet)]
    assert not torch.equal(levels[0], levels[1])
    assert torch.equal(levels[1], levels[2])


def test_stems_blocks_and_towers_are_the_parts(resnet: tuple[MultiTaskModule, MultiTaskModule]) -> None:
    plain, other = resnet
    names = {id(one): name for name, one in plain.named_modules()}
    blocks = {"sharing.backbone.stages.0.4.0", *(f"sharing.backbone.stages.{stage}.0" for stage in (1, 2, 3))}
    towers = {"heads.detection.class_tower", "heads.detection.box_tower", "heads.instance.mask_branch"}
    assert blocks <= {names[id(one)] for one in units(plain.sharing)}
    assert towers <= {names[id(one)] for task in ALL for one in units(plain.head(task))}
    assert isinstance(other.sharing.backbone.stages[0], LeafRuns)


@pytest.mark.parametrize("name", ["convnextv2_atto", "mobilenetv3_small_050", "swin_tiny_patch4_window7_224"])
def test_networks_of_timm_have_blocks(name: str) -> None:
    pytest.importorskip("timm")
    network = TimmBackbone(name=name)
    found = {p for one in units(network) for p in one.parameters()}
    assert sum(p.numel() for p in found) > 0.8 * sum(p.numel() for p in network.parameters())


def test_it_does_not_go_with_compiling() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.activation_checkpointing: does not go with trainer\.compile"):
        rules.check_memory(compile=True, activation_checkpointing=True)
