"""`regions.png`: which regions of an image each task used."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from annotated_types import Ge
from PIL import Image
from torch import Tensor

from vjo_train.drawing.sheet import Sheet
from vjo_train.insight.base import Insight
from vjo_train.insight.grad_cam import Method, activation_map
from vjo_train.report.drawing import grid
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch

log = logging.getLogger("vjo_train")

FILE = "regions.png"


class Regions(Insight):
    """Draws, in a test, its first images, each beside one map per task of the regions that the task used.

    A map tells what each place of the features at which the shared part of the network ends adds to the score that
    `Head.explained` gives (`activation_map`). The colours of a map go up to its own greatest value: maps say where a
    task looked, not how much.

    Args:
        output: the run's folder.
        images: how many images at most; the first of the test's first batch.
        method: see `activation_map`.
    """

    def __init__(self, *, output: Path, images: Annotated[int, Ge(1)] = 4, method: Method = "grad_cam") -> None:
        self.path = output / FILE
        self.images = images
        self.method: Method = method

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, MultiTaskModule)
        first = batch.first(self.images)
        maps = task_maps(pl_module, first, self.method)
        if left_out := [task for task in pl_module.goals if task not in maps]:
            log.info("No map of the regions used by %s: the head gives no score to explain.", ", ".join(left_out))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draw_maps(first, maps).save(self.path)


def task_maps(module: MultiTaskModule, batch: Batch, method: Method = "grad_cam") -> dict[str, Tensor]:
    """Task -> [B, H, W] float32 >= 0 (`activation_map`), in canvas pixels; only of heads with a score to explain.

    Takes one forward, and one backward per task through its head alone. Leaves gradients, running statistics and
    random numbers as they are. Computes in the type of the weights; the module must be in evaluation mode.

    Raises:
        ValueError: the module is in training mode.
    """
    if module.training:
        raise ValueError("module: found training mode; batch statistics would tie the images together.")
    maps = {}
    # A test runs in inference mode, whose tensors can have no gradient: these are copies.
    with torch.inference_mode(False), torch.enable_grad():
        own: Batch = batch._map(torch.clone)
        # With a gradient of the images there is a graph even where the whole shared part is frozen.
        shared = module.share(own.images.float().requires_grad_(), module.goals)
        height, width = own.images.shape[-2:]
        ends = [tensor for tensor in shared.representation if tensor.ndim == 4]
        for task in module.goals:
            head = module.head(task)
            score = head.explained(head(shared.tasks[task]), own)
            if score is None:
                continue
            gradients: Sequence[Tensor | None] = [None] * len(ends)
            if score.requires_grad:  # not where there is nothing to be sure of, such as no box at all
                gradients = torch.autograd.grad(score.sum(), ends, retain_graph=True, allow_unused=True)
            maps[task] = activation_map([end.detach() for end in ends], gradients, (height, width), method)
    return maps


def draw_maps(batch: Batch, maps: Mapping[str, Tensor], side: int = 240) -> Image.Image:
    """A row per image: the image, then the map [B, H, W] of each task laid over it."""
    panels = []
    for k, target in enumerate(batch.targets):
        height, width = target.size
        image = batch.images[k, :, :height, :width].cpu()
        panels.append(Sheet(image, side=side).finished("image"))
        for task, values in maps.items():
            warm = overlay_heat(image, values[k, :height, :width].cpu())
            panels.append(Sheet(warm, side=side).finished(task))
    return grid(panels, columns=1 + len(maps), gap=4)


def overlay_heat(image: Tensor, heat: Tensor) -> Tensor:
    """uint8 [3, H, W] in grey, and over it [H, W] >= 0 from violet to yellow, relative to its greatest value."""
    grey = (image.float() * image.new_tensor([0.299, 0.587, 0.114], dtype=torch.float32)[:, None, None]).sum(0)
    share = heat / heat.amax().clamp(min=torch.finfo(heat.dtype).tiny)
    stops = torch.tensor([[60.0, 0.0, 120.0], [220.0, 50.0, 70.0], [255.0, 230.0, 60.0]])
    place = share * (len(stops) - 1)
    low = place.floor().long().clamp(max=len(stops) - 2)
    part = (place - low)[..., None]
    colour = (stops[low] * (1 - part) + stops[low + 1] * part).movedim(-1, 0)
    opacity = 0.75 * share.sqrt()
    return (grey * (1 - opacity) + colour * opacity).round().to(torch.uint8)
