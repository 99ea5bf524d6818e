"""A run as Python sees it: its folder, its figures, its network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vjo_train.api.loading import load
from vjo_train.runs import run_folder
from vjo_train.runs.results import Results, read_results

if TYPE_CHECKING:
    from vjo_train.inference.network import Network


class Run:
    """A finished run, of `vjo_train.train` or of `vjo-train`.

    Args:
        folder: of the run.

    Attributes:
        folder: the same.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def results(self) -> Results:
        """All figures of `results.json`.

        Raises:
            CheckpointError: the run did not finish.
        """
        return read_results(self.folder / run_folder.RESULTS)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The figures of the test by name, such as `test/detection/map_voc07`."""
        return self.results.metrics

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that `load` takes: the best one where there is one, else the last.

        Raises:
            CheckpointError: there is none.
        """
        return run_folder.checkpoint(self.folder, None)

    def load(self, **options: Any) -> Network:
        """The trained network; options and errors as of `vjo_train.load`."""
        return load(self.folder, **options)
