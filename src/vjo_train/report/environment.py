"""Where a run took place: versions, revision, device."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = (
    "faster-coco-eval",
    "hydra-core",
    "numpy",
    "omegaconf",
    "pillow",
    "pytorch-lightning",
    "timm",
    "torch",
    "torchmetrics",
    "torchvision",
)


def package_versions() -> dict[str, str]:
    """Version by name: this project, Python, and what of `PACKAGES` is installed."""
    from vjo_train import __version__

    versions = {"vjo_train": __version__, "python": platform.python_version()}
    if torch.version.cuda is not None:
        versions["cuda"] = torch.version.cuda
    for name in PACKAGES:
        try:
            versions[name.replace("-", "_")] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an optional package
    return versions


def git_revision(file: Path = Path(__file__)) -> str | None:
    """The commit of the checkout that tracks `file`, with `-dirty` if tracked files differ from it.

    None without git, outside a checkout, or where the checkout around `file` does not track it (a virtual
    environment inside another project).
    """
    folder = file.resolve().parent
    if _git(folder, "ls-files", "--error-unmatch", "--", file.name) is None:
        return None
    revision = _git(folder, "rev-parse", "HEAD")
    if not revision:
        return None
    return revision + ("-dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def describe_device(device: torch.device, devices: int = 1) -> dict[str, str | int]:
    """What ran: `type`, `name`, `devices`, and `cores` (CPU cores this process may use) or `memory_gib`."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        memory = round(properties.total_memory / 2**30)
        return {"type": "gpu", "name": properties.name, "devices": devices, "memory_gib": memory}
    return {"type": device.type, "name": _cpu_name(), "devices": devices, "cores": _cores()}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
