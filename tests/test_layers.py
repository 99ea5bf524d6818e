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
    {"errors", "definitions"},
    {
        "types",
        "geometry",
        "signatures",
        "values",
        "files",
        "average_precision",
        "records",
        "agreement",
        "unpickling",
        "group_norm",
        "diagnosis",
    },
    {"schema", "runs", "places", "plugins", "onnxfile", "contradictions"},
    {"data", "backbones", "sharing", "weighting", "schedules", "metrics", "optimizers", "lr_schedules", "clipping"},
    {"heads", "losses", "step_log"},
    {"module"},
    {"checkpoints", "early_stopping", "interruption", "precision", "strategy", "fit_loop", "compiling", "report"},
    {"faults", "insight", "pages"},
    {"run", "prediction", "export", "inspection"},
    {"build"},
    {"comparison"},
    {"composing", "helppage"},
    {"comparing"},
    {"choosing"},
    {"preflight"},
    {"tuning"},
    {"cli"},
)
"""Parts of one layer never import one another, but for those in `FRIENDS`."""
FRIENDS = {("types", "geometry"), ("values", "signatures"), ("records", "average_precision")}
TORCH_FREE = {
    *(
        "errors",
        "definitions",
        "plugins",
        "files",
        "signatures",
        "values",
        "average_precision",
        "records",
        "schema",
        "runs",
        "places",
    ),
    *("agreement", "contradictions", "onnxfile", "composing", "helppage", "comparing", "choosing", "preflight", "cli"),
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


def part(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "vjo_train":
            yield from (f"vjo_train.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def rank(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("file", files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_left(file: Path) -> None:
    own = part(file)
    if own == "__init__":
        return
    for module in imports(ast.parse(file.read_text(encoding="utf-8"))):
        if not module.startswith("vjo_train.") or module == "vjo_train.__version__":
            continue
        other = module.split(".")[1]
        if other == own or (own, other) in FRIENDS:
            continue
        assert rank(other) < rank(own), f"{own} must not import {other}"


def test_no_relative_imports() -> None:
    for file in files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), file


def test_the_command_line_imports_no_torch_at_the_top() -> None:
    for name in TORCH_FREE:
        tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
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
    assert wanted <= names(groups[""]) | names(groups["timm"]) | names(groups["export"]) | names(groups["tune"])
    assert names(groups[""]) <= wanted


def test_every_declared_version_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if not line.startswith("#")}
    groups = declared()
    for group in ("", "timm", "tensorboard", "export", "tune", "joblib", "submitit", "dev"):
        assert names(groups[group]) - {"vjo-train"} <= pinned


def test_every_folder_is_packaged() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {".".join(["vjo_train", *f.parent.relative_to(PACKAGE).parts]) for f in PACKAGE.rglob("__init__.py")}
    assert folders | {"vjo_train.conf"} == set(listed)
    for folder in {f.parent for f in files()}:
        assert (folder / "__init__.py").is_file(), folder
