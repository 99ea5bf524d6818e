"""What holds for the config of every run: the schema, keys that contradict one another, paths that are read."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_class
from omegaconf import DictConfig, open_dict

from vjo_train.config import rules
from vjo_train.config.compose import Composer
from vjo_train.config.conformity import check
from vjo_train.config.schema import DataConfig, TrainConfig
from vjo_train.config.signatures import nearest
from vjo_train.config.values import plain as as_plain
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder

DEVKIT = "vjo_train.data.sources.voc.source.VOC"
"""The source of a data set that names none."""


def check_paths(cfg: DictConfig) -> None:
    """Looks for the files and folders that the config names.

    Raises:
        ConfigError: one that is not there; a name of the run that leads out of the folder of runs.
    """
    check_data(cfg)
    if ".." in Path(cfg.name).parts or Path(cfg.name).is_absolute():
        raise ConfigError(f"name: found '{cfg.name}'; runs lie below outputs/ by it. hydra.run.dir says another place.")
    weights, resume = cfg.backbone.get("weights"), cfg.trainer.get("resume")
    if weights is not None and (Path(weights) / run_folder.CONFIG).is_file():
        raise ConfigError(
            f"backbone.weights: found '{weights}', the folder of a run; start_from='{weights}' takes what fits of it."
        )
    if weights is not None and ("/" in weights or "." in weights) and not Path(weights).is_file():
        raise ConfigError(f"backbone.weights: found '{weights}', which is no file{near(weights)}")
    if resume not in (None, "auto") and not Path(resume).exists():
        raise ConfigError(f"trainer.resume: found '{resume}', which does not exist; must be auto or a path.")


def check_data(cfg: DictConfig) -> None:
    """Looks for the data set, unless it is made.

    Raises:
        ConfigError: `dataset.root` is no folder; a file is left to the source, but for the devkit's, which takes none.
    """
    data = cfg.dataset.get("root")
    made = cfg.dataset.get("generate") or cfg.dataset.get("download")
    if data is None or made or Path(data).is_dir():
        return
    takes_files = (cfg.dataset.get("source") or {}).get("_target_", DEVKIT) != DEVKIT
    if not (takes_files and Path(data).is_file()):
        hint = looks_like(Path(data)) if Path(data).is_file() else ""
        raise ConfigError(f"dataset.root: found '{data}', which is no folder{near(data)}{hint}")


def check_run(cfg: DictConfig, root: type[TrainConfig]) -> None:
    """The schema, the head that is trained alone, and every path that is read."""
    rules.check_strategy(cfg.trainer.get("strategy"))
    check_schema(cfg, root)
    single = cfg.get("single")
    if single is not None and single not in cfg.heads:
        hint = nearest(single, cfg.heads) or "."
        raise ConfigError(f"single: found '{single}'; must be null or one of {', '.join(cfg.heads)}{hint}")
    if cfg.heads and not run_folder.goals(cfg):
        key, found = ("single", single) if single else ("heads", ", ".join(cfg.heads))
        raise ConfigError(
            f"{key}: found {found}, which is self-supervised and serves other tasks; there must be one that needs"
            " labels, such as classification."
        )
    for task, head in cfg.heads.items():
        rules.check_classes(f"heads.{task}.classes", list(head.get("classes") or []), list(cfg.dataset.classes))
        if isinstance(weights := head.get("class_weights"), DictConfig):
            names = list(head.get("classes") or cfg.dataset.classes)
            names += ["background"] if head.get("background") else []
            rules.check_classes(f"heads.{task}.class_weights", [str(name) for name in weights], names)
    check_paths(cfg)
    check_loggers(cfg)
    _check_schedule(cfg)
    _check_pairs(cfg)
    if root is TrainConfig:  # an evaluated checkpoint holds all weights already
        check_start(cfg)
        for task, run in (cfg.sharing.get("columns_from") or {}).items():
            run_folder.column(Path(run), task, cfg)
        check_teachers(cfg)


LOGGERS = {"WandbLogger": "wandb", "MLFlowLogger": "mlflow", "TensorBoardLogger": "tensorboard"}
"""Class of Lightning -> the package that it takes, which is the name of our extra too."""


def check_loggers(cfg: DictConfig) -> None:
    """Looks for the packages of the loggers.

    Raises:
        ConfigError: one is not installed.
    """
    node = cfg.get("logger") or {}
    nodes = [node] if "_target_" in node else [one for one in node.values() if isinstance(one, DictConfig)]
    for one in nodes:
        package = LOGGERS.get(str(one.get("_target_")).rpartition(".")[2])
        if package is not None and find_spec(package) is None:
            raise ConfigError(f"logger={package}: {package} is not installed; pip install 'vjo-train[{package}]'.")


def check_start(cfg: DictConfig) -> None:
    """Looks for the run or file that `start_from` names.

    Raises:
        ConfigError: it is not there, or `trainer.resume` names a run that did not start from it.
        CheckpointError: it is a run that has left no checkpoint.
    """
    start, resume = cfg.get("start_from"), cfg.trainer.get("resume")
    if start is None:
        return
    if resume not in (None, "auto"):
        run = Path(resume) if Path(resume).is_dir() else Path(resume).parent.parent
        if run_folder.load_config(run, "trainer.resume").get("start_from") != start:
            raise ConfigError(
                f"start_from: found '{start}' next to trainer.resume='{resume}', a run that did not start from it and"
                " goes on with weights of its own; leave one of the two out."
            )
    elif Path(start).is_dir():
        run_folder.load_config(Path(start), "start_from")
        run_folder.checkpoint(Path(start), None, "start_from")
    elif not Path(start).is_file():
        raise ConfigError(f"start_from: found '{start}', which is neither a run's folder nor a file{near(start)}")


def check_teachers(cfg: DictConfig) -> None:
    """Looks for the runs that `distill.teachers` names; those of a comparison will be there in time.

    Raises:
        ConfigError: none are named, or one is no run that has trained its task.
        CheckpointError: it has left no checkpoint.
    """
    if cfg.get("distill") is None:
        return
    teachers = cfg.distill.get("teachers")
    if not teachers and cfg.get("compare") is None:
        raise ConfigError(
            "distill.teachers: missing; must name a run for each task that follows one, such as"
            " {detection: outputs/alone}."
        )
    for task, run in (teachers or {}).items():
        run_folder.teacher(Path(run), str(task), cfg)


def unchosen_heads(cfg: DictConfig, composer: Composer, overrides: list[str]) -> list[str]:
    """Overrides that drop the keys of heads that an experiment sets and the command line does not choose."""
    given = {override.key_or_group for override in composer.parse(overrides)}
    mine = {".".join(key.split(".")[:2]) for key in given if key.startswith("heads.")}
    heads = cfg.get("heads") or {}
    left = [str(task) for task, node in heads.items() if isinstance(node, DictConfig) and "_target_" not in node]
    return [f"~heads.{task}" for task in left if f"heads.{task}" not in mine] if len(left) < len(heads) else []


def check_schema(cfg: DictConfig, root: type[TrainConfig] | type[DataConfig]) -> None:
    """Checks every key of a composed config; interpolations of `hydra` are resolved.

    Raises:
        ConfigError: see `conformity.check`.
    """
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
            root=data.root,
            made=bool(data.get("generate") or data.get("download")),
        )
        rules.check_cuts(
            val_split=data.val_split, val_fraction=data.val_fraction, fold=data.get("fold"), group=data.get("group")
        )
        rules.check_validation(
            early_stopping=trainer.get("early_stopping"),
            monitor=trainer.get("monitor"),
            validated=data.val_split is not None or data.val_fraction > 0,
        )
    rules.check_memory(
        compile=bool(trainer.get("compile")), activation_checkpointing=bool(trainer.get("activation_checkpointing"))
    )
    rules.check_norm(backbone.get("norm"), backbone.get("weights"), started=cfg.get("start_from") is not None)
    rules.check_output_stride(str(backbone.get("name")), backbone.get("output_stride"))


def _check_schedule(cfg: DictConfig) -> None:
    """Builds the schedule, which needs no torch, to hear whether it fits the heads."""
    target = str(cfg.schedule._target_)
    if target.startswith("vjo_train.schedules."):
        keys = {name: value for name, value in as_plain(cfg.schedule).items() if not name.startswith("_")}
        goals = tuple(task for task, head in cfg.heads.items() if not run_folder.self_supervised(head))
        get_class(target)(tasks=tuple(map(str, goals)), **keys)


def near(path: str) -> str:
    """The nearest name in the folder where `path` should be, or what is there instead."""
    if Path(path).exists():
        return f": it is a {'folder' if Path(path).is_dir() else 'file'}."
    if path.startswith("~") and Path(path).expanduser().exists():
        return f"; did you mean '{Path(path).expanduser()}'?"
    parent = Path(path).parent
    names = [child.name for child in parent.iterdir()] if parent.is_dir() else []
    hint = nearest(Path(path).name, names)
    return hint or f" (looked in {Path.cwd()})."
