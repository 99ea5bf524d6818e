"""What a file says of a picture and its objects, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

EVERY = "*"
"""The class of a region that is to be ignored, whatever may be there."""


class Thing(NamedTuple):
    """An object."""

    name: str
    """Of its class; empty where the file names none, `EVERY` for a region that is ignored for all of them."""
    box: tuple[float, float, float, float] | None = None
    """Continuous xyxy in pixels; None: around its outline."""
    outline: Any = None
    """As COCO's `segmentation`: polygons [x, y, ...] or run lengths; None where its pixels are not known."""
    difficult: bool = False
    """Ignored in losses and metrics."""
    where: str = ""
    """In its file, such as `line 3`."""


@dataclass
class Picture:
    """A picture that is annotated, perhaps as one without objects.

    Attributes:
        name: as the file has it: a path, a file's name, with or without its ending, as of any machine.
        file: that says it.
        split: `train`, `val`, `test`, or nothing.
        size: (height, width) that the file says; None where it says none.
        things: its objects.
        shares: their numbers are shares of the picture's width and height.
        fault: what is wrong with it.
        notes: kind of change, and what was read otherwise than it is written.
    """

    name: str
    file: Path
    split: str = ""
    size: tuple[int, int] | None = None
    things: list[Thing] = field(default_factory=list)
    shares: bool = False
    fault: str = ""
    notes: list[tuple[str, str]] = field(default_factory=list)


def find_shares(pictures: Sequence[Picture]) -> None:
    """Takes the numbers of all boxes of a file for shares where none is above 1."""
    corners = [side for one in pictures for thing in one.things if thing.box for side in thing.box]
    if corners and max(corners) <= 1:
        for picture in pictures:
            picture.shares = True


class Read(NamedTuple):
    """What is read of a data set."""

    pictures: Sequence[Picture]
    names: Sequence[str] = ()
    """Class names in the order of the data set; none: those of the objects by the alphabet."""
