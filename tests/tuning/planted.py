"""A study's folder with planted trials."""

from __future__ import annotations

from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")

from omegaconf import OmegaConf  # noqa: E402
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution  # noqa: E402
from optuna.trial import FrozenTrial, TrialState, create_trial  # noqa: E402

from tests.pages.planted import HOSTILE  # noqa: E402
from vjo_train.runs import run_folder  # noqa: E402
from vjo_train.tuning.study import FAULT, FOLDER, default_folder  # noqa: E402
from vjo_train.tuning.summary import write_summary  # noqa: E402

SPACE: dict[str, BaseDistribution] = {
    "optimizer.lr": FloatDistribution(1e-4, 0.1, log=True),
    "weighting": CategoricalDistribution(["equal", "dwa"]),
}
COMMAND = ["experiment=shapes_demo", "dataset.classes=[a,b]"]
TASKS = ("val/classification/map", "val/detection/map_area")


def plant_study(folder: Path, metrics: tuple[str, ...] = TASKS) -> Path:
    """Two trials on the front, one behind both, one pruned after two epochs, one failed and one killed."""
    values = ([0.5, 0.3], [0.4, 0.4], [0.3, 0.2])
    trials = [_trial(k, TrialState.COMPLETE, [v[: len(metrics)] for v in values][k]) for k in range(3)]
    trials += [_trial(3, TrialState.PRUNED), _trial(4, TrialState.FAIL, fault=f"{HOSTILE}\n{'lost ' * 30}")]
    trials += [_trial(5, TrialState.FAIL)]
    folder.mkdir(parents=True)
    write_summary(folder, trials, metrics, COMMAND)
    space = {"optimizer.lr": {"low": 1e-4, "high": 0.1, "log": True}, "weighting": ["equal", "dwa"]}
    OmegaConf.save({"command": COMMAND, "space": space, "config": {"name": HOSTILE}}, folder / run_folder.STUDY)
    place = folder / default_folder(3)
    place.mkdir()
    (place / "metrics.csv").write_text("epoch,step,train/lr\n0,5,0.1\n1,10,0.1\n")
    return folder


def _trial(number: int, state: TrialState, values: list[float] | None = None, fault: str = "") -> FrozenTrial:
    own = {FOLDER: default_folder(number)} | ({FAULT: fault} if fault else {})
    params = {"optimizer.lr": 0.001234567 * 2**number, "weighting": ("equal", "dwa")[number % 2]}
    made = create_trial(state=state, values=values, params=params, distributions=SPACE, user_attrs=own)
    made.number = number
    return made
