"""Sides of a comparison, timed in turns within one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Literal

import torch

Side = Callable[[], tuple[float, float]]
"""Does a visit's work; returns seconds per unit of work, and a figure by which to see that sides did the same."""


@dataclass(frozen=True)
class Aim:
    """`side` shall take at most `limit` times the seconds of `against`, or so many seconds more, or alone.

    With `result`, the figure beside its seconds shall be at most `limit`, and `against` is what that figure is.
    """

    side: str
    against: str | None
    limit: float
    kind: Literal["times", "seconds more", "seconds", "result"] = "times"

    def measured(self, seconds: dict[str, list[float]], results: dict[str, float]) -> float:
        """What to compare with the limit: a median over the turns, or the last result."""
        if self.kind == "result":
            return results[self.side]
        if self.kind == "seconds":
            return median(seconds[self.side])
        assert self.against is not None
        pairs = zip(seconds[self.side], seconds[self.against], strict=True)
        return median(a / b if self.kind == "times" else a - b for a, b in pairs)

    def __str__(self) -> str:
        return {
            "times": f"{self.side} / {self.against}",
            "seconds more": f"{self.side} - {self.against}, seconds",
            "seconds": f"{self.side}, seconds",
            "result": f"{self.side}, {self.against}",
        }[self.kind]


@dataclass
class Section:
    """What is compared.

    Args:
        unit: what the seconds are for.
        result: what the figure beside them is.
        sides: by name; the first is the reference of the ratios.
        aims: what should be reached.
        settings: the size of the work, for the record.
        measure: what the tables show, where it is not time: sides then return that in the place of seconds.
        scale: what the sides return times `scale` is in the unit of `measure`.
    """

    unit: str
    result: str
    sides: dict[str, Side]
    aims: list[Aim] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    measure: str = "milliseconds"
    scale: float = 1000.0

    def of_aims(self) -> Section:
        """With the first side and those that aims are about."""
        about = {next(iter(self.sides)), *(name for aim in self.aims for name in (aim.side, aim.against))}
        return replace(self, sides={name: side for name, side in self.sides.items() if name in about})

    def figures(self, repeats: int) -> dict[str, Any]:
        """Visits all sides once to warm up, then `repeats` times in turns, every other time in reverse order.

        Neighbours in time share the machine's load, so a ratio is the median of the ratios within each turn.
        """
        seconds: dict[str, list[float]] = {name: [] for name in self.sides}
        results = {name: side()[1] for name, side in self.sides.items()}
        for turn in range(repeats):
            for name in list(self.sides)[:: -1 if turn % 2 else 1]:
                spent, results[name] = self.sides[name]()
                seconds[name].append(spent)
        reference = next(iter(self.sides))
        return {
            "unit": self.unit,
            "measure": self.measure,
            "scale": self.scale,
            "result": self.result,
            "reference": reference,
            "settings": self.settings,
            "sides": {
                name: {
                    "seconds": values,
                    "median": median(values),
                    "ratio": ratio(values, seconds[reference]),
                    "result": results[name],
                }
                for name, values in seconds.items()
            },
            "aims": [
                {
                    "aim": str(aim),
                    "side": aim.side,
                    "against": aim.against,
                    "kind": aim.kind,
                    "at_most": aim.limit,
                    "measured": (measured := aim.measured(seconds, results)),
                    "met": measured <= aim.limit,
                }
                for aim in self.aims
            ],
        }


def ratio(seconds: list[float], others: list[float]) -> float:
    """The median over the turns of one side's seconds in those of another."""
    return median(a / b for a, b in zip(seconds, others, strict=True))


def now() -> float:
    """Seconds from any origin, after all work of the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
