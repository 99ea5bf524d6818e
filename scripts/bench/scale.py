"""What grows with the number of images and of processes, and what must not.

Made data sets of small drawn pictures under many names: planning and loading a batch from a small and from a large one,
and reading the large one's index from the cache; a run of one process and of two (gloo), one thread each, with the
same global batch. The memory is that of a loading process alone (what it shares with nobody), after epochs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hydra import compose, initialize_config_module

from bench.sides import Aim, Section, now
from vjo_train.config import build
from vjo_train.data import index
from vjo_train.data.datamodule import DataModule
from vjo_train.data.shapes import Shapes

EPOCHS = (1, 2, 4, 8)
DRAWN = 50


def section(overrides: Sequence[str], folder: Path, steps: int, images: int) -> Section:
    """Compares a data set of `images` with one of a hundredth."""
    few, many = max(DRAWN, images // 100), images
    sets = {count: _data(overrides, folder, count) for count in (few, many)}
    large, epochs = sets[many], _memory(_data(overrides, folder, few, "dataset.workers=1"))
    return Section(
        unit="step (index: per reading; processes: per batch)",
        result="images",
        sides={
            f"step, {few} images": partial(step, sets[few], 10 * steps),
            f"step, {many} images": partial(step, large, 10 * steps),
            f"index, {many} images": partial(read, large),
            "1 process": partial(train, overrides, folder, steps, 1),
            "2 processes": partial(train, overrides, folder, steps, 2),
        },
        aims=[
            Aim(f"step, {many} images", f"step, {few} images", 1.05),
            Aim(f"index, {many} images", None, 1.0, "seconds"),
        ],
        settings={
            "steps": steps,
            "MiB of a loading process": [f"{epoch}: {size:.1f}" for epoch, size in epochs.items()],
            "overrides": list(overrides),
        },
    )


def _config(overrides: Sequence[str], folder: Path) -> list[str]:
    drawn = [f"dataset.generate.{split}={DRAWN if split == 'train' else 1}" for split in ("train", "val", "test")]
    return [*drawn, f"dataset.cache_dir={folder / 'cache'}", "dataset.workers=0", "dataset.val_split=null", *overrides]


def _data(overrides: Sequence[str], folder: Path, count: int, *more: str) -> DataModule:
    """A set of `count` images, whose files are taken for sound."""
    root = folder / str(count)
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        cfg = compose("train", [*_config(overrides, folder), *more])
    if not root.exists():
        _make(root, folder / "drawn", count)
    cfg.dataset.root, cfg.dataset.generate = str(root), None
    data = build.job(cfg, folder / "out").data
    data.take_as_sound()
    return data


def _make(root: Path, drawn: Path, count: int) -> None:
    """Some drawn pictures, again and again: links to the images, copies of the annotations."""
    if not drawn.exists():
        Shapes(train=DRAWN, val=1, test=1, masked=0).write(drawn)
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    names = (drawn / "ImageSets/Main/train.txt").read_text().split()
    texts = [(drawn / "Annotations" / f"{name}.xml").read_text() for name in names]
    for number in range(count):
        picture, name = drawn / "JPEGImages" / f"{names[number % DRAWN]}.jpg", f"{number:07d}"
        if number // DRAWN % 10_000:  # a file system allows only so many links to a file
            picture = root / "JPEGImages" / f"{number - number // DRAWN % 10_000 * DRAWN:07d}.jpg"
            os.link(picture, root / "JPEGImages" / f"{name}.jpg")
        else:
            shutil.copy(picture, root / "JPEGImages" / f"{name}.jpg")
        (root / "Annotations" / f"{name}.xml").write_text(texts[number % DRAWN])
    (root / "ImageSets/Main/train.txt").write_text("".join(f"{number:07d}\n" for number in range(count)))


def step(data: DataModule, steps: int) -> tuple[float, float]:
    """Plans and loads the next batches, wherever in training they are."""
    loader = data.train_dataloader()
    start = now()
    count = sum(len(loader.dataset[data.batch_plan(data.start_step + number)]) for number in range(steps))
    spent = (now() - start) / steps
    data.start_step += steps
    return spent, count


def read(data: DataModule) -> tuple[float, float]:
    """The index, from its cache file."""
    start = now()
    found = index.load(data.root, data.classes, data.cache)
    return now() - start, len(found)


def train(overrides: Sequence[str], folder: Path, steps: int, processes: int) -> tuple[float, float]:
    """A run of its own; the time of its training steps alone."""
    output = folder / f"run{processes}"
    shutil.rmtree(output, ignore_errors=True)
    words = [
        *_config(overrides, folder),
        "trainer.max_epochs=4",
        f"trainer.max_steps={4 * steps}",
        "trainer.accelerator=cpu",
    ]
    words += [f"hydra.run.dir={output}", f"trainer.devices={processes}", "trainer.progress=false"]
    many = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"] if processes > 1 else []
    line = [sys.executable, *many, "-m", "vjo_train.cli.commands", *words]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}: exit status {done.returncode}\n{done.stderr}")
    speed = json.loads((output / "results.json").read_text())["images_per_second"]
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        batch = compose("train", _config(overrides, folder)).dataset.batch_size
    return batch / speed, batch


def _memory(data: DataModule) -> dict[int, float]:
    """Epoch -> MiB that the loading process shares with nobody after it; empty where the system does not tell."""
    loader, found = data.train_dataloader(), {}
    for epoch in range(1, EPOCHS[-1] + 1):
        for _ in loader:
            pass
        report = Path(f"/proc/{loader._iterator._workers[0].pid}/smaps_rollup")
        if epoch in EPOCHS and report.exists():
            lines = [line.split() for line in report.read_text().splitlines() if line.startswith("Private_")]
            found[epoch] = sum(int(line[1]) for line in lines) / 1024
    return found
