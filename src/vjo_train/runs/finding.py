"""The folders of runs that glob patterns lead to. Imports no torch."""

from __future__ import annotations

import glob
import logging
from collections.abc import Sequence
from pathlib import Path

from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder

log = logging.getLogger("vjo_train")


def find_folders(patterns: Sequence[str]) -> list[Path]:
    """The folders of runs that match glob patterns, or lie below folders that do; evaluations of runs are no runs.

    Of several, one that leads to no run is told in the log.

    Raises:
        ConfigError: a pattern that matches nothing, or none that leads to a run.
    """
    found: dict[Path, None] = {}
    empty: list[str] = []
    for pattern in patterns:
        # A folder whose name holds brackets is that folder, not a pattern.
        whole = [Path(pattern)] if Path(pattern).is_dir() else []
        matches = whole or [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
        below = [run for match in matches for run in _runs_below(match)]
        if not below:
            near = run_folder.nearby(Path(pattern))
            shown = f" Runs nearby: {', '.join(map(str, near))}." if near else ""
            what = "leads to no run" if matches else "matches nothing"
            empty.append(f"runs: found '{pattern}', which {what}.{_nearest_name(pattern) or shown}")
            if not matches:
                raise ConfigError(empty[-1])
        found.update(dict.fromkeys(below))
    if empty and not found:
        raise ConfigError(empty[0])
    for said in empty:
        log.warning("%s", said)
    return list(found)


def _runs_below(folder: Path) -> list[Path]:
    marks = (
        [folder / run_folder.CONFIG]
        if (folder / run_folder.CONFIG).is_file()
        else sorted(folder.rglob(str(run_folder.CONFIG)))
    )
    places = [mark.parents[1] for mark in marks]
    return [place for place in places if not {"eval", run_folder.TUNED} & {*place.relative_to(folder).parts[:-1]}]


def _nearest_name(pattern: str) -> str:
    parent = Path(pattern).parent
    own = Path(pattern).name
    names = [child.name for child in parent.iterdir() if child.name != own] if parent.is_dir() else []
    hint = nearest(own, names)
    return f" {hint[2:].capitalize()}" if hint else ""
