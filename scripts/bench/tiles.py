"""What windows are worth: average precision on pictures that are larger than a network's canvas.

    python scripts/bench/tiles.py RUN [--pictures 5] [--grid 4]

RUN is a finished run with detection, on a data set whose test pictures are as large as its canvas or smaller. Large
pictures are laid together of grid x grid of them, with their boxes. Prints AP at an IoU of 0.5 and 0.75 (by area),
predicted as ever and in windows of the canvas.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

import vjo_train
from vjo_train.config import build
from vjo_train.data.datamodule import DataModule
from vjo_train.data.decode import read_image
from vjo_train.metrics.voc import APSetting, VOCDetectionAPs
from vjo_train.runs import run_folder


def main() -> None:
    """Predicts and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--grid", type=int, default=4)
    given = parser.parse_args()
    network = vjo_train.load(given.run, tasks=["detection"])
    data = build.datamodule(OmegaConf.load(given.run / run_folder.CONFIG))
    data.prepare_data()
    data.setup("test")
    rows = [int(row) for row in data.rows("test")]
    count = given.grid**2
    chosen = [[rows[(k * count + place) % len(rows)] for place in range(count)] for k in range(given.pictures)]
    pictures, truth = zip(*(laid_together(data, own, given.grid, network.size) for own in chosen), strict=True)
    print("| | AP50 | AP75 |\n| --- | --- | --- |")
    ways: dict[str, dict[str, Any]] = {"no windows": {}}
    ways |= {f"tile=auto overlap={overlap}": {"tile": "auto", "overlap": overlap} for overlap in (0.25, 0.5)}
    for name, options in ways.items():
        found = [one.get("detection", vjo_train.Objects) for one in network(pictures, **options)]
        metric = VOCDetectionAPs(len(network.classes), {str(at): APSetting(at, "area") for at in (0.5, 0.75)})
        metric.update([as_tensors(own) for own in found], truth)
        figures = metric.compute()
        print(
            f"| {name} | {100 * float(figures['map_0.5']):.1f} | {100 * float(figures['map_0.75']):.1f} |", flush=True
        )


def laid_together(data: DataModule, rows: list[int], grid: int, size: tuple[int, int]) -> tuple[Any, dict[str, Any]]:
    """One picture [H, W, 3] of several, and its objects."""
    height, width = size
    whole = np.zeros((grid * height, grid * width, 3), np.uint8)
    boxes, labels = [], []
    for place, row in enumerate(rows):
        top, left = height * (place // grid), width * (place % grid)
        pixels = read_image(data.index.image(data.root, row)).permute(1, 2, 0).numpy()
        whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        objects = data.index.objects(row)
        boxes.append(objects.boxes + np.array([left, top, left, top], np.float32))
        labels.append(objects.labels)
    known = torch.from_numpy(np.concatenate(labels)).long()
    none = torch.zeros(len(known), dtype=torch.bool)
    return whole, {"boxes": torch.from_numpy(np.concatenate(boxes)), "labels": known, "difficult": none}


def as_tensors(found: vjo_train.Objects) -> dict[str, torch.Tensor]:
    """As the metric takes them."""
    parts = {"boxes": found.xyxy, "scores": found.confidence, "labels": found.class_id}
    return {name: torch.from_numpy(part) for name, part in parts.items()}


if __name__ == "__main__":
    main()
