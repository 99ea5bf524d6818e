"""How Lightning learns which process of a run this is."""

from __future__ import annotations

import os

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from vjo_train.runs.launch import launched


class SlurmTasks(SLURMEnvironment):
    """The tasks that srun has started.

    A signal before the end of a job's time saves and stops the run as everywhere; Lightning would also put the job into
    the queue again, which is left to the job's script.
    """

    def __init__(self) -> None:
        here = launched()
        assert here is not None
        os.environ["SLURM_NTASKS_PER_NODE"] = str(here.per_node)  # without it Lightning refuses tasks that it can count
        os.environ["SLURM_NTASKS"] = str(here.commands)  # of the step, not of the whole job
        super().__init__(auto_requeue=False)


class OneMachine(LightningEnvironment):
    """Processes that this program starts itself; clusters give a NODE_RANK to runs on a single machine, too."""

    def node_rank(self) -> int:
        """0."""
        return 0


def environment(devices: int, nodes: int) -> ClusterEnvironment:
    """What tells Lightning the rank of this process.

    Args:
        devices: processes on each machine.
        nodes: machines.
    """
    here = launched(devices, nodes)
    if here is not None and here.by == "SLURM":
        return SlurmTasks()
    if here is not None and here.by == "torchrun":
        return TorchElasticEnvironment()
    return LightningEnvironment() if nodes > 1 else OneMachine()
