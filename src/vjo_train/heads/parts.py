"""Which losses the weighting sees of the heads, and which parameters each of them trains alone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from vjo_train.heads.base import Head


def loss_name(task: str, part: str) -> str:
    """What the weighting calls a part of a head's loss: `instance/box`, or `instance` for a loss that is one."""
    return f"{task}/{part}" if part else task


def head_name(loss: str) -> str:
    """The head that a loss of this name belongs to: `instance` for `instance/box`."""
    return loss.partition("/")[0]


def own_parameters(heads: Mapping[str, Head]) -> dict[str, list[nn.Parameter]]:
    """Each loss of each head, by the name the weighting gives it -> the trainable parameters that it alone trains."""
    return {
        loss_name(task, part): [p for p in parameters if p.requires_grad]
        for task, head in heads.items()
        for part, parameters in head.part_parameters().items()
    }


def joint_parameters(heads: Mapping[str, Head]) -> list[nn.Parameter]:
    """The trainable parameters of heads that more than one of their losses trains."""
    own = {id(p) for parameters in own_parameters(heads).values() for p in parameters}
    return [p for head in heads.values() for p in head.parameters() if p.requires_grad and id(p) not in own]
