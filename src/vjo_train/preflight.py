"""What is looked at before Hydra starts a run, so that a mistake is answered at once and leaves no folder behind."""

from __future__ import annotations

import os
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from vjo_train import runs
from vjo_train.composing import Composer
from vjo_train.errors import ConfigError
from vjo_train.schema import EvalConfig, TrainConfig, check
from vjo_train.signatures import nearest

EVAL = "evaluation"
"""The name under which a run's config, with the keys of `vjo-eval` above it, is stored for Hydra."""


def training(composer: Composer, overrides: list[str], multirun: bool) -> list[str]:
    """Composes and checks every run that the command line asks for.

    Returns:
        Overrides to add: the folder of the unfinished run that `trainer.resume=auto` found.

    Raises:
        ConfigError: a mistake in any of the runs.
    """
    if multirun:
        _sweep(composer, overrides)
        return []
    cfg = composer.compose(overrides)
    if cfg.hydra.mode == RunMode.MULTIRUN:
        _sweep(composer, overrides)
        return []
    _check_run(cfg, TrainConfig)
    given = any(override.key_or_group == "hydra.run.dir" for override in composer.parse(overrides))
    if _torchrun() and not given:
        raise ConfigError("hydra.run.dir: under torchrun it must be given, so that all processes use the same folder.")
    if cfg.trainer.get("resume") == "auto" and not given:
        return _resume(cfg)
    _check_writable(Path(cfg.hydra.run.dir))
    return []


def _sweep(composer: Composer, overrides: list[str]) -> None:
    master = composer.compose(overrides, RunMode.MULTIRUN)
    if _torchrun():
        raise ConfigError("-m: a sweep cannot run inside torchrun; start torchrun once for each run.")
    _check_writable(Path(master.hydra.sweep.dir))
    if "BasicSweeper" not in master.hydra.sweeper._target_:
        return  # another sweeper decides as it goes; each of its runs is checked when it starts
    jobs = composer.jobs(overrides, master.hydra.sweeper.get("params"))
    for job in jobs:
        composer.check_choices(job)
    for job in jobs:
        cfg = composer.compose(job)
        _check_run(cfg, TrainConfig)
        if cfg.trainer.devices * cfg.trainer.num_nodes > 1:
            raise ConfigError(
                f"trainer.devices={cfg.trainer.devices} with -m: each process would start the whole sweep again. "
                "Start each run by torchrun, such as: torchrun --nproc-per-node=2 $(which vjo-train) ..."
            )


def _check_run(cfg: DictConfig, root: type[TrainConfig]) -> None:
    """The schema, and every path that is read."""
    HydraConfig.instance().set_config(cfg)
    plain = cfg.copy()
    with open_dict(plain):
        del plain["hydra"]
    check(plain, root)
    check_paths(plain)


def check_paths(cfg: DictConfig) -> None:
    """Looks for the files and folders that the config names.

    Raises:
        ConfigError: one that is not there.
    """
    data, weights, resume = cfg.dataset.get("root"), cfg.backbone.get("weights"), cfg.trainer.get("resume")
    made = cfg.dataset.get("generate") or cfg.dataset.get("download")
    if data is not None and not made and not Path(data).is_dir():
        raise ConfigError(f"dataset.root: found '{data}', which is no folder{_near(data)}")
    if weights is not None and ("/" in weights or "." in weights) and not Path(weights).is_file():
        raise ConfigError(f"backbone.weights: found '{weights}', which is no file{_near(weights)}")
    if resume not in (None, "auto") and not Path(resume).exists():
        raise ConfigError(f"trainer.resume: found '{resume}', which does not exist; must be auto or a path.")


def _near(path: str) -> str:
    """The nearest name in the folder where `path` should be."""
    parent = Path(path).parent
    names = [child.name for child in parent.iterdir()] if parent.is_dir() else []
    hint = nearest(Path(path).name, names)
    return hint or f" (looked in {Path.cwd()})."


def _check_writable(folder: Path) -> None:
    """Refuses a run folder that cannot be made."""
    there = next(parent for parent in [folder, *folder.parents, *folder.absolute().parents] if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"hydra.run.dir: '{folder}' cannot be made: '{there}' is no folder that can be written to.")


def _resume(cfg: DictConfig) -> list[str]:
    folder = Path(cfg.hydra.run.dir).parent
    found = runs.unfinished(folder, cfg)
    if found is None:
        print(f"trainer.resume=auto: no unfinished run with this config in {folder}; starting anew.")
        return []
    print(f"trainer.resume=auto: going on with {found}.")
    return [f"hydra.run.dir={_quoted(str(found))}"]


def _quoted(text: str) -> str:
    """Text as a quoted value of Hydra's grammar."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def evaluation(composer: Composer, overrides: list[str], config_dir: str | None, check_run: bool = True) -> list[str]:
    """Stores the config of the run that `run=DIR` names as `EVAL`, with the groups that the user chose anew.

    Args:
        composer: of the config `train`, for the groups.
        overrides: the user's.
        config_dir: as in `Composer`.
        check_run: whether the result is checked too.

    Returns:
        The overrides that remain for Hydra: `dataset.split` has become `split`.

    Raises:
        ConfigError: a wrong run folder or a mistake in the overrides.
    """
    groups, rest, run = [], [], None
    for text, override in zip(overrides, composer.parse(overrides), strict=True):
        key = override.key_or_group
        if override.is_sweep_override():
            raise ConfigError(f"'{text}' gives several values; vjo-eval tests one run at a time.")
        if key == "run":
            run = str(override.value())
        if key == "experiment":
            raise ConfigError("experiment: vjo-eval takes the run's own config; set single keys or groups instead.")
        if key in composer.groups:
            groups.append(text)
        else:
            rest.append(f"split={override.get_value_element_as_str()}" if key == "dataset.split" else text)
    if run is None:
        near = runs.nearby(Path("outputs"))
        shown = f" Runs here: {', '.join(map(str, near))}." if near else ""
        raise ConfigError(f"run: missing; vjo-eval run=DIR needs the folder of a run.{shown}")
    cfg = runs.load_config(Path(run))
    classes = cfg.dataset.classes
    if groups:
        _choose(cfg, composer.compose(groups), {text.split("=")[0].lstrip("+~") for text in groups})
    ConfigStore.instance().store(EVAL, {"defaults": ["eval", "_self_"], **_container(cfg)})
    composed = Composer(EVAL, config_dir).compose(rest)
    if check_run:
        _check_run(composed, EvalConfig)
        runs.checkpoint(Path(run), composed.checkpoint)
        if composed.dataset.classes != classes:
            raise ConfigError(
                f"dataset.classes: found {_names(composed.dataset.classes)}; the run was trained on {_names(classes)}."
            )
        _check_writable(Path(composed.hydra.run.dir))
    return rest


def _choose(cfg: DictConfig, chosen: DictConfig, groups: set[str]) -> None:
    """Puts the chosen groups into a run's config. The images' size stays: the network was trained for it."""
    with open_dict(cfg):
        for group in groups:
            node = chosen.get(group)
            if group == "dataset" and "size" in cfg.dataset and "size" in node:
                node.size = cfg.dataset.size
            cfg[group] = node


def _container(cfg: DictConfig) -> dict[str, object]:
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _names(classes: list[str]) -> str:
    shown = ", ".join(classes[:5])
    return f"{len(classes)} classes ({shown}{', ...' if len(classes) > 5 else ''})"
