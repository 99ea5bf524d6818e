"""Checkpoints: where they lie, how they are written and read, and what is said of a wrong one."""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.files import replacing
from vjo_train.runs import run_folder
from vjo_train.runs.unpickling import read_plain, reason

log = logging.getLogger("vjo_train")

FOLDER = "checkpoints"
TRAINING = ("weighting.", "distill.")
"""How the names of what only training needs begin: the state of the weighting, layers between teachers and network."""
WEIGHTS = "weights.ckpt"
"""Of a finished run: the weights that were tested, to use and to start from, but not to go on from."""


def write(checkpoint: Mapping[str, Any], place: Path) -> None:
    """Writes a checkpoint beside its place, syncs it to the disk and then moves it there: whole or not at all.

    The `last.ckpt` that it replaces is kept as `last-previous.ckpt`.

    Raises:
        CheckpointError: it cannot be written; names the newest one that is there.
    """
    last, previous = run_folder.last_checkpoints(place.parent.parent)
    try:
        with replacing(place, backup=previous if place.name == last.name else None) as file:
            torch.save(checkpoint, file)
    except (OSError, RuntimeError) as error:
        # torch hides what its file raised behind a RuntimeError of its own.
        cause = error if isinstance(error, OSError) else error.__context__ or error
        if not isinstance(cause, OSError):  # asked to stop at once, or a loading process died, while it was writing
            raise cause from None
        kept = newest(place.parent.parent)
        raise CheckpointError(f"{place} could not be written ({cause.strerror}). {kept}") from error


def newest(output: Path) -> str:
    """A sentence on the newest checkpoint that a run in `output` could go on from."""
    there = [path for path in run_folder.last_checkpoints(output) if path.is_file()]
    return f"The last good checkpoint is {there[0]}." if there else "There is no checkpoint yet."


def resumed(resume: str | None, output: Path) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint that `trainer.resume` names, read: a file, a run's folder, or `auto`, this run's own if any.

    A damaged `last.ckpt` of a folder is named in the log, and the one before it is taken.

    Returns:
        The file and what is in it; None to start anew.

    Raises:
        ConfigError: the path does not exist.
        CheckpointError: there is no checkpoint in the folder, or all are damaged.
    """
    if resume is None:
        return None
    if resume != "auto" and Path(resume).is_file():
        return Path(resume), _resumable(Path(resume), read(Path(resume)))
    if resume != "auto" and not Path(resume).is_dir():
        raise ConfigError(f"trainer.resume: found {resume!r}, which is neither file nor folder; give auto or a path.")
    folder = output if resume == "auto" else Path(resume)
    there = [path for path in run_folder.last_checkpoints(folder) if path.is_file()]
    if not there:
        if resume == "auto":
            return None
        raise CheckpointError(f"trainer.resume: '{resume}' holds no {FOLDER}/last.ckpt; must be the folder of a run.")
    *newer, oldest = there
    for path in newer:
        try:
            return path, read(path)
        except CheckpointError as error:
            log.warning("%s Taking the one before it.", error)
    return oldest, read(oldest)


def _resumable(path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    if "optimizer_states" not in checkpoint:
        raise CheckpointError(
            f"trainer.resume: {path} holds weights alone; go on from the {run_folder.LAST} of a run, or start anew from"
            " these weights by start_from."
        )
    return checkpoint


def write_weights(whole: Mapping[str, Any], path: Path, config: Mapping[str, Any]) -> Path:
    """Writes what it takes to use a checkpoint, and nothing to go on with, beside it: `weights.ckpt`.

    Args:
        whole: what `read` gives of the checkpoint.
        path: where it lies.
        config: of its run, resolved.

    Raises:
        CheckpointError: the file cannot be written.
    """
    kept: dict[str, Any] = {
        name: whole[name]
        for name in ("state_dict", "batches", "classes", "started_from", "thresholds")
        if name in whole
    }
    place = path.with_name(WEIGHTS)
    write({**kept, "config": dict(config)}, place)
    return place


def set_aside_damaged(output: Path, taken: Path) -> None:
    """Renames a run's damaged `last.ckpt` where the one before it was taken, whose place it would get at the next save.

    Args:
        output: the run's folder.
        taken: the checkpoint that the run goes on from.
    """
    last, previous = run_folder.last_checkpoints(output)
    if last.is_file() and previous.is_file() and taken.samefile(previous):
        last.replace(last.with_name("last-damaged.ckpt"))


def read(path: Path) -> dict[str, Any]:
    """A checkpoint as plain data; nothing in it is run.

    Raises:
        CheckpointError: damaged, holds more than plain data, or is no checkpoint of this program.
    """
    check_whole(path)
    return checked(read_plain(path), path)


def check_whole(path: Path) -> None:
    """Compares the checksums in a file of `torch.save`, at which torch itself does not look.

    Raises:
        CheckpointError: damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except (RuntimeError, EOFError, ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint ({reason(error)}).") from error
    if part is not None:
        raise CheckpointError(f"{path} is damaged (wrong checksum of {part}).")


def checked(content: Any, path: Path) -> dict[str, Any]:
    """What is in a file, if it is a checkpoint of this program.

    Raises:
        CheckpointError: it is not.
    """
    checkpoint: dict[str, Any] = content if isinstance(content, dict) else {}
    for key, kind in (("state_dict", dict), ("batches", int)):
        if not isinstance(checkpoint.get(key), kind):
            raise CheckpointError(f"{path} is no checkpoint of vjo-train: it holds no {key}.")
    if odd := next((name for name, value in checkpoint["state_dict"].items() if not torch.is_tensor(value)), None):
        raise CheckpointError(f"{path} is no checkpoint of vjo-train: {odd} in its state_dict is no tensor.")
    return checkpoint


def restore(module: nn.Module, path: Path) -> None:
    """Fills the network of `module` with the weights of a checkpoint, and its heads with the thresholds chosen on val.

    The module's weighting is left as it is.

    Raises:
        CheckpointError: damaged, or of another network.
    """
    fill(module, read(path), path)


def fill(module: nn.Module, whole: Mapping[str, Any], path: Path) -> None:
    """As `restore`, with what `read` gives of the checkpoint `path`.

    Raises:
        CheckpointError: of another network.
    """
    kept = {name: value for name, value in module.state_dict().items() if name.startswith(TRAINING)}
    saved = {name: value for name, value in whole["state_dict"].items() if not name.startswith(TRAINING)}
    compare(module, saved | kept, path)
    module.load_state_dict(saved | kept)
    heads = getattr(module, "heads", {})
    for task, own in whole.get("thresholds", {}).items():
        if task in heads:
            heads[task].keep_chosen(own)


def restore_column(column: Mapping[str, nn.Module], head: nn.Module, task: str, path: Path) -> None:
    """Fills the parts of a column and the head of `task` from the checkpoint of a run that trained it alone.

    Args:
        column: `backbone`, and `neck` if the head reads one; what else the run's sharing holds is left out.
        head: of the task.
        task: its name.
        path: the checkpoint.

    Raises:
        CheckpointError: damaged, or of another network.
    """
    state = read(path)["state_dict"]
    parts = {**{f"sharing.{name}.": part for name, part in column.items()}, f"heads.{task}.": head}
    for prefix, part in parts.items():
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        compare(part, own, path, prefix)
        part.load_state_dict(own)


def compare(module: nn.Module, state: Mapping[str, Any], path: Path, prefix: str = "", way: str = "") -> None:
    """Refuses weights that do not fit.

    Args:
        module: to be filled.
        state: name -> weight.
        path: where they come from.
        prefix: of the names there, for the message.
        way: a last sentence for it: what to do.

    Raises:
        CheckpointError: of another network; the message names the first difference and counts the others.
    """
    own = module.state_dict()
    differences = [f"{prefix}{key} is missing" for key in own if key not in state]
    differences += [f"{prefix}{key} is not in this network" for key in state if key not in own]
    differences += [
        f"{prefix}{key} is {tuple(state[key].shape)}, here {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if differences:
        more = f" (and {len(differences) - 1} more differences)" if len(differences) > 1 else ""
        raise CheckpointError(f"{path} is of another network: {differences[0]}{more}.{way}")
