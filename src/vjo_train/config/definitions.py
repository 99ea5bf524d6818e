"""Definitions of classes and functions found in source files, without importing them."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path

PACKAGE = "vjo_train"
ROOT = Path(__file__).parents[1]


@functools.cache
def source(module: str) -> ast.Module | None:
    """The syntax tree of a module; None where there is no such module, or no Python source of it."""
    top, *rest = module.split(".")
    for place in [ROOT] if top == PACKAGE else _places(top):
        path = place.joinpath(*rest)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return ast.parse(file.read_text(encoding="utf-8"))
    return None


def _places(package: str) -> list[Path]:
    """Where the files of another top-level module lie; it is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin).with_suffix("")] if spec.origin else []


def find(module: str, name: str) -> tuple[str, ast.stmt] | None:
    """(module, statement) that defines `name`, followed through imports within its package and from this one."""
    if (tree := source(module)) is None:
        return None
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    origin = _imported(module, statement)
                    known = origin.split(".")[0] in (PACKAGE, module.split(".")[0])
                    return find(origin, alias.name) if known else None
        elif name in names(statement):
            return module, statement
    return None


def _imported(module: str, statement: ast.ImportFrom) -> str:
    """The full name of the module that a statement in `module` imports from."""
    if not statement.level:
        return statement.module or ""
    parts = module.split(".") if _is_package(module) else module.split(".")[:-1]
    parts = parts[: len(parts) - statement.level + 1]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def _is_package(module: str) -> bool:
    top, *rest = module.split(".")
    places = [ROOT] if top == PACKAGE else _places(top)
    return any((place.joinpath(*rest) / "__init__.py").is_file() for place in places)


def may_have(tree: ast.Module, name: str) -> bool:
    """Whether a module may have `name`: it stands anywhere in it, or names come from elsewhere."""
    for node in ast.walk(tree):
        match node:
            case ast.alias(name=full, asname=other) if "*" in full or name in (other or full).split("."):
                return True
            case ast.ClassDef(name=found) | ast.FunctionDef(name=found) if found in (name, "__getattr__"):
                return True
            case ast.Name(id=found) if found == name:
                return True
    return False


def names(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [t.id for t in targets if isinstance(t, ast.Name)]
