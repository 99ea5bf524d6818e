"""The contract of what looks into a run."""

from __future__ import annotations

import pytorch_lightning as pl


class Insight(pl.Callback):
    """A callback that looks and writes, and leaves the run as it would be without it, to the bit.

    It takes part in training and in every test; its node is `insight.<name>` of the config, and `output`, the run's
    folder, is given to its constructor.
    """

    def figures(self) -> dict[str, float]:
        """What it found, by name, for the results of the run; called after the test."""
        return {}
