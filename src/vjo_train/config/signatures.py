"""Constructor signatures read from source, so that a config is checked without importing torch."""

from __future__ import annotations

import ast
import collections.abc
import difflib
import functools
import operator
import pathlib
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import annotated_types

from vjo_train.config.definitions import PACKAGE, ROOT, find, may_have, names, source
from vjo_train.errors import ConfigError


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
    definition = find(module, name)
    if definition is None:
        hint = nearest(target, _targets()) or "."
        raise ConfigError(f"_target_: found '{target}', which does not exist{hint}")
    return _arguments(*definition)


@functools.cache
def outside_signature(target: str) -> Signature | None:
    """The same of a class or function of another package, as far as its source says.

    Annotations that no YAML value can be checked against count as `Any`.

    Args:
        target: a dotted path.

    Returns:
        None where the source does not say: it is compiled, or keywords are passed on to something unknown.

    Raises:
        ConfigError: its module is there and has no such name.
    """
    module, _, name = target.rpartition(".")
    definition = find(module, name)
    if definition is None:
        tree = source(module)
        if tree is None or may_have(tree, name):
            return None
        hint = nearest(name, [name for statement in tree.body for name in names(statement)]) or "."
        raise ConfigError(f"_target_: found '{target}', but {module} has no {name}{hint}")
    if not _closed(*definition):
        return None
    return {name: Argument(checkable(a.type), a.required) for name, a in _arguments(*definition).items()}


@functools.cache
def derives(target: str, ancestor: str) -> bool:
    """Whether a class inherits from another one by what the source says; both are dotted paths."""
    home, _, name = target.rpartition(".")
    module, statement = (find(home, name) if home else None) or (home, None)
    if not isinstance(statement, ast.ClassDef):
        return False
    bases = [f"{module}.{base.id}" for base in statement.bases if isinstance(base, ast.Name)]
    return f"{module}.{statement.name}" == ancestor or any(derives(base, ancestor) for base in bases)


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean '<the most similar of words, whatever its case>'?`, or nothing where none is similar."""
    known = {one.casefold(): one for one in words}
    found = difflib.get_close_matches(word.casefold(), list(known), n=1, cutoff=0.6)
    return f"; did you mean '{known[found[0]]}'?" if found else ""


def _closed(module: str, definition: ast.stmt) -> bool:
    """Whether all keywords are known: none are passed on, or only to classes of this package."""
    if isinstance(definition, ast.FunctionDef):
        return definition.args.kwarg is None
    if not isinstance(definition, ast.ClassDef):
        return False
    inits = [s for s in definition.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"]
    if inits and inits[0].args.kwarg is None:
        return True
    bases = [find(module, base.id) if isinstance(base, ast.Name) else None for base in definition.bases]
    own = bool(inits) or any("dataclass" in ast.dump(decorator) for decorator in definition.decorator_list)
    return (own or bool(bases)) and all(
        base is not None and (base[0].split(".")[0] == PACKAGE or _closed(*base)) for base in bases
    )


def checkable(kind: Any) -> Any:
    """An annotation with all that no YAML value can be checked against replaced by Any."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind in (bool, int, float, str, type(None), None, pathlib.Path) or origin is typing.Literal:
        return kind
    if origin is typing.Annotated:
        known = all(isinstance(limit, annotated_types.BaseMetadata) for limit in args[1:])
        return kind if known and checkable(args[0]) is args[0] else checkable(args[0])
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, map(checkable, args))
    if origin in (list, collections.abc.Sequence) and args:
        return list[checkable(args[0])]  # type: ignore[misc]
    if origin in (dict, collections.abc.Mapping) and len(args) == 2:
        return dict[str, checkable(args[1])]  # type: ignore[misc]
    return Any


def _arguments(module: str, definition: ast.stmt) -> Signature:
    if isinstance(definition, ast.FunctionDef):
        return dict(_parameters(module, definition.args, skip=0))
    if not isinstance(definition, ast.ClassDef):
        return {}
    inherited: Signature = {}
    for base in reversed(definition.bases):
        if isinstance(base, ast.Name) and (found := find(module, base.id)):
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
        found = find(self.module, name)
        if found and isinstance(found[1], ast.Assign | ast.AnnAssign) and found[1].value is not None:
            return _evaluate(found[0], found[1].value)
        return Node if self.module.split(".")[0] == PACKAGE else Any


class _Flatten(ast.NodeTransformer):
    """`torch.Tensor` -> `Tensor`: only last names count."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.Name:
        return ast.copy_location(ast.Name(id=node.attr, ctx=ast.Load()), node)


def _evaluate(module: str, annotation: ast.expr | None) -> Any:
    if annotation is None:
        return Any
    expression = ast.Expression(body=_Flatten().visit(ast.parse(ast.unparse(annotation), mode="eval").body))
    code = compile(ast.fix_missing_locations(expression), module, "eval")
    try:
        return eval(code, {"__builtins__": {}}, _Namespace(module))
    except TypeError:
        if module.split(".")[0] == PACKAGE:
            raise
        return Any  # such as a shape in brackets, behind a tensor


def _targets() -> Iterator[str]:
    """Every class of the package by its dotted path."""
    for file in sorted(ROOT.rglob("*.py")):
        module = ".".join([PACKAGE, *file.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        tree = source(module)
        for statement in tree.body if tree else []:
            if isinstance(statement, ast.ClassDef):
                yield f"{module}.{statement.name}"
