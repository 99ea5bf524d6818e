"""Processes for tests that need several: forked from one that has imported this program and done nothing else.

A new interpreter takes seconds to import torch; a fork of the test's own process may not run backward once something
in it has been compiled, and loses a GPU's driver.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

multiprocessing.set_forkserver_preload(["tests.tiny", "vjo_train.cli.commands", "vjo_train.config.jobs"])


@contextmanager
def started(function: Callable[..., Any], *arguments: Any) -> Iterator[BaseProcess]:
    """`function` in a process of its own, which does not outlive the block."""
    process = multiprocessing.get_context("forkserver").Process(target=function, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def apart(function: Callable[..., Any], *arguments: Any) -> None:
    """`function` in a process of its own, which must end well."""
    with started(function, *arguments) as process:
        process.join(600)
        assert process.exitcode == 0


def run_ranks(worker: Callable[..., None], *arguments: Any) -> None:
    """`worker(rank, *arguments)` in two processes at once; an error of one is raised here."""
    torch.multiprocessing.start_processes(worker, args=arguments, nprocs=2, start_method="forkserver")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def script(path: Path, words: list[str], said: Path) -> None:
    """A script in this process, as Python would run it; all that it says goes to the file `said`."""
    _say_into(said)
    sys.argv, sys.path[:0] = [str(path), *words], [str(path.parent)]
    runpy.run_path(str(path), run_name="__main__")


def _say_into(said: Path) -> None:
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def vjo_train(words: list[str], said: Path) -> None:
    """The command in this process, which gets a group of its own; all that it says goes to the file `said`."""
    os.setsid()
    _say_into(said)
    sys.argv = ["vjo-train", *words]
    from vjo_train.cli import commands

    commands.train()


def task(words: list[str], said: Path, number: int, port: int, slurm: bool) -> None:
    """One of two machines with one process each, as srun or a command by hand would start it; says `said.<number>`."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if slurm:
        counts = {"SLURM_STEP_NUM_TASKS": 2, "SLURM_STEP_NUM_NODES": 2, "SLURM_NTASKS": 2, "SLURM_NNODES": 2}
        place = {"SLURM_PROCID": number, "SLURM_NODEID": number, "SLURM_LOCALID": 0, "SLURM_JOB_ID": 1}
        os.environ |= {name: str(value) for name, value in (counts | place).items()}
        os.environ |= {"SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_JOB_NAME": "tests"}
    else:
        os.environ["NODE_RANK"] = str(number)
    vjo_train(words, said.with_suffix(f".{number}"))


def torchrun(words: list[str], said: Path, nodes: int = 1, port: int = 0) -> None:
    """Two processes of the command in one run, started by torchrun's agent from this process.

    With two `nodes`, each agent starts one of them: the agents meet at `port`.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    place = {"rdzv_backend": "c10d", "rdzv_endpoint": f"localhost:{port}", "local_addr": "localhost", "run_id": "tests"}
    counts = {"min_nodes": nodes, "max_nodes": nodes, "nproc_per_node": 2 // nodes, "max_restarts": 0}
    elastic_launch(LaunchConfig(**counts, start_method="fork", **place), rank)(words, said)


def rank(words: list[str], said: Path) -> None:
    """The command as one of torchrun's processes; the file `said.opened.R` lists the pictures that rank R opens."""
    opened: list[str] = []
    sys.addaudithook(lambda event, arguments: _note_picture(event, arguments, opened))
    try:
        vjo_train(words, said.with_suffix(f".{os.environ['RANK']}"))
    except SystemExit as end:
        if end.code:
            raise
    finally:
        said.with_suffix(f".opened.{os.environ['RANK']}").write_text("\n".join(opened))


def _note_picture(event: str, arguments: tuple[Any, ...], opened: list[str]) -> None:
    if event == "open" and "JPEGImages" in str(arguments[0]):
        opened.append(Path(arguments[0]).stem)
