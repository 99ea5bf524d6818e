"""What is looked at before Hydra starts a run, so that a mistake is answered at once and leaves no folder behind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vjo_train.comparison import choosing, plan
from vjo_train.config import plugins, rules
from vjo_train.config.compose import Composer
from vjo_train.config.schema import (
    DataConfig,
    EvalConfig,
    ExportConfig,
    PredictConfig,
    ReportConfig,
    TrainConfig,
    check,
)
from vjo_train.config.signatures import nearest, signature
from vjo_train.config.values import plain as as_plain
from vjo_train.errors import ConfigError
from vjo_train.inference import onnx_file
from vjo_train.inference.layout import Layout
from vjo_train.inference.onnx_file import MISSING_EXTRA
from vjo_train.inference.sources import find_sources
from vjo_train.runs import run_folder
from vjo_train.runs.reservation import Place


@dataclass(frozen=True)
class OfRun:
    """A command that works on a finished run.

    Attributes:
        command: its name.
        does: what it does with a run.
        root: its own keys, a file in `conf/`, which come above the run's config.
        schema: all its keys.
        renamed: keys of the run's config that stand for one of its own.
    """

    command: str
    does: str
    root: str
    schema: type[TrainConfig]
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def config_name(self) -> str:
        """The name under which a run's config, with the command's own keys above it, is stored for Hydra."""
        return f"{self.root}_of_run"


EVAL = OfRun("vjo-eval", "tests", "eval", EvalConfig, {"dataset.split": "split"})
PREDICT = OfRun("vjo-predict", "predicts with", "predict", PredictConfig)
EXPORT = OfRun("vjo-export", "exports", "export", ExportConfig)


@dataclass(frozen=True)
class Checked:
    """What the check of a command line has found.

    Attributes:
        place: where to write; None in all but the first of a run's processes, which reserves their common folder.
        added: overrides to add: the word that sweeps over a comparison's cases.
        comparison: the runs of a comparison; none for any other command, and none before its trials have ended.
        trials: those that must be run before the runs of a comparison are known.
    """

    place: Place | None
    added: list[str] = field(default_factory=list)
    comparison: list[plan.Planned] = field(default_factory=list)
    trials: list[choosing.Trial] = field(default_factory=list)


def training(composer: Composer, overrides: list[str], multirun: bool) -> Checked:
    """Composes and checks every run that the command line asks for.

    With `trainer.resume=auto` the place is the folder of the unfinished run that it found.

    Raises:
        ConfigError: a mistake in any of the runs.
    """
    if multirun:
        return _sweep(composer, overrides)
    cfg = composer.compose(overrides)
    if cfg.hydra.mode == RunMode.MULTIRUN:
        return _sweep(composer, overrides)
    _check_run(cfg, TrainConfig)
    if cfg.get("compare") is not None:
        raise ConfigError("compare: is a sweep of many runs; add -m.")
    given = _given(composer, overrides, "hydra.run.dir")
    if _torchrun() and not given:
        raise ConfigError("hydra.run.dir: under torchrun it must be given, so that all processes use the same folder.")
    if _torchrun() and os.environ.get("MASTER_PORT") == "0":
        raise ConfigError("MASTER_PORT: found 0, where processes wait for ever; use torchrun --standalone.")
    if _later_process(several=cfg.trainer.devices * cfg.trainer.num_nodes > 1):
        return Checked(None)
    if cfg.trainer.get("resume") == "auto" and not given and (found := _unfinished(cfg)) is not None:
        return Checked(Place("hydra.run.dir", found, new=False))
    return Checked(Place("hydra.run.dir", _folder(cfg, "hydra.run.dir"), new=not given))


def _later_process(several: bool) -> bool:
    """Whether this is not the first process of a run, by what torchrun, Lightning or SLURM say of it."""
    names = ["RANK", "LOCAL_RANK", *(["SLURM_PROCID"] if several else [])]
    return any(os.environ.get(name, "0") != "0" for name in names)


def _given(composer: Composer, overrides: list[str], key: str) -> bool:
    return any(override.key_or_group == key for override in composer.parse(overrides))


def _sweep(composer: Composer, overrides: list[str]) -> Checked:
    key = "hydra.sweep.dir"
    master = composer.compose(overrides, RunMode.MULTIRUN)
    if _torchrun():
        raise ConfigError("-m: a sweep cannot run inside torchrun; start torchrun once for each run.")
    # A comparison's folder holds the runs that it has finished and goes on with.
    new = master.get("compare") is None and not _given(composer, overrides, key)
    place = Place(key, _folder(master, key), new)
    if "BasicSweeper" not in master.hydra.sweeper._target_:
        return Checked(place)  # another sweeper decides as it goes; each of its runs is checked when it starts
    added = []
    if master.get("compare") is not None:
        _check_run(master, TrainConfig)
        plan.check_settings(master)
        plan.check_sweep(composer, overrides)
        tried = _trials(composer, master, overrides, place.folder)
        if to_come := [trial for trial in tried if not trial.ended]:
            return Checked(place, trials=to_come)
        added = [plan.sweep_word(composer, master, overrides, choosing.chosen(tried))]
    jobs = composer.jobs([*overrides, *added], master.hydra.sweeper.get("params"))
    for job in jobs:
        composer.check_choices(job)
    compared = []
    for job in jobs:
        cfg = composer.compose(job)
        _check_run(cfg, TrainConfig)
        if added:
            compared.append(plan.planned(cfg))
        many = "devices" if cfg.trainer.devices > 1 else "num_nodes"
        if cfg.trainer[many] > 1:
            raise ConfigError(
                f"trainer.{many}={cfg.trainer[many]} with -m: each process would start the whole sweep again. "
                "Start each run by torchrun, such as: torchrun --nproc-per-node=2 $(which vjo-train) ..."
            )
    plan.check_folders(compared)
    return Checked(place, added, compared)


def _trials(composer: Composer, master: DictConfig, overrides: list[str], folder: Path) -> list[choosing.Trial]:
    """The trials of a comparison, checked; none without `compare.tune`."""
    count = master.compare.get("tune")
    if count is None:
        return []
    # The word also refuses overrides that the cases would undo.
    plan.sweep_word(composer, master, overrides, {})
    first = composer.compose(composer.jobs(list(overrides), master.hydra.sweeper.get("params"))[0])
    tried = choosing.trials(composer, plan.cases(master), overrides, folder, first.seed, count)
    for trial in tried:
        if not trial.ended:
            composer.check_choices(list(trial.words))
            _check_run(composer.compose(list(trial.words)), TrainConfig)
    return tried


def _check_run(cfg: DictConfig, root: type[TrainConfig]) -> None:
    """The schema, the head that is trained alone, and every path that is read."""
    _check_schema(cfg, root)
    single = cfg.get("single")
    if single is not None and single not in cfg.heads:
        hint = nearest(single, cfg.heads) or "."
        raise ConfigError(f"single: found '{single}'; must be null or one of {', '.join(cfg.heads)}{hint}")
    for task, head in cfg.heads.items():
        rules.check_classes(f"heads.{task}.classes", list(head.get("classes") or []), list(cfg.dataset.classes))
    for name in cfg.get("reference") or {}:
        task, _, metric = str(name).partition("/")
        if task not in cfg.heads or not metric:
            hint = nearest(task, cfg.heads) or f"; the heads are {', '.join(cfg.heads)}."
            raise ConfigError(f"reference: found '{name}'; must be <head>/<metric>, such as detection/map_area{hint}")
    check_paths(cfg)
    _check_schedule(cfg)
    _check_pairs(cfg)
    if root is TrainConfig:  # an evaluated checkpoint holds the columns already
        for task, run in (cfg.sharing.get("columns_from") or {}).items():
            run_folder.column(Path(run), task, cfg)


def _check_schema(cfg: DictConfig, root: type[TrainConfig] | type[DataConfig]) -> None:
    HydraConfig.instance().set_config(cfg)
    plain = cfg.copy()
    with open_dict(plain):
        del plain["hydra"]
    check(plain, root)


def _check_pairs(cfg: DictConfig) -> None:
    """Looks for keys that contradict one another, as far as these parts are this program's own."""
    data, trainer, backbone = cfg.dataset, cfg.trainer, cfg.backbone
    if data._target_ == "vjo_train.data.datamodule.DataModule":
        rules.check_dataset(
            classes=list(data.classes),
            split=data.split,
            val_split=data.val_split,
            val_fraction=data.val_fraction,
            root=data.root,
            made=bool(data.get("generate") or data.get("download")),
        )
        rules.check_validation(
            early_stopping=trainer.get("early_stopping"),
            monitor=trainer.get("monitor"),
            validated=data.val_split is not None or data.val_fraction > 0,
        )
    rules.check_norm(backbone.get("norm"), backbone.get("weights"))


def _check_schedule(cfg: DictConfig) -> None:
    """Builds the schedule, which needs no torch, to hear whether it fits the heads."""
    target = str(cfg.schedule._target_)
    if target.startswith("vjo_train.schedules."):
        keys = {name: value for name, value in as_plain(cfg.schedule).items() if not name.startswith("_")}
        get_class(target)(tasks=tuple(map(str, cfg.heads)), **keys)


def check_paths(cfg: DictConfig) -> None:
    """Looks for the files and folders that the config names.

    Raises:
        ConfigError: one that is not there.
    """
    check_data(cfg)
    weights, resume = cfg.backbone.get("weights"), cfg.trainer.get("resume")
    if weights is not None and ("/" in weights or "." in weights) and not Path(weights).is_file():
        raise ConfigError(f"backbone.weights: found '{weights}', which is no file{_near(weights)}")
    if resume not in (None, "auto") and not Path(resume).exists():
        raise ConfigError(f"trainer.resume: found '{resume}', which does not exist; must be auto or a path.")


def check_data(cfg: DictConfig) -> None:
    """Looks for the data set, unless it is made.

    Raises:
        ConfigError: `dataset.root` is no folder.
    """
    data = cfg.dataset.get("root")
    made = cfg.dataset.get("generate") or cfg.dataset.get("download")
    if data is not None and not made and not Path(data).is_dir():
        raise ConfigError(f"dataset.root: found '{data}', which is no folder{_near(data)}")


def _near(path: str) -> str:
    """The nearest name in the folder where `path` should be."""
    parent = Path(path).parent
    names = [child.name for child in parent.iterdir()] if parent.is_dir() else []
    hint = nearest(Path(path).name, names)
    return hint or f" (looked in {Path.cwd()})."


def _folder(cfg: DictConfig, key: str) -> Path:
    """The folder that a key of Hydra names, which is mostly made of other keys.

    Raises:
        ConfigError: one of those is not there.
    """
    try:
        return Path(OmegaConf.select(cfg, key))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {str(error).splitlines()[0].rstrip('.')}.") from error


def _check_writable(folder: Path, key: str = "hydra.run.dir") -> None:
    """Refuses a folder that cannot be made."""
    there = next(parent for parent in [folder, *folder.parents, *folder.absolute().parents] if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"{key}: '{folder}' cannot be made: '{there}' is no folder that can be written to.")


def _unfinished(cfg: DictConfig) -> Path | None:
    """The run that `trainer.resume=auto` goes on with, and a word on it."""
    folder = _folder(cfg, "hydra.run.dir").parent
    found = run_folder.unfinished(folder, cfg)
    if found is None:
        print(f"trainer.resume=auto: no unfinished run with this config in {folder}; starting anew.")
    else:
        print(f"trainer.resume=auto: going on with {found}.")
    return found


def _torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


Prepared = tuple[list[str], Place | None]
"""What remains of the overrides for Hydra, and the folder to reserve, where there is one."""


def evaluation(composer: Composer, overrides: list[str], config_dir: str | None, check_run: bool = True) -> Prepared:
    """Composes and checks what `vjo-eval` is asked for; see `_over_run`."""
    rest, cfg, classes = _over_run(EVAL, composer, overrides, config_dir)
    if check_run:
        _check_of_run(cfg, EVAL, classes)
        check_data(cfg)
    new = not _given(composer, overrides, "hydra.run.dir")
    return rest, Place("hydra.run.dir", _folder(cfg, "hydra.run.dir"), new) if check_run else None


def prediction(composer: Composer, overrides: list[str], config_dir: str | None, check_run: bool = True) -> Prepared:
    """Composes and checks what `vjo-predict` is asked for, and looks for the sources; see `_over_run`."""
    rest, cfg, classes = _over_run(PREDICT, composer, overrides, config_dir)
    if check_run:
        _check_of_run(cfg, PREDICT, classes)
        output = Path(cfg.output)
        tasks = _check_tasks(cfg)
        Layout(output).check_spares(find_sources(cfg.source, output), tasks)
        _check_writable(output, "output")
    return rest, None


def export(composer: Composer, overrides: list[str], config_dir: str | None, check_run: bool = True) -> Prepared:
    """Composes and checks what `vjo-export` is asked for; see `_over_run`."""
    rest, cfg, classes = _over_run(EXPORT, composer, overrides, config_dir)
    if check_run:
        _check_of_run(cfg, EXPORT, classes)
        _check_tasks(cfg)
        for package in ("onnx", "onnxscript", "onnxruntime"):
            if find_spec(package) is None:
                raise ConfigError(MISSING_EXTRA.format(key="format=onnx", package=package))
        _check_writable(Path(cfg.output).parent, "output")
    return rest, None


def dataset(composer: Composer, overrides: list[str]) -> None:
    """Composes and checks what `vjo-data` is asked for.

    Raises:
        ConfigError: a mistake in the overrides, or a data set that is not there.
    """
    cfg = composer.compose(overrides)
    _check_schema(cfg, DataConfig)
    check_data(cfg)
    _check_writable(_folder(cfg, "hydra.run.dir"), "output")


def _over_run(
    own: OfRun, composer: Composer, overrides: list[str], config_dir: str | None
) -> tuple[list[str], DictConfig, list[str]]:
    """Stores the config of a run, with the groups that the user chose anew, below a command's own keys.

    The run is that of `run=DIR`, or, for `vjo-predict`, the one that an ONNX file `model=FILE` says it is of.

    Args:
        own: the command.
        composer: of the config `train`, for the groups.
        overrides: the user's.
        config_dir: as in `Composer`.

    Returns:
        The overrides that remain for Hydra, what they compose to, and the classes that the run was trained on.

    Raises:
        ConfigError: a wrong run folder or a mistake in the overrides.
        CheckpointError: a wrong ONNX file.
    """
    groups, rest, origin = [], [], {}
    for text, override in zip(overrides, composer.parse(overrides), strict=True):
        key = override.key_or_group
        if override.is_sweep_override():
            raise ConfigError(f"'{text}' gives several values; {own.command} {own.does} one run at a time.")
        if key in ("run", "model"):
            origin[key] = str(override.value())
        if key == "experiment":
            raise ConfigError(
                f"experiment: {own.command} takes the run's own config; set single keys or groups instead."
            )
        if key in composer.groups:
            groups.append(text)
        else:
            new = own.renamed.get(key)
            rest.append(f"{new}={override.get_value_element_as_str()}" if new else text)
    cfg = _origin(own, origin)
    classes = list(cfg.dataset.classes)
    if groups:
        _choose(cfg, composer.compose(groups), {text.split("=")[0].lstrip("+~") for text in groups})
    ConfigStore.instance().store(own.config_name, {"defaults": [own.root, "_self_"], **_container(cfg)})
    return rest, Composer(own.config_name, config_dir).compose(rest), classes


def _origin(own: OfRun, given: Mapping[str, str]) -> DictConfig:
    """The config of the run, or of the ONNX file, that the command is to work on."""
    from_file = "model" in signature(f"vjo_train.config.schema.{own.schema.__name__}")
    if from_file and len(given) == 2:
        raise ConfigError(f"model: {own.command} takes either run=DIR or model=FILE.onnx, not both.")
    if from_file and "model" in given:
        return onnx_file.load_config(Path(given["model"]))
    if "run" not in given:
        near = run_folder.nearby(Path("outputs"))
        shown = f" Runs here: {', '.join(map(str, near))}." if near else ""
        other = " (or model=FILE.onnx)" if from_file else ""
        raise ConfigError(f"run: missing; {own.command} run=DIR needs the folder of a run{other}.{shown}")
    plugins.make_importable_for(Path(given["run"]))
    return run_folder.load_config(Path(given["run"]))


def _check_of_run(cfg: DictConfig, own: OfRun, trained: list[str]) -> None:
    """The schema, the checkpoint, and the classes, which the user may not change."""
    _check_schema(cfg, own.schema)
    model = cfg.get("model")
    if model is None:
        run_folder.checkpoint(Path(cfg.run), cfg.checkpoint)
    elif cfg.checkpoint is not None:
        raise ConfigError("checkpoint: an ONNX file holds the weights of one checkpoint; leave it out with model=.")
    if cfg.dataset.classes != trained:
        raise ConfigError(
            f"dataset.classes: found {_names(cfg.dataset.classes)}; the run was trained on {_names(trained)}."
        )


def _check_tasks(cfg: DictConfig) -> list[str]:
    """The heads that `tasks` chooses, all that were trained by default.

    Raises:
        ConfigError: one that is named twice, or that the run did not train.
    """
    trained = run_folder.trained_tasks(cfg)
    chosen = list(cfg.tasks or trained)
    for task in chosen:
        if task not in trained:
            what = "did not train" if task in cfg.heads else "does not have"
            hint = nearest(task, trained) or f"; must be of {', '.join(trained)}."
            raise ConfigError(f"tasks: found '{task}', which the run {what}{hint}")
        if chosen.count(task) > 1:
            raise ConfigError(f"tasks: found '{task}' twice; each task may be named once.")
    return chosen


def reporting(composer: Composer, overrides: list[str]) -> DictConfig:
    """The checked config of `vjo-report`.

    Raises:
        ConfigError: a mistake in the overrides.
    """
    cfg = composer.compose(overrides)
    with open_dict(cfg):
        del cfg["hydra"]
    check(cfg, ReportConfig)
    given = [key for key in ("runs", "run", "study") if cfg[key] is not None]
    if not given:
        near = run_folder.nearby(Path("multirun"))
        shown = f" Runs here: {', '.join(map(str, near))}." if near else ""
        raise ConfigError(
            "runs: missing; vjo-report runs=GLOB needs the folders of runs, or one above them; run=DIR one, study=DIR "
            f"a study of vjo-tune.{shown}"
        )
    if len(given) > 1:
        raise ConfigError(
            f"{given[1]}: given next to {given[0]}; one run's own page is run=DIR, a study's study=DIR, a comparison "
            "runs=GLOB."
        )
    (key,) = given
    if key == "study":
        return cfg
    for folder in [cfg[key]] if isinstance(cfg[key], str) else cfg[key]:
        if (Path(folder) / run_folder.STUDY).is_file():
            raise ConfigError(f"{key}: found '{folder}', which is a study of vjo-tune; its page is study={folder}.")
    if key == "run":
        run_folder.load_config(Path(cfg.run))
    return cfg


def _choose(cfg: DictConfig, chosen: DictConfig, groups: set[str]) -> None:
    """Puts the chosen groups into a run's config. The images' size stays: the network was trained for it."""
    with open_dict(cfg):
        for group in groups:
            node = chosen.get(group)
            if group == "dataset" and "size" in cfg.dataset and "size" in node:
                node.size = cfg.dataset.size
            if node is None:  # as of insight=[]
                cfg.pop(group, None)
            else:
                cfg[group] = node


def _container(cfg: DictConfig) -> dict[str, object]:
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _names(classes: list[str]) -> str:
    shown = ", ".join(classes[:5])
    return f"{len(classes)} classes ({shown}{', ...' if len(classes) > 5 else ''})"
