"""Every YAML file composes, passes the schema, explains its keys, and builds: a new one is tested once it exists."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf, open_dict

from vjo_train.cli import help_page
from vjo_train.config.checks.class_names import class_names
from vjo_train.config.compose import Composer
from vjo_train.config.conformity import GIVEN, NAMED, check
from vjo_train.config.signatures import signature

if TYPE_CHECKING:
    from vjo_train.data.datamodule import DataModule

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(f for f in CONF.glob("*/*.yaml") if f.parent.name != "hydra")
CLASSES = "[a,b,c]"
EXTRAS = {"timm": "timm", "vit": "timm", "tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""Choice -> the package that it needs."""


def name(file: Path) -> str:
    return f"{file.parent.name}={file.stem}"


@functools.cache
def composer() -> Composer:
    return Composer("train")


@functools.cache
def composed(overrides: tuple[str, ...]) -> DictConfig:
    cfg = composer().compose(list(overrides))
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def compose(*overrides: str) -> DictConfig:
    return composed(overrides).copy()


def name_classes(cfg: DictConfig) -> None:
    """Sets what `class_names` would add to the command line, without composing the config again."""
    for word in class_names(cfg):
        key, _, value = word.lstrip("+").partition("=")
        OmegaConf.update(cfg, key, yaml.safe_load(value), force_add=True)


def with_file(file: Path) -> DictConfig:
    """The default config with one choice, with what the choice leaves to the user, and without the network."""
    group, choice = file.parent.name, file.stem
    overrides = [f"{group}=[{choice}]" if group in ("heads", "merge") else f"{group}={choice}"]
    if group == "merge":
        overrides.append("heads=[semantic,instance]")
    if group == "dataset" and OmegaConf.is_missing(OmegaConf.load(file), "root"):
        overrides += ["dataset.root=.", f"dataset.classes={CLASSES}"]
    if file.stem == "class_masks":
        overrides.append("dataset.source.masks={cat: '{stem}.png'}")
    if file.stem in ("mixture", "join"):
        source = "{_target_: vjo_train.data.sources.voc.source.VOC}"
        part = f"{{_target_: vjo_train.data.sources.{file.stem}.Part, root: ., source: {source}}}"
        overrides += [f"dataset.classes={CLASSES}", f"dataset.source.parts={{a: {part}, b: {part}}}"]
    overrides.append("backbone.weights=null")
    cfg = compose(*overrides)
    if OmegaConf.is_missing(cfg.dataset, "root"):  # an experiment on data that are one's own
        overrides += ["dataset.root=.", *([f"dataset.classes={CLASSES}"] if cfg.dataset.classes is None else [])]
        cfg = compose(*overrides)
    if cfg.dataset.get("generate"):
        name_classes(cfg)
    return cfg


@pytest.mark.parametrize("file", FILES, ids=name)
def test_composes_and_passes_the_schema(file: Path) -> None:
    check(with_file(file))


@pytest.mark.parametrize("file", FILES, ids=name)
def test_has_a_line_of_help_and_explains_every_key(file: Path) -> None:
    assert help_page.summary(file)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#")
    if file.parent.name == "experiment":
        assert re.search(rf"^name: {file.stem}$", "\n".join(lines), flags=re.MULTILINE), "an experiment names its runs"
        return
    for line in lines:
        fixed = line == f"name: {file.stem}"  # the choice itself
        if re.match(r" *\w+:.", line) and "_target_" not in line and not fixed:
            assert re.search(r": .*# \S", line), f"{file.name}: no comment on '{line}'"


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name != "experiment"], ids=name)
def test_shows_every_key_that_a_user_may_set(file: Path) -> None:
    """A key that only the constructor knows would be hidden from `--cfg job` and completion."""

    def compare(node: dict[str, Any], given: set[str]) -> None:
        if str(node.get("_target_", "")).startswith("vjo_train."):
            arguments = set(signature(node["_target_"]))
            added = set(NAMED) if "num_classes" in arguments & given else set()
            assert arguments - given | added == set(node) - {"_target_"}
        for child in node.values():
            if isinstance(child, dict):
                compare(child, set())

    node = OmegaConf.load(file)
    assert isinstance(node, DictConfig)
    plain = OmegaConf.to_container(node)
    assert isinstance(plain, dict)
    if file.parent.name == "dataset":
        plain = {"download": False, "generate": None} | plain
    compare(plain, GIVEN.get(file.parent.name, set()))


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name not in ("dataset", "logger", "trainer")], ids=name)
def test_builds_a_model(file: Path) -> None:
    import torch

    from vjo_train.config import build

    if file.stem in EXTRAS:
        pytest.importorskip(EXTRAS[file.stem])
    cfg = with_file(file)
    if file.parent.name != "backbone":  # one small backbone is enough elsewhere
        cfg.backbone = compose("backbone=resnet18").backbone
        cfg.neck.channels = 16
    with torch.device("meta"):  # all but the numbers
        module = build.model(cfg)
    assert set(module.tasks) == set(cfg.heads)


def test_frozen_statistics_need_weights_or_a_checkpoint() -> None:
    import torch

    from vjo_train.config import build
    from vjo_train.errors import ConfigError

    cfg = compose("backbone.norm=frozen", "neck.channels=16")
    with pytest.raises(ConfigError, match=r"norm=frozen needs backbone\.weights"):
        build.model(cfg)
    cfg.backbone.weights = "gone.pth"
    with torch.device("meta"):
        assert build.model(cfg, restored=True).tasks


def test_builds_a_weighting_from_another_package() -> None:
    from vjo_train.config import build

    node = OmegaConf.create({"_target_": "tests.training.test_module.Probe"})
    assert type(build.weighting(node, ("a", "b"), channels=8)).__name__ == "Probe"


@pytest.mark.parametrize("file", sorted((CONF / "dataset").glob("*.yaml")), ids=name)
def test_builds_a_data_module(file: Path, tmp_path: Path) -> None:
    from vjo_train.config import build

    cfg = with_file(file)
    cfg.dataset.root = str(tmp_path)
    data: DataModule = build.datamodule(cfg)
    assert data is not None


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name in ("logger", "trainer", "schedule")], ids=name)
def test_instantiates(file: Path, tmp_path: Path) -> None:
    from hydra.utils import instantiate

    package = EXTRAS.get(file.stem)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    node = with_file(file)[file.parent.name]
    if "_target_" not in node:
        return
    for key, value in OmegaConf.to_container(node, resolve=False).items():
        if isinstance(value, str) and "${hydra:" in value:
            node[key] = value.replace("${hydra:runtime.output_dir}", str(tmp_path))
    given = {"tasks": ("classification", "detection")} if file.parent.name == "schedule" else {}
    assert instantiate(node, **given) is not None
