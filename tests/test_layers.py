"""The layers of the package import only to the left, and what they import is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "vjo_train"

LAYERS = (
    {"errors", "config.built_in", "config.definitions", "config.repository"},
    {"types", "geometry", "files", "group_norm", "config.signatures", "config.values", "diagnosis"},
    {"drawing", "tracking"},
    {"runs.average_precision", "runs.records", "runs.unpickling", "inference.compare_outputs"},
    {"config.schema", "config.rules", "config.plugins", "runs"},
    {"config.conformity", "data", "backbones", "sharing", "weighting", "schedules", "metrics", "optim"},
    {"inference.sources", "inference.pictures", "inference.runtimes"},
    {"inference.video.sources", "inference.onnx_file"},
    {"heads", "training.losses", "training.step_log", "inference.inputs", "inference.layout", "inference.video.layout"},
    {"training.evaluation", "semi", "distill"},
    {"training.gradient_checks"},
    {"training.draws"},
    {"training.semi_supervised"},
    {"training.self_supervised"},
    {"training.distilled"},
    {"training.module"},
    {"training", "report"},
    {"training.failures", "insight", "pages", "inference.prediction_files"},
    {"training.job"},
    {"training.trainer"},
    {"training.run", "training.arithmetic", "inference", "report.inspection"},
    {"report.picture_page"},
    {"config.instantiation"},
    {"config.networks"},
    {"config.build"},
    {"config.predictor", "config.starting"},
    {"config.jobs", "config.predicting", "config.inspecting"},
    {"comparison"},
    {"config.compose", "cli.help_page"},
    {"comparison.plan"},
    {"comparison.budget", "comparison.choosing"},
    {"config.checks"},
    {"tuning"},
    {"cli"},
    {"api"},
)
"""Rooms, and files of a room that lie on another floor than the rest of it. An entry imports from the floors before its
own; the entries of one floor never import one another, but for `FRIENDS`."""
FRIENDS = {
    ("types", "geometry"),
    ("config.values", "config.signatures"),
    ("runs.records", "runs.average_precision"),
}
TORCH_FREE = {
    *("errors", "files", "config.definitions", "config.signatures", "config.values", "config.schema", "config.rules"),
    "config.conformity",
    *(
        "config.built_in",
        "config.plugins",
        "config.repository",
        "config.compose",
        "runs.average_precision",
        *(f"runs.records.{name}" for name in ("base", "scores", "matches", "pixels", "averages", "choices", "file")),
        *(f"runs.records.{name}" for name in ("numbers", "thresholds", "segments")),
        "runs.run_folder",
        *(f"runs.{name}" for name in ("conditions", "directions", "finding", "listed")),
        "report.listing",
    ),
    *(
        "runs.launch",
        "runs.reservation",
        "inference.compare_outputs",
        "inference.onnx_file",
        "comparison.plan",
        "comparison.budget",
        "comparison.choosing",
    ),
    *(f"config.checks.{name}" for name in ("config", "places", "training", "finished_run", "data_set", "report")),
    *(f"api.{name}" for name in ("hydra_state", "loading", "run", "training", "words")),
    *(f"cli.{name}" for name in ("answer", "start", "train", "finished_run", "data", "report", "tune", "help_page")),
}
RENAMED = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "hydra": "hydra-core",
    "lightning_fabric": "pytorch-lightning",
    "cv2": "opencv-python-headless",
}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module(file: Path) -> str:
    """`training.run` for `src/vjo_train/training/run.py`."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


def part(name: str) -> str:
    """The longest entry of `LAYERS` that a module belongs to."""
    entries = [entry for layer in LAYERS for entry in layer if f"{name}.".startswith(f"{entry}.")]
    assert entries, f"{name} is in no layer"
    return max(entries, key=len)


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules, and what is imported from modules of this package, by full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vjo_train":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def rank(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("file", files(), ids=module)
def test_imports_point_left(file: Path) -> None:
    if file.stem in ("__init__", "__main__"):
        return
    own = part(module(file))
    for name in imports(ast.parse(file.read_text(encoding="utf-8"))):
        inner = name.removeprefix("vjo_train.")
        if inner == name or inner == "__version__" or inner.startswith("conf."):
            continue
        other = part(inner)
        assert other == own or (own, other) in FRIENDS or rank(other) < rank(own), f"{own} must not import {other}"


def test_few_modules_lie_at_the_root() -> None:
    loose = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", "types", "errors"}
    assert len(loose) <= 3, loose
    for room in {file.parent for file in files()} - {PACKAGE}:
        said = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
        assert said, f"{room}: its __init__.py says what is in the room"


def test_no_relative_imports() -> None:
    for file in files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), file


def test_the_command_line_imports_no_torch_at_the_top() -> None:
    for name in TORCH_FREE:
        tree = ast.parse((PACKAGE / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
        heads = {module.split(".")[0] for module in imports(ast.Module([n for n in tree.body], []))}
        assert not heads & {"torch", "torchvision", "pytorch_lightning", "torchmetrics"}, name


def declared() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=! ]", requirement)[0].lower() for requirement in requirements}


def test_imports_are_declared_and_declared_is_imported() -> None:
    found = {m.split(".")[0] for f in files() for m in imports(ast.parse(f.read_text(encoding="utf-8")))}
    outside = {name for name in found if name not in sys.stdlib_module_names and name != "vjo_train"}
    wanted = {RENAMED.get(name, name).replace("_", "-").lower() for name in outside}
    groups = declared()
    assert wanted <= set().union(
        *(
            names(groups[group])
            for group in ("", "timm", "export", "openvino", "tune", "mat", "heic", "dicom", "parquet", "video")
        )
    )
    assert names(groups[""]) <= wanted


def test_every_declared_version_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if not line.startswith("#")}
    groups = declared()
    for group in (
        "",
        "timm",
        "tensorboard",
        "export",
        "openvino",
        "tune",
        "mat",
        "heic",
        "dicom",
        "parquet",
        "video",
        "joblib",
        "submitit",
        "dev",
    ):
        assert names(groups[group]) - {"vjo-train"} <= pinned


def test_every_folder_is_packaged() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {".".join(["vjo_train", *f.parent.relative_to(PACKAGE).parts]) for f in PACKAGE.rglob("__init__.py")}
    assert folders | {"vjo_train.conf"} == set(listed)
    for folder in {f.parent for f in files()}:
        assert (folder / "__init__.py").is_file(), folder
