"""The commands by name, as they are installed.

None imports torch before a run starts, so help and every mistake in the config are answered at once.
"""

from vjo_train.cli.data import data
from vjo_train.cli.finished_run import evaluate, export, predict
from vjo_train.cli.report import report
from vjo_train.cli.train import train
from vjo_train.cli.tune import tune

__all__ = ["data", "evaluate", "export", "predict", "report", "train", "tune"]
