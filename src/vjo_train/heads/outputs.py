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


def output_kind(head: Head) -> Any:
    """The type of a head's raw outputs, as its `forward` is annotated; None where they cannot leave the network.

    They can if they are a tensor or a dataclass of tensors. Else decoding needs more of the network than them: a head
    of two stages runs the second one on boxes that decoding has chosen.
    """
    kind = get_type_hints(type(head).forward)["return"]
    return kind if _plain(kind) else None


def has_decoded(head: Head) -> bool:
    """Whether the head's predictions can leave the network as tensors: `Head.decoded`."""
    return type(head).decoded is not Head.decoded


def check_exported(task: str, head: Head, decoded: bool) -> None:
    """Refuses a head that cannot be exported.

    Raises:
        ConfigError: with `decoded`, it has no such outputs; without, its raw outputs cannot leave the network.
    """
    if decoded and not has_decoded(head):
        raise ConfigError(
            f"decoded: {type(head).__name__} (heads.{task}) has no decoded outputs; export its raw ones by"
            " decoded=false, or leave it out by tasks=[...]."
        )
    if not decoded and output_kind(head) is None:
        raise ConfigError(
            f"heads.{task}: the raw outputs of {type(head).__name__} cannot leave the network: its later stages run on"
            " the boxes that the first one has chosen. Export the decoded ones by decoded=true, or leave it out by"
            " tasks=[...]."
        )


def _plain(kind: Any) -> bool:
    if kind is Tensor:
        return True
    return is_dataclass(kind) and all(_plain(hint) for hint in get_type_hints(kind).values())
