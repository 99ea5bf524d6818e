"""How long a command takes to answer, and a run to finish its first step, beside the imports that it cannot avoid.

Each visit is a process of its own. The run draws nothing and reads its index from the cache, as any but the first does;
its step has two images, so that what it computes is little beside the start. `startup_predict` is the same of one
picture, from the command line to the drawn file.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.finished import made_run
from bench.photographs import photographs
from bench.sides import Aim, Section, now

IMPORTS = "import torch, torchvision, pytorch_lightning, hydra"
FIRST_STEP = """
import os, sys
from vjo_train.cli import commands
import vjo_train.training.module
vjo_train.training.module.MultiTaskModule.on_train_batch_end = lambda *_: os._exit(0)
commands.train()
"""
TORCH, ONE_PICTURE = "import torch", "vjo-predict on one picture"
ONE = "from vjo_train.cli import commands; commands.predict()"
HYDRA, HELP, BARE, STEP = "import hydra", "vjo-train --help", "bare imports", "first step of a run"


def section(overrides: Sequence[str], folder: Path) -> Section:
    """Compares seconds from the start of a process to its end."""
    run = [
        *(f"hydra.run.dir={folder / 'run'}", f"dataset.cache_dir={folder / 'cache'}", "dataset.generate.train=64"),
        *("dataset.generate.val=8", "dataset.generate.test=8", "dataset.workers=0", "dataset.batch_size=2"),
        "trainer.progress=false",
    ]
    words = {
        HYDRA: ["-c", "import hydra"],
        HELP: ["-m", "vjo_train.cli", "--help"],
        BARE: ["-c", IMPORTS],
        STEP: ["-c", FIRST_STEP, *run, *overrides],
    }
    return Section(
        unit="start",
        result="exit status",
        sides={name: partial(started, line) for name, line in words.items()},
        aims=[Aim(HELP, HYDRA, 0.3, "seconds more"), Aim(STEP, BARE, 2.0, "seconds more")],
        settings={"imports": IMPORTS.removeprefix("import "), "overrides": list(overrides)},
    )


def predict_section(overrides: Sequence[str], folder: Path) -> Section:
    """Compares seconds from the start of a process to its end."""
    source, what = photographs(folder, 1)
    run = made_run(["dataset.size=320", *overrides], folder / "run")
    words = [f"run={run}", f"source={source / '00000.jpg'}", f"output={folder / 'found'}"]
    return Section(
        unit="start",
        result="exit status",
        sides={
            TORCH: partial(started, ["-c", "import torch"]),
            BARE: partial(started, ["-c", IMPORTS]),
            ONE_PICTURE: partial(started, ["-c", ONE, *words]),
        },
        aims=[Aim(ONE_PICTURE, TORCH, 1.5, "seconds more")],
        settings={"imports": IMPORTS.removeprefix("import "), "pictures": what, "overrides": list(overrides)},
    )


def started(words: Sequence[str]) -> tuple[float, float]:
    """A process of Python."""
    start = now()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=os.environ, check=False)
    spent = now() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit status {done.returncode}\n{done.stderr}")
    return spent, done.returncode
