"""Visual joint optimization: one network, several visual tasks, one command.

From Python: `network = vjo_train.load("outputs/run")`, then `network("photo.jpg")`; and `vjo_train.train(overrides)`.
What `__all__` names follows semantic versioning; all else may change at any time. Nothing is imported before it is
asked for, so that `import vjo_train` takes no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vjo_train.api.loading import load
    from vjo_train.api.run import Run
    from vjo_train.api.training import train
    from vjo_train.errors import VjoError
    from vjo_train.inference.network import Network
    from vjo_train.inference.picture_results import Prediction
    from vjo_train.inference.results import ClassMap, Objects, Other, PanopticMap, PixelMap, Scores, Values
    from vjo_train.runs.results import Results

__version__ = "0.1.0"

__all__ = [
    "ClassMap",
    "Network",
    "Objects",
    "Other",
    "PanopticMap",
    "PixelMap",
    "Prediction",
    "Results",
    "Run",
    "Scores",
    "Values",
    "VjoError",
    "__version__",
    "load",
    "train",
]

_PLACES = {
    "load": "api.loading",
    "train": "api.training",
    "Run": "api.run",
    "VjoError": "errors",
    "Network": "inference.network",
    "Prediction": "inference.picture_results",
    "Results": "runs.results",
    **dict.fromkeys(
        ("ClassMap", "Objects", "Other", "PanopticMap", "PixelMap", "Scores", "Values"), "inference.results"
    ),
}
"""Name -> the module that it is taken from."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'vjo_train' has no attribute '{name}'")
    return getattr(import_module(f"vjo_train.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
