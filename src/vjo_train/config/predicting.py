"""What `vjo-predict` does with its composed and checked config; needs neither Lightning nor metrics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from vjo_train.config.predictor import predictor, tiling, tracker
from vjo_train.data.deep_pictures import told
from vjo_train.inference import prediction
from vjo_train.inference.inputs import Files
from vjo_train.inference.layout import Layout
from vjo_train.inference.prediction_files import PredictionFiles
from vjo_train.inference.sources import find_sources
from vjo_train.inference.video.layout import VideoLayout
from vjo_train.inference.video.sources import VideoSource, find_videos

log = logging.getLogger("vjo_train")


def predict(cfg: DictConfig) -> int:
    """Predicts on the files that `source` names, by a run's checkpoint or by an exported file.

    Returns:
        How many of the files could not be read, and were left out, or of a video not to its end.

    Raises:
        VjoError: a mistake in the config, a checkpoint that does not fit, or no readable file.
    """
    videos = find_videos(str(cfg.source), Path(cfg.output))
    if videos:
        return _predict_videos(cfg, videos)
    layout = Layout(Path(cfg.output))
    sources = find_sources(str(cfg.source), layout.output)
    own = predictor(cfg)
    if sources and (said := told(sources[0].path, own.span)):
        log.info(said)
    files = Files([source.path for source in sources], canvas=own.canvas, tasks=own.tasks, span=own.span)
    writer = PredictionFiles(
        layout,
        sources,
        own.shows,
        own.classes,
        information={"source": cfg.source, "model": own.origin},
        threshold=cfg.threshold if cfg.pictures else None,
    )
    loader = files.loader(own.batch_size, cfg.dataset.workers)
    return prediction.predict(own.network(tiling(cfg)), loader, writer, progress=cfg.trainer.progress)


def _predict_videos(cfg: DictConfig, videos: Sequence[VideoSource]) -> int:
    """As `predict`, where `source` names videos."""
    from vjo_train.inference.video.prediction import VideoPrediction  # which pictures do without

    own = predictor(cfg)
    return VideoPrediction(
        network=own.network(tiling(cfg)),
        tracker=partial(tracker, cfg.tracker) if cfg.track else None,
        layout=VideoLayout(Path(cfg.output)),
        heads=own.shows,
        classes=own.classes,
        tasks=own.tasks,
        canvas=own.canvas,
        batch_size=cfg.batch_size,
        usual_batch=own.batch_size,
        information={"source": ", ".join(video.shown for video in videos), "model": own.origin},
        threshold=cfg.threshold if cfg.pictures else None,
        progress=cfg.trainer.progress,
    ).run(videos)
