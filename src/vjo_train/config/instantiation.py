"""One object of one node of a config."""

from __future__ import annotations

from inspect import Parameter
from inspect import signature as python_signature
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig

from vjo_train.errors import VjoError


def wanted(node: DictConfig, **given: Any) -> dict[str, Any]:
    """Those of `given` that the constructor of a node takes, or one that it passes keywords on to."""
    target = get_object(node["_target_"])
    taken: set[str] = set()
    for part in target.__mro__ if isinstance(target, type) else [target]:
        parameters = python_signature(part).parameters if "__init__" in vars(part) or part is target else {}
        taken |= set(parameters)
        if parameters and all(parameter.kind is not Parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return {name: value for name, value in given.items() if name in taken}


def make(node: DictConfig, **given: Any) -> Any:
    """Instantiates a node; a mistake that its constructor finds comes out as it was raised."""
    try:
        return instantiate(node, _convert_="all", **given)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, VjoError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        raise
