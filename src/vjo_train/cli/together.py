"""What the commands of one run tell one another before training, and who of them tells the user what went wrong.

They speak through torch's store at MASTER_ADDR:MASTER_PORT, which torchrun's agent or the first process keeps. Rank 0
decides the run's folder. A single process has no use for this.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch._C._distributed_c10d import PrefixStore, TCPStore

from vjo_train.cli.answer import say_it
from vjo_train.errors import ConfigError, ResourceError, VjoError
from vjo_train.runs.launch import Launch
from vjo_train.runs.run_folder import first_difference
from vjo_train.training.processes import SlurmTasks
from vjo_train.training.strategy import leave

WAIT = 600.0
"""Seconds for the slowest process to come: machines of a cluster do not start at once."""
MOMENT = 5.0
"""Seconds for those that are there already."""


class Refused(SystemExit):
    """Rank 0 has said what is wrong; exit status 2."""

    def __init__(self) -> None:
        super().__init__(2)


class Board:
    """Notes that the processes of a run leave for one another.

    Args:
        host: whether this process keeps the notes, where torchrun's agent does not.
        seconds: to wait for the process that keeps them.

    Raises:
        ResourceError: it cannot be reached.
    """

    def __init__(self, host: bool, seconds: float) -> None:
        address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
        keeps = host and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
        try:
            # multi_tenant: the process group opens the same port again, for the same store.
            store = TCPStore(
                address, int(port), None, keeps, timedelta(seconds=seconds), wait_for_workers=False, multi_tenant=True
            )
        except (RuntimeError, ValueError) as error:  # torch's errors of a network derive from it
            raise ResourceError(
                f"MASTER_ADDR={address} MASTER_PORT={port}: the first process of this run could not be reached in "
                f"{seconds:.0f} s ({str(error).splitlines()[0]})."
            ) from error
        self._store = PrefixStore(f"vjo-train/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)

    def close(self) -> None:
        """Lets the notes go, once the processes have joined otherwise."""
        del self._store

    def write(self, key: str, text: str) -> None:
        """Leaves a note for all."""
        self._store.set(key, text)

    def first(self, key: str, text: str) -> str:
        """The note that was left first, which is `text` where there was none."""
        return str(self._store.compare_set(key, "", text).decode())

    def read(self, key: str, seconds: float) -> str:
        """A note, once it is there. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not self._store.check([key]):  # not the store's own wait, in which Ctrl-C is not heard
            if time.monotonic() > end:
                raise TimeoutError(key)
            time.sleep(0.05)
        return str(self._store.get(key).decode())

    def wait_for(self, keys: Sequence[str]) -> None:
        """Until all of some notes are there, or a moment is over."""
        end = time.monotonic() + MOMENT
        with suppress(TimeoutError):
            for key in keys:
                self.read(key, max(0.0, end - time.monotonic()))


def agree(launch: Launch, config: Mapping[str, Any], decide: Callable[[], Path]) -> tuple[Path, Board]:
    """The run's folder, which rank 0 decides once all have checked the same config and can see it.

    Args:
        launch: of this process.
        config: what it was given, as plain data.
        decide: makes the folder; called by rank 0 alone.

    Returns:
        The folder, and the board, which must stay until the processes have joined.

    Raises:
        VjoError: on rank 0: what is wrong on any of them.
        Refused: on the others, which say nothing.
    """
    board = _board(launch)
    if launch.rank:
        board.write(f"checked/{launch.rank}", json.dumps({"host": socket.gethostname(), "config": config}))
        return _told(board, launch), board
    try:
        hosts = [_compared(board, rank, config) for rank in range(1, launch.commands)]
        folder = decide()
        board.write("folder", str(folder.absolute()))
        for rank, host in enumerate(hosts, start=1):
            if not json.loads(_awaited(board, f"seen/{rank}", rank)):
                raise ConfigError(
                    f"hydra.run.dir: '{folder.absolute()}' is not there on {host} (rank {rank}); a run's folder must "
                    "lie on a disk that all machines share."
                )
    except BaseException:
        _refuse(board, launch)
        raise
    board.write("verdict", "go")
    return folder, board


def refuse(launch: Launch, error: VjoError) -> None:
    """Tells the others of a mistake that this process has found before training.

    Raises:
        Refused: on all but rank 0, which says it for all.
    """
    with suppress(ResourceError):  # nobody is there to hear it
        board = _board(launch)
        if launch.rank:
            board.write(f"checked/{launch.rank}", json.dumps({"host": socket.gethostname(), "error": str(error)}))
            _told(board, launch)
        _refuse(board, launch)


def say(rank: int, processes: int, command: str, text: str) -> str | None:
    """Tells the user of a failure in training, unless another process on the same machine has done so.

    What is told is what failed first, wherever that was. Rank 0, which may keep the board, leaves the others and stays
    until they have heard.

    Args:
        rank: of this process.
        processes: of the run.
        command: its name.
        text: what this process has to say.

    Returns:
        What was told; None for nothing.
    """
    if "MASTER_ADDR" not in os.environ or "MASTER_PORT" not in os.environ:
        return say_it(command, text)
    host = socket.gethostname()
    mine = json.dumps([rank, host, text])
    try:
        board = Board(host=rank == 0, seconds=MOMENT)
        first, spoken = board.first("failed", mine), board.first(f"failed/{host}", mine)
        board.write(f"heard/{rank}", "")
    except (ResourceError, RuntimeError):  # the process that keeps the board is gone
        return say_it(command, text)
    own, where, what = json.loads(first)
    told = say_it(command, text if first == mine else f"rank {own} on {where}: {what}") if spoken == mine else None
    if rank == 0:
        leave()
        board.wait_for([f"heard/{other}" for other in range(1, processes)])
    return told


def _board(launch: Launch) -> Board:
    if launch.by == "SLURM":
        tasks = SlurmTasks()
        _ = tasks.main_address, tasks.main_port  # writes them into the environment
    return Board(host=launch.rank == 0, seconds=WAIT)


def _compared(board: Board, rank: int, config: Mapping[str, Any]) -> str:
    """The machine of a rank that has checked the same config."""
    found = json.loads(_awaited(board, f"checked/{rank}", rank))
    if "error" in found:
        raise ConfigError(f"rank {rank} on {found['host']}: {found['error']}")
    if (difference := first_difference(found["config"], json.loads(json.dumps(config)))) is not None:
        raise ConfigError(f"rank {rank} on {found['host']} was given another config: {difference} (rank 0).")
    return str(found["host"])


def _awaited(board: Board, key: str, rank: int) -> str:
    try:
        return board.read(key, WAIT)
    except TimeoutError as error:
        raise ResourceError(f"rank {rank} of this run did not come in {WAIT:.0f} s; what it said itself tells why."
                            ) from error  # fmt: skip


def _told(board: Board, launch: Launch) -> Path:
    """The folder that rank 0 has decided."""
    with suppress(TimeoutError, RuntimeError):  # rank 0 is gone: it has said why, or can no more
        folder = board.read("folder", 2 * WAIT)
        if folder:
            board.write(f"seen/{launch.rank}", json.dumps(_is_there(Path(folder))))
            if board.read("verdict", 2 * WAIT) == "go":
                return Path(folder)
        board.write(f"left/{launch.rank}", "")
    raise Refused


def _is_there(folder: Path) -> bool:
    """Whether this machine sees the folder; network disks take a moment to show what another machine has made."""
    end = time.monotonic() + MOMENT
    while not folder.is_dir():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _refuse(board: Board, launch: Launch) -> None:
    """Sends the others away, and stays until those that are there have heard it."""
    board.write("folder", "")
    board.write("verdict", "stop")
    board.wait_for([f"left/{rank}" for rank in range(1, launch.commands)])
