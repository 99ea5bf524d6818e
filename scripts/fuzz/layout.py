"""What the fuzzer knows of a layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vjo_train.data.sources.base import Source


@dataclass(frozen=True)
class Layout:
    """How a miniature is written, and what reads it.

    Attributes:
        write: writes it into a folder.
        source: what reads it.
        kinds: what tasks ask of it; each is a task of its own.
        classes: of the data set; None: those that its files name.
        place: `dataset.root` below the folder.
        splits: what are trained on, validated and tested.
    """

    write: Callable[[Path], None]
    source: Callable[[], Source]
    kinds: Sequence[str]
    classes: Sequence[str] | None = None
    place: str = "."
    splits: tuple[str, str | None, str] = ("train", "val", "test")
