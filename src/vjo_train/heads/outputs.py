"""A head's raw outputs as named tensors, and back: what leaves the network for another program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from torch import Tensor

from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head


def named_tensors(name: str, outputs: Any) -> dict[str, Tensor]:
    """A tensor, or the tensors in a dataclass by their path, such as `detection.locations.points`.

    Raises:
        TypeError: something else is in it.
    """
    if isinstance(outputs, Tensor):
        return {name: outputs}
    if not is_dataclass(outputs):
        raise TypeError(f"{name}: found {type(outputs).__name__}; must be a tensor or a dataclass of them.")
    return {
        path: tensor
        for field in fields(outputs)
        for path, tensor in named_tensors(f"{name}.{field.name}", getattr(outputs, field.name)).items()
    }


def from_named_tensors(name: str, kind: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `named_tensors` for outputs of the type `kind`.

    Raises:
        KeyError: a tensor is missing.
    """
    if kind is Tensor:
        return tensors[name]
    hints = get_type_hints(kind)
    return kind(**{f.name: from_named_tensors(f"{name}.{f.name}", hints[f.name], tensors) for f in fields(kind)})


def output_kind(task: str, head: Head) -> Any:
    """The type of a head's raw outputs, as its `forward` is annotated.

    Raises:
        ConfigError: it is no tensor and no dataclass of tensors, so that decoding needs more than what leaves.
    """
    kind = get_type_hints(type(head).forward)["return"]
    if not _plain(kind):
        raise ConfigError(
            f"heads.{task}: the raw outputs of {type(head).__name__} cannot leave the network: its later stages run on"
            " the boxes that the first one has chosen. Use a head of one stage"
            " (heads/detection: detection, detection_retinanet), or leave this task out: heads=[...]."
        )
    return kind


def _plain(kind: Any) -> bool:
    if kind is Tensor:
        return True
    return is_dataclass(kind) and all(_plain(hint) for hint in get_type_hints(kind).values())
