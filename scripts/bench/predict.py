"""What `vjo-predict` adds to its network: decoding, drawing and writing beside it, of pictures and of a video.

The network has three heads on ResNet-18 + FPN at 320 px by default, with random weights, and finds some objects in
each picture, which are drawn. Alone, it predicts on the same pictures, or frames, which lie in memory as batches; its
predictions are in the pixels of the files, so that both do the same up to there. The start of the command is left out
(see `startup_predict`). The result beside the seconds is how many pictures a visit predicted on.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from bench.finished import made_run
from bench.photographs import photographs
from bench.sides import Aim, Section, now
from vjo_train.config import predicting
from vjo_train.config.checks.finished_run import PREDICT, check_prediction
from vjo_train.config.compose import Composer
from vjo_train.config.predictor import predictor
from vjo_train.inference.inputs import Files
from vjo_train.inference.predictor import Predictor
from vjo_train.inference.video.batches import batches
from vjo_train.inference.video.reading import open_video
from vjo_train.inference.video.sources import find_videos
from vjo_train.inference.video.writing import VideoWriter
from vjo_train.types import Batch

SIZE = ("dataset.size=320", "dataset.batch_size=4")
ALONE, OURS = "network alone", "vjo-predict"
FRAME = (640, 360)
Loaded = tuple[Batch, Sequence[Tensor]]
"""A batch, and its pictures as they are in their files."""


def section(overrides: Sequence[str], folder: Path, pictures: int) -> Section:
    """Compares seconds per picture of a folder."""
    source, what = photographs(folder, pictures)
    cfg = _config(overrides, folder, source)
    own = predictor(cfg)
    files = Files(sorted(source.iterdir()), canvas=own.canvas, tasks=own.tasks, span=own.span)
    loaded = [(found.batch, found.pictures) for found in files.loader(own.batch_size, 0)]
    return _section(cfg, own, loaded, what, "picture", 1 / 0.85)


def video_section(overrides: Sequence[str], folder: Path, frames: int) -> Section:
    """Compares seconds per frame of a video."""
    source, what = photographs(folder, frames)
    video = folder / "video.mp4"
    writer = VideoWriter(video, 25.0)
    for number, path in enumerate(sorted(source.iterdir())):
        writer.add(Image.open(path).convert("RGB").resize(FRAME), number / 25)
    writer.close()
    cfg = _config(overrides, folder, video)
    own = predictor(cfg)
    reader = open_video(*find_videos(str(video), folder / "found"))
    found = batches(reader, own.batch_size, own.canvas, own.tasks)
    loaded = [(some.batch, [frame.image for frame in some.frames]) for some in found]
    reader.close()
    return _section(cfg, own, loaded, f"{what}, as frames of {FRAME[0]} x {FRAME[1]}", "frame", 1 / 0.8)


def _section(cfg: DictConfig, own: Predictor, loaded: Sequence[Loaded], what: str, unit: str, limit: float) -> Section:
    return Section(
        unit=unit,
        result=f"{unit}s",
        sides={ALONE: partial(alone, own, loaded), OURS: partial(whole, cfg, own)},
        aims=[Aim(OURS, ALONE, round(limit, 3))],
        settings={"pictures": what, "tasks": list(own.tasks), "canvas": list(own.canvas), "batch": own.batch_size},
    )


def _config(overrides: Sequence[str], folder: Path, source: Path) -> DictConfig:
    """As `vjo-predict run=.. source=.. output=..` composes it."""
    run = made_run([*SIZE, *overrides], folder / "run")
    words = [f"run={run}", f"source={source}", f"output={folder / 'found'}", "trainer.progress=false"]
    rest, _ = check_prediction(Composer("train"), words, None)
    return Composer(PREDICT.config_name).compose(rest)


def alone(own: Predictor, loaded: Sequence[Loaded]) -> tuple[float, float]:
    """The network on batches that lie in memory."""
    start = now()
    network = own.network(None)
    count = sum(1 for batch, pictures in loaded for _ in network(batch, pictures))
    return (now() - start) / count, count


def whole(cfg: DictConfig, own: Predictor) -> tuple[float, float]:
    """From files to files; the network is there already."""
    output = Path(cfg.output)
    shutil.rmtree(output, ignore_errors=True)
    start = now()
    with quiet(), patch.object(predicting, "predictor", lambda _: own):
        predicting.predict(cfg)
    seconds = now() - start
    videos = output / "videos.json"
    if videos.is_file():
        count = sum(video["length"] for video in json.loads(videos.read_text(encoding="utf-8"))["videos"])
    else:
        count = len(json.loads((output / "images.json").read_text(encoding="utf-8"))["images"])
    return seconds / count, count


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, the program says nothing of what it has done."""
    log = logging.getLogger("vjo_train")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
