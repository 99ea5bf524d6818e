"""`python -m vjo_train.cli` is `vjo-train`."""

from vjo_train.cli.commands import train

train()
