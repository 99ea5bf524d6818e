"""How far a training gets in so many seconds: the mAP at IoU 0.5 of detection alone, on drawn shapes, on one thread.

The training is a whole run as a user starts it, with the network of `experiment=shapes_demo`, a constant learning rate
and no loading processes, in a process of its own. The seconds are those that the processor works for it from its first
step on, so that other work on the machine counts little; after so many it leaves a checkpoint, which `vjo-eval` tests.
With `--against DIR`, a folder with another revision of the project, that one trains on the same pictures in the same
way. The tables show the misses, 100 - mAP50, of which less is better; the result beside them is the mAP50.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bench.sides import Aim, Section, Side

OURS, OTHER = "this revision", "other revision"
METRIC = "test/detection/map_area"
TRAINING = [
    *("experiment=shapes_demo", "single=detection", "weighting=equal", "lr_schedule=constant", "lr_schedule.warmup=0"),
    *("dataset.workers=0", "dataset.generate.test=200", "trainer.accelerator=cpu", "trainer.progress=false"),
    *("trainer.max_epochs=1000", "trainer.check_val_every_n_epoch=1000"),
]
AS_OF = """
import importlib.util, sys
from pathlib import Path
root = Path(sys.argv.pop(1))
sys.path.insert(0, str(root / "src"))
import vjo_train
place = root / "conf"
spec = importlib.util.spec_from_file_location(
    "vjo_train.conf", place / "__init__.py", submodule_search_locations=[str(place)]
)
vjo_train.conf = sys.modules["vjo_train.conf"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(vjo_train.conf)
"""
"""Takes the project, which lies in two places of a checkout, from a folder."""
TRAIN = """
import os, time, torch
from vjo_train.cli import commands
from vjo_train.training.module import MultiTaskModule
torch.set_num_threads(1)
folder, marks = Path(sys.argv.pop(1)), [float(mark) for mark in sys.argv.pop(1).split(",")]
since = None
def start(self, *given):
    global since
    since = time.process_time() if since is None else since
    return began(self, *given)
def end(self, *given):
    global since
    while marks and time.process_time() - since >= marks[0]:
        before = time.process_time()
        torch.save({"state_dict": self.state_dict(), "batches": self.batches}, folder / f"{marks.pop(0):g}.ckpt")
        since += time.process_time() - before
    if not marks:
        os._exit(0)
began = MultiTaskModule.on_train_batch_start
MultiTaskModule.on_train_batch_start, MultiTaskModule.on_train_batch_end = start, end
commands.train()
"""
TEST = "from vjo_train.cli import commands; commands.evaluate()"


def section(overrides: Sequence[str], folder: Path, longest: int, against: Path | None) -> Section:
    """Compares what is missed after a quarter, a half and all of so many seconds; each revision trains once."""
    seconds = (longest / 4, longest / 2, longest)
    here = Path(__file__).parents[2]
    revisions = {OURS: here, **({OTHER: against} if against else {})}

    @cache
    def curve(name: str) -> dict[float, float]:
        return trained(revisions[name], overrides, folder / name.split()[0], seconds)

    def side(name: str, mark: float) -> Side:
        return lambda: (1 - curve(name)[mark], 100 * curve(name)[mark])

    return Section(
        unit="test, missed",
        result="mAP50 (%)",
        sides={f"{name}, {mark:g} s": side(name, mark) for mark in seconds for name in revisions},
        aims=[Aim(f"{OURS}, {mark:g} s", f"{OTHER}, {mark:g} s", 1.0) for mark in seconds if against],
        settings={"overrides": [*TRAINING, *overrides], "other": str(against) if against else "none"},
        measure="100 - mAP50",
        scale=100.0,
    )


def trained(root: Path, overrides: Sequence[str], folder: Path, seconds: Sequence[float]) -> dict[float, float]:
    """Seconds of training -> mAP50 of the test."""
    run, cache_dir = folder / "run", folder.parent / "pictures"
    folder.mkdir()
    marks = ",".join(f"{mark:g}" for mark in seconds)
    words = [f"hydra.run.dir={run}", f"dataset.cache_dir={cache_dir}", *TRAINING, *overrides]
    python(root, TRAIN, [str(folder), marks, *words])
    found = {}
    for mark in seconds:
        tested = folder / f"test-{mark:g}"
        checkpoint = folder / f"{mark:g}.ckpt"
        python(root, TEST, [f"run={run}", f"checkpoint={checkpoint}", f"hydra.run.dir={tested}"])
        found[mark] = json.loads((tested / "results.json").read_text(encoding="utf-8"))["metrics"][METRIC]
    return found


def python(root: Path, script: str, words: Sequence[str]) -> None:
    """Runs a script with the project of a folder, on one thread.

    Raises:
        SystemExit: it failed.
    """
    line = [sys.executable, "-c", AS_OF + script, str(root), *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise SystemExit(f"{root}: exit status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
