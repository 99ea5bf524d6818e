"""`results.json`: the figures of a finished run and what is needed to trust them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from vjo_train.errors import CheckpointError
from vjo_train.files import write_atomically
from vjo_train.runs.renamed import plain_with_current_names

FORMAT = 1
"""The version of the layout; raised when a field changes its meaning."""


@dataclass(frozen=True)
class Results:
    """A finished run. A figure that is undefined is NaN here and null in the file.

    Attributes:
        metrics: scalars of the test by name, such as `test/detection/map_voc07`.
        per_class: `test/detection/ap_voc07` -> class -> value.
        monitors: the names of the metrics that stand for the tasks when runs are compared.
        reported: the names of those that the field reports of the tasks -> whether higher is better.
        config: the resolved configuration as plain dicts and lists.
        overrides: what the command line changed, such as `seed=2`.
        seed: the run's seed.
        versions: packages by name.
        git: the commit of the project's checkout, or None.
        device: see `environment.describe_device`.
        precision: such as `bf16-mixed`, after `auto` was settled.
        data: the fingerprint of the data set.
        checkpoint: the checkpoint that was tested, relative to the run's folder, or None.
        epochs: epochs trained.
        steps: optimizer steps taken.
        wall_seconds: time spent fitting, validation included.
        images_per_second: over all training steps, validation left out.
        data_wait: the share (0..1) of those steps' time spent waiting for data.
        parameters: of the whole network.
        test_seconds: time spent testing.
        inference_images_per_second: forward and decoding of one test batch, without loading.
        inference_flops: floating-point operations of forward and decoding of one test image, in convolutions and matrix
            products; NaN where an exported file computed.
        training: scalars of the training by name, such as `train/detection/images`; empty after `vjo-eval`.
        skipped: split -> faulty images that were left out; empty where there were none.
        counts: split (`train`, `val`, `meta`, `test`) -> its `images`, and how many of them are labelled for each task.
        classes: class -> what the training images (after `vjo-eval`, those of the test) show of it: `objects`, and the
            median `side` of these in pixels of the canvas; empty where no objects are known.
        started_from: what was taken of `start_from`: `source`, and by part of the network how many weights, and the
            classes; empty where the run started without.
        parts: data set of a mixture -> scalars of the test over its images alone, and `test/<task>/images`, how many of
            them are labelled; empty where there is but one.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    monitors: list[str]
    config: dict[str, Any]
    overrides: list[str]
    seed: int
    versions: dict[str, str]
    git: str | None
    device: dict[str, str | int]
    precision: str
    data: str
    checkpoint: str | None
    epochs: int
    steps: int
    wall_seconds: float
    images_per_second: float
    data_wait: float = math.nan
    parameters: int = 0
    test_seconds: float = math.nan
    inference_images_per_second: float = math.nan
    inference_flops: float = math.nan
    training: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    reported: dict[str, bool] = field(default_factory=dict)
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    started_from: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def images_seen(self) -> dict[str, int]:
        """Task -> labelled images that training has seen, repetitions included; empty after `vjo-eval`."""
        names = [name.split("/") for name in self.training]
        return {n[1]: int(self.training["/".join(n)]) for n in names if n[-1] == "images"}

    def to_json(self) -> str:
        """Keys sorted at every level, so that two files can be compared line by line."""
        content = _without_nan({"format": FORMAT, **asdict(self)})
        return json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Results:
        """The inverse of `to_json`.

        Raises:
            ValueError: the text is no JSON object, or of another format.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise ValueError(f"not a results file of format {FORMAT}")
        required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
        if wrong := (required - set(content)) | (set(content) - {f.name for f in fields(cls)}):
            raise ValueError(f"missing or unknown: {', '.join(sorted(wrong))}")
        # Files of the first versions hold the figures of training among those of the test.
        scalars = _with_nan({**content["metrics"], **content.get("training", {})})
        content["training"] = {name: value for name, value in scalars.items() if name.startswith("train/")}
        content["metrics"] = {name: value for name, value in scalars.items() if name not in content["training"]}
        content["config"] = plain_with_current_names(content["config"])
        for name in ("per_class", "parts"):
            content[name] = {key: _with_nan(values) for key, values in content.get(name, {}).items()}
        speeds = ("images_per_second", "data_wait", "inference_images_per_second", "inference_flops")
        for name in ("wall_seconds", "test_seconds", *speeds):
            content[name] = _number(content.get(name))
        return cls(**content)


def write_results(path: Path, results: Results) -> None:
    """Writes the file whole or not at all."""
    write_atomically(path, results.to_json())


def read_results(path: Path) -> Results:
    """Reads a run's `results.json`.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        return Results.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found; the run in this folder did not finish.") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: not a results file: {error}.") from None


def name_per_class(
    stage: str, values: Mapping[str, Mapping[str, Sequence[float]]], classes: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Task -> metric -> [K] values, as heads compute them, to `<stage>/<task>/<metric>` -> class -> value.

    Args:
        stage: such as `test`.
        values: by task and metric.
        classes: task -> the names of its K classes.
    """
    return {
        f"{stage}/{task}/{metric}": {name: float(v) for name, v in zip(classes[task], figures, strict=True)}
        for task, metrics in values.items()
        for metric, figures in metrics.items()
    }


def _without_nan(value: Any) -> Any:
    """Every number that JSON cannot hold becomes None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return value


def _with_nan(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
