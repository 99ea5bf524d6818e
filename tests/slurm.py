"""Stands in for SLURM on this machine: `sbatch` starts a job at once, `srun` its tasks as processes side by side."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def install(folder: Path) -> None:
    """Makes the commands in a folder, for PATH."""
    for name in ("sbatch", "srun", "sacct"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        path.chmod(0o755)


def sbatch(script: str) -> None:
    flags = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", Path(script).read_text(), re.MULTILINE))
    nodes, each, job = int(flags["nodes"]), int(flags["ntasks-per-node"]), str(os.getpid())
    own = {"SLURM_JOB_ID": job, "SLURM_JOB_NAME": flags["job-name"], "SLURM_NODELIST": "localhost"}
    own |= {"SLURM_NNODES": str(nodes), "SLURM_NTASKS": str(nodes * each), "SLURM_NTASKS_PER_NODE": str(each)}
    subprocess.Popen(["sh", script], env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"Submitted batch job {job}")


def srun(output: str, error: str, command: list[str]) -> int:
    """`--output` and `--error` name the job by %j and the task by %t."""
    job, nodes, tasks = (os.environ[f"SLURM_{name}"] for name in ("JOB_ID", "NNODES", "NTASKS"))
    each = int(tasks) // int(nodes)
    step = {"SLURM_STEP_NUM_TASKS": tasks, "SLURM_STEP_NUM_NODES": nodes, "SLURM_STEP_TASKS_PER_NODE": f"{each}(x2)"}
    running = []
    for rank in range(int(tasks)):
        place = {"SLURM_PROCID": rank, "SLURM_NODEID": rank // each, "SLURM_LOCALID": rank % each}
        out, err = (Path(path.replace("%j", job).replace("%t", str(rank))) for path in (output, error))
        own = os.environ | step | {name: str(value) for name, value in place.items()}
        running.append(subprocess.Popen(command, env=own, stdout=out.open("w"), stderr=err.open("w")))
    return max(task.wait() for task in running)


def main(name: str, *words: str) -> int:
    if name == "sbatch":
        sbatch(words[0])
    elif name == "srun":
        return srun(words[words.index("--output") + 1], words[words.index("--error") + 1], [*words[5:]])
    else:
        print("JobID|State|NodeList", *(f"{job}|RUNNING|localhost" for job in words if job.isdecimal()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
