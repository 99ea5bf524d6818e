"""Panoptic quality."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.detection import PanopticQuality

from vjo_train.metrics.collect import ShapedMetric


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

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        """`pq`, `sq`, `rq`, `pq_things`, `pq_stuff`, and `pq_class` [C], NaN for classes that are nowhere.

        Of a class: SQ is the mean IoU of its matched segments, RQ = tp / (tp + fp / 2 + fn / 2), and PQ their product.
        """
        places = [self.cat_id_to_continuous_id[label] for label in range(len(self.is_thing))]
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
