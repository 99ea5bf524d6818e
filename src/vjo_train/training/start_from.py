"""Starting from another network's weights: every one that fits is taken, class layers by the classes' names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vjo_train.backbones.neck import FPN, renumbered
from vjo_train.errors import CheckpointError
from vjo_train.heads.class_rows import ClassRows, plain_name, rows_by_name
from vjo_train.training.gradient_checks import GradientChecks

PARTS = ("sharing.", "heads.")
"""What is taken over: the network, not what the weighting remembers of another training."""


@dataclass(frozen=True)
class Source:
    """Weights that a network can start from.

    Attributes:
        path: the file.
        what: it is, for messages.
        state: name -> weight, as a `MultiTaskModule` under hard sharing names them, or as the module that starts does.
        classes: head -> its class names, in its order; a head that is not there has none that are known.
        remarks: part of the network -> what makes it another one than that of these weights.
    """

    path: Path
    what: str
    state: Mapping[str, Tensor]
    classes: Mapping[str, Sequence[str]]
    remarks: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Started:
    """What a network has taken of a source.

    Attributes:
        source: where from.
        parts: part of the network (`backbone`, a head) -> how many of its weights were taken, and how many it has.
        known_classes: head -> classes whose rows were taken by name.
        new_classes: head -> classes that start fresh, in a layer whose other rows were taken.
        differences: part -> what makes it another one: what is remarked, or else the first weight of another shape.
        unused: part of the source -> how many of its weights had no place.
    """

    source: str
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    known_classes: dict[str, list[str]] = field(default_factory=dict)
    new_classes: dict[str, list[str]] = field(default_factory=dict)
    differences: dict[str, str] = field(default_factory=dict)
    unused: dict[str, int] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Plain data, for the run's results."""
        return {**vars(self), "parts": {part: list(counts) for part, counts in self.parts.items()}}

    def lines(self) -> list[str]:
        """What is said of it: a line on what was taken, and others on classes, fresh parts and leftovers, if any."""
        whole = [f"{part} {taken}/{of}" for part, (taken, of) in self.parts.items() if taken]
        fresh = [part for part, (taken, _) in self.parts.items() if not taken]
        lines = [f"Started from {self.source}: took {', '.join(whole)} weights."]
        for task, known in self.known_classes.items():
            new = self.new_classes.get(task, [])
            after = f"; new: {shown(new)}" if new else ""
            lines.append(f"  Classes of {task} by name: {shown(known) or 'none'}{after}.")
        if fresh:
            lines.append(f"  Fresh: {', '.join(fresh)}.")
        lines += [f"  Different in {part}: {why}." for part, why in self.differences.items()]
        if self.unused:
            lines.append(f"  Not used: {', '.join(f'{part} ({count})' for part, count in self.unused.items())}.")
        return lines


def start(module: GradientChecks, source: Source) -> Started:
    """Fills every weight of `module` that `source` has of the same name and shape, and class layers row by row.

    Raises:
        CheckpointError: nothing fits.
    """
    own = {name: value for name, value in module.state_dict().items() if name.startswith(PARTS)}
    given = _named_for(module, source.state)
    rows = {f"heads.{t}.{name}": (t, r) for t in module.tasks for name, r in module.head(t).class_rows().items()}
    told = Started(f"{source.path} ({source.what})", differences=dict(source.remarks))
    chosen: dict[str, Tensor] = {}
    used: set[str] = set()
    for name, value in own.items():
        there = name if name in given else hard_name(module, name)
        found = given.get(there)
        if found is None:
            continue
        used.add(there)
        taken = found
        if name in rows:
            mixed = _by_class(module, source, name, rows[name], value, found, told)
            if mixed is None:
                continue
            taken = mixed
        elif found.shape != value.shape:
            told.differences.setdefault(part_of(name), f"{name} is {tuple(found.shape)}, here {tuple(value.shape)}")
            continue
        chosen[name] = taken
    taken_counts = _by_part(chosen)
    told.parts = {part: (taken_counts[part], count) for part, count in _by_part(own).items()}
    told.unused = dict(_by_part(name for name in given if name not in used))
    if not chosen:
        first = next(iter(told.differences.values()), f"it has {next(iter(source.state), 'no weights')}")
        raise CheckpointError(f"start_from: nothing in {source.path} ({source.what}) fits this network: {first}.")
    with torch.no_grad():
        for name, tensor in chosen.items():
            own[name].copy_(tensor)
    return told


def hard_name(module: GradientChecks, name: str) -> str:
    """The name that a weight of `module` has under hard sharing, if it is a copy of one that is there."""
    prefix = "sharing."
    return prefix + module.sharing.hard_name(name[len(prefix) :]) if name.startswith(prefix) else name


def part_of(name: str) -> str:
    """`backbone`, `neck` or another part of the sharing, or the head, that a weight belongs to."""
    first, second = name.split(".")[:2]
    return f"heads.{second}" if first == "heads" else second


def shown(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _named_for(module: GradientChecks, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The source's weights of the network, a pyramid's levels numbered as this network's pyramid does."""
    given = {name: value for name, value in state.items() if name.startswith(PARTS)}
    pyramid = next((part for part in module.sharing.modules() if isinstance(part, FPN)), None)
    if pyramid is None:
        return given
    return {name: given[old] for old, name in renumbered(given, len(pyramid.fpn.inner_blocks)).items()}


def _by_class(
    module: GradientChecks,
    source: Source,
    name: str,
    where: tuple[str, ClassRows],
    own: Tensor,
    given: Tensor,
    told: Started,
) -> Tensor | None:
    """`own` with the rows of the classes that the source knows; None where its classes or rows do not say which."""
    task, rows = where
    space = module.head(task).space
    known = source.classes.get(task)
    if known is None or space is None:
        told.differences.setdefault(f"heads.{task}", f"{source.path} does not say which classes {name} has")
        return None
    # A head without background can start from one with it, and the other way round.
    laid_out = [replace(rows, background=b).labels(known) for b in (rows.background, None, "first")]
    labels = next((labels for labels in laid_out if len(labels) == len(given)), laid_out[0])
    mixed = rows_by_name(own, rows.labels(space.names), given, labels)
    if mixed is None:
        told.differences.setdefault(f"heads.{task}", f"{name} is {tuple(given.shape)}, here {tuple(own.shape)}")
        return None
    there = {*map(plain_name, known)}
    told.known_classes[task] = [one for one in space.names if plain_name(one) in there]
    told.new_classes[task] = [one for one in space.names if plain_name(one) not in there]
    return mixed if told.known_classes[task] or rows.background else None


def _by_part(names: Iterable[str]) -> Counter[str]:
    """How many weights each part has; the counters of batch norms are none."""
    return Counter(part_of(name) for name in names if not name.endswith("num_batches_tracked"))
