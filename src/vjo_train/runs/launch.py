"""How the commands of one run were started side by side, by what their environment says. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vjo_train.errors import ConfigError

BY_HAND = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""What tells a command that was started by hand on each machine where the others are, and which of them it is."""


@dataclass(frozen=True)
class Launch:
    """One of the commands of a run that something outside this program started.

    Attributes:
        by: what started it.
        rank: its place among the commands.
        commands: how many there are.
        nodes: machines.
        per_node: processes on each machine.
    """

    by: str
    rank: int
    commands: int
    nodes: int
    per_node: int


def launched(devices: int = 1, nodes: int = 1) -> Launch | None:
    """What started this process beside others of its run; None where nothing did, or this program itself.

    Args:
        devices: processes on each machine.
        nodes: machines; where nothing but a command by hand on each of them is left, it is one command per machine.

    Raises:
        ConfigError: SLURM's tasks are not spread evenly, or `nodes` machines have no word on one another.
    """
    if (found := outside()) is not None:
        return found
    if nodes == 1 or "LOCAL_RANK" in os.environ:  # this program starts its further processes with LOCAL_RANK
        return None
    missing = [name for name in BY_HAND if name not in os.environ]
    if missing:
        raise ConfigError(
            f"trainer.num_nodes: found {nodes}, but nothing tells this process of the other machines. Start it by "
            f"torchrun --nnodes={nodes} or srun, or set {', '.join(missing)} on each machine (docs/scale.md)."
        )
    rank = _number("NODE_RANK")
    if not 0 <= rank < nodes:
        raise ConfigError(f"NODE_RANK: found {rank}; must be 0 to {nodes - 1} with trainer.num_nodes={nodes}.")
    return Launch("NODE_RANK", rank, nodes, nodes, devices)


def outside() -> Launch | None:
    """What torchrun or SLURM say, where they started several processes; no key of the config counts.

    Raises:
        ConfigError: the tasks of SLURM are not spread evenly over the machines.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        world = _number("WORLD_SIZE", 1)
        nodes = _number("GROUP_WORLD_SIZE", 1)
        here = Launch("torchrun", _number("RANK", 0), world, nodes, _number("LOCAL_WORLD_SIZE", world // nodes))
        return here if world > 1 else None
    tasks = _number("SLURM_STEP_NUM_TASKS", 1)  # of `srun`; in a batch script alone it is not there
    if tasks == 1 or os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return None
    nodes = _number("SLURM_STEP_NUM_NODES", _number("SLURM_NNODES", 1))
    spread = os.environ.get("SLURM_STEP_TASKS_PER_NODE", str(tasks // nodes))
    if tasks % nodes or "," in spread:
        raise ConfigError(
            f"SLURM: found {tasks} tasks on {nodes} machines ({spread}); each must have as many: --ntasks-per-node."
        )
    return Launch("SLURM", _number("SLURM_PROCID", 0), tasks, nodes, tasks // nodes)


def check(launch: Launch | None, devices: int, nodes: int) -> None:
    """Compares the processes that were started with those that the config speaks of.

    Raises:
        ConfigError: they are not as many.
    """
    if launch is not None and (launch.nodes, launch.per_node) != (nodes, devices):
        raise ConfigError(
            f"trainer.num_nodes={nodes} trainer.devices={devices}: {launch.by} started {_count(launch.per_node)} on "
            f"{'each of ' if launch.nodes > 1 else ''}{_machines(launch.nodes)}; set trainer.num_nodes={launch.nodes} "
            f"trainer.devices={launch.per_node}, or start others."
        )
    if launch is not None and os.environ.get("MASTER_PORT") == "0":
        raise ConfigError("MASTER_PORT: found 0, where processes wait for ever; use torchrun --standalone.")


def own_rank(devices: int, nodes: int) -> int:
    """This process's place among all of its run, 0 for the first or only one.

    Args:
        devices: processes on each machine.
        nodes: machines; of a single one, a NODE_RANK in the environment says nothing.
    """
    if (launch := outside()) is not None:
        return launch.rank
    return (_number("NODE_RANK", 0) * devices if nodes > 1 else 0) + _number("LOCAL_RANK", 0)


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdecimal():
        raise ConfigError(f"{name}: found {text!r} in the environment; must be a whole number.")
    return int(text)


def _count(processes: int) -> str:
    return f"{processes} process{'' if processes == 1 else 'es'}"


def _machines(nodes: int) -> str:
    return f"{nodes} machine{'' if nodes == 1 else 's'}"
