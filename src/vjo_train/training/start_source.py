"""What `start_from` names: a run's folder, a checkpoint, or a file of torchvision's detectors."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vjo_train.backbones.weights import read_content, unwrapped
from vjo_train.errors import CheckpointError
from vjo_train.heads.base import Head
from vjo_train.runs import run_folder
from vjo_train.training import checkpoints, from_torchvision
from vjo_train.training.start_from import PARTS, Source


def find(start_from: str) -> Path:
    """The file that `start_from` names: itself, or a run's best checkpoint, else its last.

    Raises:
        ConfigError: there is no such file or run.
        CheckpointError: the run has left no checkpoint.
    """
    path = Path(start_from)
    if path.is_file():
        return path
    run_folder.load_config(path, "start_from")
    return run_folder.checkpoint(path, None, "start_from")


def read(start_from: str, heads: Mapping[str, Head]) -> Source:
    """The weights that `start_from` names.

    Args:
        start_from: a run's folder, a checkpoint of a run, or a file with torchvision's state dict.
        heads: of the network that will start from them: a file of torchvision's names none.

    Raises:
        ConfigError: there is no such file or run, or safetensors is not installed.
        CheckpointError: the file is damaged or of no network that is known here.
    """
    path = find(start_from)
    try:
        if zipfile.is_zipfile(path):  # torch's older files have no checksums
            checkpoints.check_whole(path)
        content = read_content(path)
        if isinstance(content, dict) and "batches" in content:
            return _own(path, checkpoints.checked(content, path))
        state = unwrapped(content, path)
    except CheckpointError as error:
        raise CheckpointError(f"start_from: {error}") from error
    if any(name.startswith(PARTS) for name in state):  # the state dict of a network of this program alone
        return Source(path, "weights alone", state, _classes_of_run(path))
    found = from_torchvision.read(path, state, heads)
    if found is None:
        raise CheckpointError(
            f"start_from: {path} is of no network that is known here (it has {next(iter(state), 'nothing')}); it must"
            f" be of a run, or one of torchvision's {', '.join(from_torchvision.KNOWN)}. The weights of a backbone"
            " alone go to backbone.weights."
        )
    return found


def _own(path: Path, content: Mapping[str, Any]) -> Source:
    said = content.get("classes")
    classes = said if isinstance(said, Mapping) else _classes_of_run(path)
    return Source(path, "a checkpoint", content["state_dict"], classes)


def _classes_of_run(path: Path) -> Mapping[str, Sequence[str]]:
    """What the run whose folder a checkpoint lies in says of its heads' classes; nothing if it lies elsewhere."""
    run = path.parent.parent
    if not (run / run_folder.CONFIG).is_file():
        return {}
    cfg = run_folder.load_config(run, "start_from")
    known = list(cfg.dataset.get("classes") or [])
    return {str(task): list(head.get("classes") or known) for task, head in cfg.heads.items()}
