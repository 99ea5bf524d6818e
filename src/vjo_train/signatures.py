"""Constructor signatures read from source, so that a config is checked without importing torch."""

from __future__ import annotations

import ast
import collections.abc
import difflib
import functools
import pathlib
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import annotated_types

from vjo_train.errors import ConfigError

PACKAGE = "vjo_train"
ROOT = Path(__file__).parent


class Node:
    """Stands in an annotation for any class of this project or of another library: a config node with `_target_`."""


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor: its evaluated annotation and whether it must be given."""

    type: Any
    required: bool


Signature: typing.TypeAlias = dict[str, Argument]


@functools.cache
def signature(target: str) -> Signature:
    """The keyword arguments of a class or function of this package, inherited constructors included.

    Args:
        target: a dotted path, such as `vjo_train.weighting.dwa.DWA`.

    Raises:
        ConfigError: there is no such module or name; the message gives the nearest right path.
    """
    module, _, name = target.rpartition(".")
    definition = _find(module, name)
    if definition is None:
        hint = nearest(target, _targets()) or "."
        raise ConfigError(f"_target_: found '{target}', which does not exist{hint}")
    return _arguments(*definition)


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean '<the most similar of words>'?`, or nothing where none is similar."""
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean '{found[0]}'?" if found else ""


@functools.cache
def _source(module: str) -> ast.Module | None:
    path = ROOT.joinpath(*module.split(".")[1:])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return ast.parse(file.read_text(encoding="utf-8"))
    return None


def _find(module: str, name: str) -> tuple[str, ast.stmt] | None:
    """(module, statement) that defines `name`, followed through imports inside this package."""
    if module.split(".")[0] != PACKAGE or (tree := _source(module)) is None:
        return None
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return _find(statement.module, alias.name)
        elif name in _names(statement):
            return module, statement
    return None


def _names(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [t.id for t in targets if isinstance(t, ast.Name)]


def _arguments(module: str, definition: ast.stmt) -> Signature:
    if isinstance(definition, ast.FunctionDef):
        return dict(_parameters(module, definition.args, skip=0))
    if not isinstance(definition, ast.ClassDef):
        return {}
    inherited: Signature = {}
    for base in reversed(definition.bases):
        if isinstance(base, ast.Name) and (found := _find(module, base.id)):
            inherited |= _arguments(*found)
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            own = dict(_parameters(module, statement.args, skip=1))
            return inherited | own if statement.args.kwarg else own
    if any("dataclass" in ast.dump(decorator) for decorator in definition.decorator_list):
        return inherited | dict(_fields(module, definition))
    return inherited


def _parameters(module: str, arguments: ast.arguments, skip: int) -> Iterator[tuple[str, Argument]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    for i, argument in enumerate(positional):
        if i >= skip:
            yield argument.arg, Argument(_evaluate(module, argument.annotation), i < required)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield argument.arg, Argument(_evaluate(module, argument.annotation), default is None)


def _fields(module: str, definition: ast.ClassDef) -> Iterator[tuple[str, Argument]]:
    for statement in definition.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            annotation = _evaluate(module, statement.annotation)
            if annotation is not typing.ClassVar and typing.get_origin(annotation) is not typing.ClassVar:
                yield statement.target.id, Argument(annotation, statement.value is None)


class _Namespace(dict[str, Any]):
    """The names that an annotation may use: types, ranges, and aliases of its own module or one it imports from."""

    def __init__(self, module: str) -> None:
        super().__init__({t.__name__: t for t in (bool, int, float, str, list, tuple, dict, set, object)})
        self.module = module

    def __missing__(self, name: str) -> Any:
        for library in (typing, collections.abc, annotated_types, pathlib):
            if hasattr(library, name):
                return getattr(library, name)
        found = _find(self.module, name)
        if found and isinstance(found[1], ast.Assign | ast.AnnAssign) and found[1].value is not None:
            return _evaluate(found[0], found[1].value)
        return Node


class _Flatten(ast.NodeTransformer):
    """`torch.Tensor` -> `Tensor`: only last names count."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.Name:
        return ast.copy_location(ast.Name(id=node.attr, ctx=ast.Load()), node)


def _evaluate(module: str, annotation: ast.expr | None) -> Any:
    if annotation is None:
        return Any
    expression = ast.Expression(body=_Flatten().visit(ast.parse(ast.unparse(annotation), mode="eval").body))
    code = compile(ast.fix_missing_locations(expression), module, "eval")
    return eval(code, {"__builtins__": {}}, _Namespace(module))


def _targets() -> Iterator[str]:
    """Every class of the package by its dotted path."""
    for file in sorted(ROOT.rglob("*.py")):
        module = ".".join([PACKAGE, *file.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        tree = _source(module)
        for statement in tree.body if tree else []:
            if isinstance(statement, ast.ClassDef):
                yield f"{module}.{statement.name}"
