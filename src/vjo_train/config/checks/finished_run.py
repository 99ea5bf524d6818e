"""The command lines of `vjo-eval`, `vjo-predict` and `vjo-export`, which work on a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf, open_dict

from vjo_train.config import plugins
from vjo_train.config.checks.config import check_data, check_schema
from vjo_train.config.checks.effects import EVALUATION, PREDICTION, say_without_effect
from vjo_train.config.checks.effects import EXPORT as EXPORT_RULES
from vjo_train.config.checks.places import check_writable, folder_at, is_given
from vjo_train.config.compose import Composer, quoted
from vjo_train.config.schema import EvalConfig, ExportConfig, LoadConfig, PredictConfig, TrainConfig
from vjo_train.config.signatures import nearest, signature
from vjo_train.errors import ConfigError
from vjo_train.inference import onnx_file
from vjo_train.inference.layout import Layout
from vjo_train.inference.runtimes.base import MISSING_EXTRA
from vjo_train.inference.sources import find_sources
from vjo_train.inference.video.layout import VideoLayout
from vjo_train.inference.video.sources import check_library, find_videos
from vjo_train.runs import launch, run_folder
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
LOAD = OfRun("vjo_train.load", "loads", "load", LoadConfig)
EXPORT = OfRun("vjo-export", "exports", "export", ExportConfig)


Prepared = tuple[list[str], Place | None]
"""What remains of the overrides for Hydra, and the folder to reserve, where there is one."""


def check_evaluation(
    composer: Composer, overrides: list[str], config_dir: str | None, check_run: bool = True
) -> Prepared:
    """Composes and checks what `vjo-eval` is asked for; see `_over_run`."""
    new = not is_given(composer, overrides, "hydra.run.dir")
    model = next((o.value() for o in composer.parse(overrides) if o.key_or_group == "model"), None)
    if model is not None and new:
        beside = Path(str(model)).parent / "eval/${now:%Y-%m-%d_%H-%M-%S}"
        overrides = [*overrides, f"hydra.run.dir={quoted(str(beside))}"]
    rest, cfg, classes = _over_run(EVAL, composer, overrides, config_dir)
    if check_run:
        _check_of_run(cfg, EVAL, classes)
        _check_one_process(cfg)
        if cfg.sequences is None:
            check_data(cfg)
        elif cfg.split is not None:
            raise ConfigError("split: sequences have no splits; leave one of split and sequences out.")
        elif not Path(cfg.sequences).is_dir():
            raise ConfigError(f"sequences: found '{cfg.sequences}', which is no folder.")
        say_without_effect(cfg, composer, overrides, EVALUATION)
    return rest, Place("hydra.run.dir", folder_at(cfg, "hydra.run.dir"), new) if check_run else None


def _check_one_process(cfg: DictConfig) -> None:
    """Refuses several processes: what they would share is a test alone, which one device does."""
    for key in ("devices", "num_nodes"):
        if cfg.trainer[key] != 1:
            raise ConfigError(f"trainer.{key}: found {cfg.trainer[key]}; vjo-eval tests on one device.")
    if (started := launch.outside()) is not None:
        raise ConfigError(f"{started.by}: found {started.commands} processes; vjo-eval tests in one, started alone.")


def check_prediction(
    composer: Composer, overrides: list[str], config_dir: str | None, check_run: bool = True
) -> Prepared:
    """Composes and checks what `vjo-predict` is asked for, and looks for the sources; see `_over_run`."""
    rest, cfg, classes = _over_run(PREDICT, composer, overrides, config_dir)
    if check_run:
        _check_of_run(cfg, PREDICT, classes)
        output = Path(cfg.output)
        tasks = _check_tasks(cfg)
        videos = find_videos(str(cfg.source), output)
        if videos:
            check_library("source")
            VideoLayout(output).check_spares(videos, tasks)
        else:
            Layout(output).check_spares(find_sources(str(cfg.source), output), tasks)
            if cfg.track:
                raise ConfigError(f"track: '{cfg.source}' names pictures; objects are followed in videos alone.")
        check_writable(output, "output")
        say_without_effect(cfg, composer, overrides, PREDICTION)
    return rest, None


def check_loading(composer: Composer, overrides: list[str]) -> DictConfig:
    """Composes and checks what `vjo_train.load` is asked for, and returns it; see `_over_run`."""
    _, cfg, classes = _over_run(LOAD, composer, overrides, None)
    _check_of_run(cfg, LOAD, classes)
    _check_tasks(cfg)
    return cfg


def check_export(composer: Composer, overrides: list[str], config_dir: str | None, check_run: bool = True) -> Prepared:
    """Composes and checks what `vjo-export` is asked for; see `_over_run`."""
    rest, cfg, classes = _over_run(EXPORT, composer, overrides, config_dir)
    if check_run:
        _check_of_run(cfg, EXPORT, classes)
        _check_tasks(cfg)
        _check_format(cfg)
        check_writable(Path(cfg.output or onnx_file.usual_path(cfg.run, cfg.format)).parent, "output")
        say_without_effect(cfg, composer, overrides, EXPORT_RULES)
    return rest, None


def _check_format(cfg: DictConfig) -> None:
    """The file's ending, and the libraries that it takes.

    Raises:
        ConfigError: one of them is not there, or the format has no such precision.
    """
    if cfg.resize and not cfg.decoded:
        raise ConfigError(
            "resize: found true with decoded=false; a file that resizes pictures decodes too: add decoded=true."
        )
    ending = onnx_file.ENDINGS[cfg.format]
    if cfg.output is not None and Path(cfg.output).suffix != ending:
        raise ConfigError(f"output: found '{cfg.output}'; with format={cfg.format} the name must end in {ending}.")
    if cfg.format == "torch" and cfg.precision != "float32":
        raise ConfigError(
            f"precision: found {cfg.precision}; format=torch is written in float32 alone, format=onnx and"
            " format=openvino in float16 and int8 too."
        )
    needed = {"onnx": "export", "onnxscript": "export", "onnxruntime": "export"} if cfg.format != "torch" else {}
    needed |= {"openvino": "openvino"} if cfg.format == "openvino" else {}
    needed |= {"nncf": "openvino"} if cfg.format == "openvino" and cfg.precision == "int8" else {}
    for package, extra in needed.items():
        if find_spec(package) is None:
            raise ConfigError(MISSING_EXTRA.format(key=f"format={cfg.format}", package=package, extra=extra))


def _over_run(
    own: OfRun, composer: Composer, overrides: list[str], config_dir: str | None
) -> tuple[list[str], DictConfig, list[str]]:
    """Stores the config of a run, with the groups that the user chose anew, below a command's own keys.

    The run is that of `run=DIR`, or the one that an exported file `model=FILE` says it is of.

    Args:
        own: the command.
        composer: of the config `train`, for the groups.
        overrides: the user's.
        config_dir: as in `Composer`.

    Returns:
        The overrides that remain for Hydra, what they compose to, and the classes that the run was trained on.

    Raises:
        ConfigError: a wrong run folder or a mistake in the overrides.
        CheckpointError: a wrong exported file.
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
    cfg.trainer.devices = cfg.trainer.num_nodes = 1  # whatever trained it
    classes = list(cfg.dataset.classes)
    if groups:
        _choose(cfg, composer.compose(groups), {text.split("=")[0].lstrip("+~") for text in groups})
    if cfg.dataset.get("classes", ()) is None:
        cfg.dataset.classes = classes
    ConfigStore.instance().store(own.config_name, {"defaults": [own.root, "_self_"], **_container(cfg)})
    return rest, Composer(own.config_name, config_dir).compose(rest), classes


def _origin(own: OfRun, given: Mapping[str, str]) -> DictConfig:
    """The config of the run, or of the exported file, that the command is to work on."""
    from_file = "model" in signature(f"vjo_train.config.schema.{own.schema.__name__}")
    if from_file and len(given) == 2:
        raise ConfigError(f"model: {own.command} takes either run=DIR or model=FILE, not both.")
    if from_file and "model" in given:
        return onnx_file.load_config(Path(given["model"]))
    if "run" not in given:
        near = run_folder.nearby(Path("outputs"))
        shown = f" Runs here: {', '.join(map(str, near))}." if near else ""
        other = " (or model=FILE)" if from_file else ""
        raise ConfigError(f"run: missing; {own.command} run=DIR needs the folder of a run{other}.{shown}")
    plugins.make_importable_for(Path(given["run"]))
    return run_folder.load_config(Path(given["run"]))


def _check_of_run(cfg: DictConfig, own: OfRun, trained: list[str]) -> None:
    """The schema, the checkpoint, and the classes, which the user may not change."""
    check_schema(cfg, own.schema)
    model = cfg.get("model")
    if model is None:
        run_folder.checkpoint(Path(cfg.run), cfg.checkpoint)
    elif cfg.checkpoint is not None:
        raise ConfigError("checkpoint: an exported file holds the weights of one checkpoint; leave it out with model=.")
    else:
        onnx_file.check_decoding(Path(model), cfg.heads)
    if cfg.dataset.classes != trained:
        raise ConfigError(
            f"dataset.classes: found {_names(cfg.dataset.classes)}; the run was trained on {_names(trained)}."
        )


def _check_tasks(cfg: DictConfig) -> list[str]:
    """The heads that `tasks` chooses, all that were trained by default.

    Raises:
        ConfigError: one that is named twice, or that the run did not train.
    """
    trained = run_folder.goals(cfg)
    chosen = list(cfg.tasks or trained)
    for task in chosen:
        if task not in trained:
            what = "did not train" if task in cfg.heads else "does not have"
            if task in run_folder.trained_tasks(cfg):
                what = "has for training alone (it is self-supervised)"
            hint = nearest(task, trained) or f"; must be of {', '.join(trained)}."
            raise ConfigError(f"tasks: found '{task}', which the run {what}{hint}")
        if chosen.count(task) > 1:
            raise ConfigError(f"tasks: found '{task}' twice; each task may be named once.")
    return chosen


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
