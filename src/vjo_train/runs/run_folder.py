"""Run folders on disk: which is unfinished, which lie nearby. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vjo_train.config.signatures import derives, nearest
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs.renamed import with_current_names

CONFIG = Path(".hydra") / "config.yaml"
"""A run's own config, in its folder."""
HARD = "vjo_train.sharing.hard.HardSharing"
"""The `_target_` of hard sharing: what a single task's network is."""
SELF_SUPERVISED = "vjo_train.heads.self_supervised.base.SelfSupervised"
"""The class of heads that need no labels and serve the others."""
STUDY = "study.yaml"
"""The file in a folder of `vjo-tune` that says what the study is of."""
TUNED = "tune"
"""The folder in a comparison's that holds the trials of `compare.tune`."""
LAST = "last.ckpt"
"""The newest checkpoint in a run's folder `checkpoints`."""
RESULTS = "results.json"
"""The file in a run's folder that says that it is finished."""


def last_checkpoints(run: Path) -> tuple[Path, Path]:
    """Where a run's newest checkpoint lies, and the one before it."""
    return run / "checkpoints" / LAST, run / "checkpoints" / "last-previous.ckpt"


def stopped(run: Path) -> bool:
    """Whether a run has left a checkpoint to go on from, but did not finish."""
    return any(path.is_file() for path in last_checkpoints(run)) and not (run / RESULTS).exists()


def forget_results(run: Path) -> bool:
    """Removes what says that a run is finished, since another one begins in its folder; whether it was there."""
    there = (run / RESULTS).is_file()
    (run / RESULTS).unlink(missing_ok=True)
    return there


def load_config(run: Path, key: str = "run") -> DictConfig:
    """The config that a run was started with.

    Raises:
        ConfigError: `run`, found at `key`, is no run's folder; the message names those nearby.
    """
    if not (run / CONFIG).is_file():
        what = "holds no .hydra/config.yaml" if run.is_dir() else "does not exist" if not run.exists() else "is a file"
        near = nearby(run)
        shown = f" Runs nearby: {', '.join(map(str, near))}." if near else ""
        raise ConfigError(f"{key}: found '{run}', which {what}; it must be the folder of a run.{shown}")
    cfg = OmegaConf.load(run / CONFIG)
    assert isinstance(cfg, DictConfig)
    return with_current_names(cfg)


def trained_tasks(cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """The heads that a run of this config trains.

    All, or the one that a single-task run names; the self-supervised ones not where `helpers` is false.
    """
    if cfg.get("single") is not None:
        return (str(cfg["single"]),)
    tasks = tuple(map(str, cfg["heads"]))
    return tasks if cfg.get("helpers", True) else tuple(t for t in tasks if not self_supervised(cfg["heads"][t]))


def goals(cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of the trained heads that say something of a picture as it is: all but the self-supervised ones."""
    return tuple(task for task in trained_tasks(cfg) if not self_supervised(cfg["heads"][task]))


def self_supervised(head: Mapping[str, Any]) -> bool:
    """Whether a head's config is that of a self-supervised task."""
    return derives(str(head.get("_target_")), SELF_SUPERVISED)


def nearby(path: Path, most: int = 3) -> list[Path]:
    """Runs below `path` or its closest parent that has any, and in the usual folders; the newest first."""
    places = [path, *path.parents][:3]
    places = [p for p in places if p not in (Path("."), Path("/"))] + [Path("outputs"), Path("multirun")]
    for place in places:
        found = {file.parents[1] for depth in ("", "*/", "*/*/", "*/*/*/") for file in place.glob(f"{depth}{CONFIG}")}
        found = {run for run in found if "eval" not in run.parts[-2:]}
        if found:
            return _newest_first(found)[:most]
    return []


def unfinished(folder: Path, cfg: DictConfig) -> Path | None:
    """The newest run in `folder` that stopped before its end and has the config `cfg`, `trainer.resume` aside."""
    wanted = _comparable(cfg)
    for run in _newest_first(folder.glob("*")):
        if stopped(run) and (run / CONFIG).is_file() and _comparable(load_config(run)) == wanted:
            return run
    return None


def difference(run: Path, cfg: DictConfig) -> str | None:
    """The first key in which a run's config differs from `cfg`, with both values; None where they agree.

    `trainer.resume`, `compare`, `reference`, `insight` and `merge`, which do not change what is trained, do not count.

    Raises:
        ConfigError: `run` is no run's folder.
    """
    return first_difference(_comparable(load_config(run)), _comparable(cfg))


def differences(run: Path, cfg: DictConfig) -> list[str]:
    """Every key in which a run's config differs from `cfg`, as `difference` says it; absent ones are left out."""
    there, here = (_flat(_comparable(one)) for one in (load_config(run), cfg))
    return [f"{key}: {there[key]} there, {here[key]} here" for key in there if key in here and there[key] != here[key]]


def _flat(node: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in node.items():
        out |= _flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return out


def first_difference(there: Mapping[str, Any], here: Mapping[str, Any], path: str = "") -> str | None:
    """The first key in which two configs differ, such as `trainer.max_epochs: 10 there, 20 here`.

    A key that one of them lacks is `absent` there: a run of an older version has none of the keys added since.
    """
    for key in dict.fromkeys([*there, *here]):
        one, two = there.get(key), here.get(key)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            if found := first_difference(one, two, f"{path}{key}."):
                return found
        elif one != two or (key in there) != (key in here):
            found, wanted = (str(config[key]) if key in config else "absent" for config in (there, here))
            return f"{path}{key}: {found} there, {wanted} here"
    return None


def case_name(method: str) -> str:
    """The name of a compared method, part of its runs' folders: its overrides without special characters."""
    return re.sub(r"[^\w.]+", "-", method).strip("-")


def case_with_labels(case: str, share: float) -> str:
    """The name of a compared case with a share of the labels, such as `labels0.1-dwa`."""
    return f"labels{share:g}-{case}"


def case_without_labels(case: str) -> str:
    """The inverse of `case_with_labels`; another name as it is."""
    return re.sub(r"^labels[\d.e-]+?-(?=[^\d])", "", case)


def alone(run: Path, task: str) -> Path:
    """Where a comparison has the run of one task alone, with the seed and the labels of its run `run`."""
    case = run.parent.name
    labels = case.removesuffix(case_without_labels(case))
    return run.parents[1] / f"{labels}single-{task}" / run.name


def teacher(run: Path, task: str, cfg: DictConfig) -> Path:
    """The checkpoint of a run whose features those of `task` follow: its best one, else its last.

    Raises:
        ConfigError: `cfg` has no such task, or `run` is no run or has not trained it.
        CheckpointError: it has left no checkpoint.
    """
    key = f"distill.teachers.{task}"
    _check_head(key, task, cfg)
    if task not in (trained := goals(load_config(run, key))):
        raise ConfigError(f"{key}: '{run}' has trained {', '.join(trained)}; it must have trained {task}.")
    return checkpoint(run, None, key)


def split_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """`["seed=1", "+a.b=c"]` -> `{"seed": "1", "a.b": "c"}`; a deletion `~a` has the value `deleted`."""
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+~"): value if equals else "deleted" for key, equals, value in pairs}


def checkpoint(run: Path, which: str | None, key: str = "checkpoint") -> Path:
    """The checkpoint of a run that `which` names: `best`, `last`, a file, or None: best where there is one, else last.

    Raises:
        CheckpointError: there is no such file.
    """
    if which in (None, "best", "last"):
        names = ["best", "last"] if which is None else [which]
        for name in names:
            if (path := run / "checkpoints" / f"{name}.ckpt").is_file():
                return path
        there = ", ".join(sorted(p.name for p in (run / "checkpoints").glob("*.ckpt"))) or "none"
        raise CheckpointError(f"{key}: no {' or '.join(map(str, names))} checkpoint in '{run}' (found: {there}).")
    path = Path(str(which))
    if not path.is_file():
        raise CheckpointError(f"{key}: found '{which}', which is no file; must be best, last or a file.")
    return path


def column(run: Path, task: str, cfg: DictConfig) -> Path:
    """The checkpoint of a run that `sharing.columns_from` names: its best one, else its last.

    Raises:
        ConfigError: `cfg` has no such task, or `run` is no run, or did not train it alone on this backbone and classes.
        CheckpointError: it has left no checkpoint.
    """
    key = f"sharing.columns_from.{task}"
    _check_head(key, task, cfg)
    found = _column_facts(load_config(run, key))
    for name, wanted in {**_column_facts(cfg), "heads": [task], "sharing": HARD}.items():
        if found.get(name) != wanted:
            raise ConfigError(f"{key}: '{run}' was trained with {name}={found.get(name)}; must be {wanted}.")
    return checkpoint(run, None, key)


def _check_head(key: str, task: str, cfg: DictConfig) -> None:
    if task not in cfg.heads:
        hint = nearest(task, cfg.heads) or f"; the heads are {', '.join(cfg.heads)}."
        raise ConfigError(f"{key}: there is no such head{hint}")


def _column_facts(cfg: DictConfig) -> dict[str, Any]:
    """What a run must agree in so that its network fits into another's column; its parameters' shapes do not say it."""
    plain = _comparable(cfg)
    # Runs of older versions do not name the stride.
    keys = {"output_stride": 32, **plain["backbone"]}
    backbone = {f"backbone.{k}": v for k, v in keys.items() if k not in ("weights", "frozen_stages")}
    facts = {"heads": list(plain["heads"]), "sharing": plain["sharing"]["_target_"]}
    return {**facts, **backbone, "dataset.classes": plain["dataset"]["classes"]}


def _newest_first(runs: Iterable[Path]) -> list[Path]:
    return sorted(runs, key=lambda run: (run.stat().st_mtime, run.name), reverse=True)


def _comparable(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    trainer = plain.get("trainer")
    if isinstance(trainer, dict):
        trainer.pop("resume", None)
        trainer.pop("strategy", None)  # it has one choice, and older runs have no such key
    for name in ("hydra", "compare", "insight", "merge", "reference"):
        plain.pop(name, None)
    return {str(key): value for key, value in plain.items()}
