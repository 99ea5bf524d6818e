"""Panoptic quality."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics.detection import PanopticQuality

from vjo_train.metrics.collect import ShapedMetric
from vjo_train.runs.records import Segments


class PanopticFigures(ShapedMetric, PanopticQuality):
    """torchmetrics' panoptic quality (Kirillov et al. 2019), with the means over the classes that are there.

    Maps are [H, W, 2], class and object. Class C is the background, which counts in no mean, but where predicted
    segments are wrong; C + 1 is void, which counts neither way: a predicted segment most of which is void is forgiven.

    Args:
        things: [C] bool: the classes whose objects are told apart.
    """

    iou_sum: Tensor
    true_positives: Tensor
    false_positives: Tensor
    false_negatives: Tensor

    def __init__(self, things: Tensor) -> None:
        own = things.nonzero().flatten().tolist()
        stuff = [*(~things).nonzero().flatten().tolist(), len(things)]
        super().__init__(things=set(own), stuffs=set(stuff))
        self.is_thing = things.clone()
        self.images: list[Tensor] = []

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Takes one image, [1, H, W, 2] and [1, H, W, 2], and keeps what it adds to the sums."""
        names = ("iou_sum", "true_positives", "false_positives", "false_negatives")
        before = {name: getattr(self, name) for name in names}
        for name, value in before.items():
            setattr(self, name, torch.zeros_like(value))
        super().update(preds, target)
        own = {name: getattr(self, name) for name in names}
        self.images.append(torch.stack([value[self._places()].double().cpu() for value in own.values()]))
        for name, value in own.items():
            setattr(self, name, before[name] + value)

    def reset(self) -> None:
        super().reset()
        self.images = []

    def records(self) -> Segments:
        """What every image of this process added, in the order of arrival."""
        none = torch.zeros(0, 4, len(self.is_thing), dtype=torch.float64)
        iou, *counts = torch.cat([none, *(one[None] for one in self.images)]).unbind(1)
        matched, wrong, missed = (count.numpy().astype(np.int32) for count in counts)
        things = self.is_thing.cpu().numpy()
        return Segments(iou=iou.numpy(), matched=matched, wrong=wrong, missed=missed, things=things)

    def _places(self) -> list[int]:
        """Of the classes in the states."""
        return [self.cat_id_to_continuous_id[label] for label in range(len(self.is_thing))]

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        """`pq`, `sq`, `rq`, `pq_things`, `pq_stuff`, and `pq_class` [C], NaN for classes that are nowhere.

        Of a class: SQ is the mean IoU of its matched segments, RQ = tp / (tp + fp / 2 + fn / 2), and PQ their product.
        """
        places = self._places()
        states = (self.iou_sum, self.true_positives, self.false_positives, self.false_negatives)
        iou, tp, fp, fn = (state[places].double() for state in states)
        seen = tp + fp + fn > 0
        sq = iou / tp.clamp(min=1)
        rq = tp / (tp + fp / 2 + fn / 2)
        pq, nan = sq * rq, torch.nan
        things = self.is_thing.to(pq.device)

        def mean(values: Tensor, of: Tensor) -> Tensor:
            return torch.where(of & seen, values, nan).nanmean()

        return {
            **{name: mean(values, seen) for name, values in (("pq", pq), ("sq", sq), ("rq", rq))},
            "pq_things": mean(pq, things),
            "pq_stuff": mean(pq, ~things),
            "pq_class": torch.where(seen, pq, nan),
        }
