"""How segments are made, and panoptic quality: by hand, and by torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.detection import panoptic_quality

from vjo_train.heads.panoptic.metrics import PanopticMetrics, predicted, truth
from vjo_train.heads.panoptic.segments import Segments, contours, merged
from vjo_train.types import IGNORE, Boxes, Detections, Target

THINGS = torch.tensor([True, False, True])
"""Of the classes cat, grass, dog."""


def mask(rows: slice, columns: slice) -> Tensor:
    found = torch.zeros(8, 10, dtype=torch.bool)
    found[rows, columns] = True
    return found


CAT, DOG = mask(slice(0, 4), slice(0, 4)), mask(slice(2, 6), slice(2, 8))


def image() -> Target:
    """A cat on top of a dog, of whose 24 pixels 20 are left, and grass in the last two rows."""
    semantic = torch.zeros(8, 10, dtype=torch.uint8)
    semantic[DOG], semantic[CAT], semantic[6:] = 3, 1, 2
    boxes = Boxes(torch.tensor([[0.0, 0, 4, 4], [2, 2, 8, 6]]), torch.tensor([0, 2]), torch.tensor([False, False]))
    return Target((8, 10), {"semantic": semantic, "boxes": boxes, "masks": torch.stack([CAT, DOG & ~CAT])})


def objects(*found: tuple[Tensor, int, float]) -> Detections:
    masks, labels, scores = zip(*found, strict=True)
    boxes = torch.zeros(len(masks), 4)
    return Detections(boxes, torch.tensor(scores), torch.tensor(labels), torch.stack(masks))


def segments(found: Detections, semantic: Tensor, **options: float) -> Segments:
    return merged(found, semantic, THINGS, **({"score": 0.5, "overlap": 0.5, "least_area": 0.0} | options))


def perfect() -> Segments:
    return segments(objects((CAT, 0, 0.9), (DOG, 2, 0.8)), image()["semantic"])


def figures(*pairs: tuple[Segments, Target], background: bool = True) -> dict[str, float]:
    metrics = PanopticMetrics(THINGS, background)
    metrics.update([found for found, _ in pairs], [known for _, known in pairs])
    return {name: float(value) for name, value in metrics.compute().items() if value.ndim == 0}


def test_better_objects_lie_on_top_and_stuff_takes_the_rest() -> None:
    found = perfect()
    assert found.labels.tolist() == [0, 2, 1]
    assert found.things.tolist() == [True, True, False]
    assert torch.equal(found.ids == 1, CAT)
    assert torch.equal(found.ids == 2, DOG & ~CAT)
    assert torch.equal(found.ids == 3, image()["semantic"] == 2)


def test_what_is_hidden_unsure_or_small_is_left_out() -> None:
    semantic = image()["semantic"]
    hidden = mask(slice(0, 4), slice(0, 5))  # 16 of 20 under the cat
    assert segments(objects((CAT, 0, 0.9), (hidden, 2, 0.8)), semantic).labels.tolist() == [0, 1]
    assert segments(objects((CAT, 0, 0.9), (DOG, 2, 0.4)), semantic).labels.tolist() == [0, 1]
    assert segments(objects((CAT, 0, 0.9)), semantic, least_area=0.3).labels.tolist() == [0]
    nothing = Detections(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 8, 10) > 0
    )
    assert segments(nothing, torch.zeros(8, 10, dtype=torch.uint8)).labels.tolist() == []


def test_the_truth_is_worth_one() -> None:
    assert figures((perfect(), image())) == pytest.approx(
        dict.fromkeys(("pq", "sq", "rq", "pq_things", "pq_stuff"), 1.0), abs=1e-6
    )


def test_planted_errors_by_hand() -> None:
    """The cat is cut to 12 of 16 pixels, the dog is taken for a cat, and another dog is seen on the background.

    Cat: IoU 12 / 16 matched, one false positive: SQ 0.75, RQ 1 / (1 + 0.5), PQ 0.5. Dog: nothing matched, one missed
    and one too many: PQ 0. Grass: 1.
    """
    semantic = image()["semantic"]
    other = mask(slice(0, 2), slice(8, 10))
    found = segments(objects((CAT & (torch.arange(10) < 3), 0, 0.9), (DOG & ~CAT, 0, 0.8), (other, 2, 0.7)), semantic)
    wanted = {"pq": 1.5 / 3, "sq": 1.75 / 3, "rq": (2 / 3 + 1) / 3, "pq_things": 0.25, "pq_stuff": 1.0}
    assert figures((found, image())) == pytest.approx(wanted, abs=1e-6)


def test_void_forgives_and_background_does_not() -> None:
    other = objects((CAT, 0, 0.9), (DOG, 2, 0.8), (mask(slice(0, 2), slice(8, 10)), 2, 0.7))
    found = segments(other, image()["semantic"])
    assert figures((found, image()))["pq"] == pytest.approx((1 + 1 / 1.5 + 1) / 3, abs=1e-6)
    void = image()
    void["semantic"][:2, 8:] = IGNORE
    assert figures((found, void))["pq"] == pytest.approx(1, abs=1e-6)
    assert figures((found, image()), background=False)["pq"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("background", [True, False])
def test_an_object_that_nothing_covers_is_missed(background: bool) -> None:
    """As in the panoptic API, which knows void in the truth alone: pixels without a segment forgive nothing."""
    found = segments(objects((DOG & ~CAT, 2, 0.8)), image()["semantic"])
    wanted = {"pq": 2 / 3, "sq": 2 / 3, "rq": 2 / 3, "pq_things": 0.5, "pq_stuff": 1.0}
    assert figures((found, image()), background=background) == pytest.approx(wanted, abs=1e-6)


def test_difficult_objects_are_void() -> None:
    target = image()
    target["boxes"].difficult[1] = True
    only_cat = segments(objects((CAT, 0, 0.9)), image()["semantic"])
    assert figures((only_cat, target))["pq"] == pytest.approx(1, abs=1e-6)
    assert figures((perfect(), target))["pq"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_rule_of_cocos_panoptic_code_with_crowds_and_void(seed: int) -> None:
    """Random segments, truths and crowds; the rule written out, segment by segment."""
    generator = torch.Generator().manual_seed(seed)

    def blocks(count: int) -> Tensor:
        return torch.randint(0, count, (4, 5), generator=generator).repeat_interleave(2, 0).repeat_interleave(2, 1)

    numbers = blocks(5)  # 0: stuff or void
    labels, crowds = torch.tensor([0, 2, 0, 2]), torch.tensor([True, False, True, False])
    semantic = torch.where(numbers == 0, 2, 0).to(torch.uint8)
    semantic[:2][numbers[:2] == 0] = IGNORE
    for k, label in enumerate(labels.tolist(), 1):
        semantic[numbers == k] = label + 1
    masks = torch.stack([numbers == k for k in range(1, 5)])
    known = {"semantic": semantic, "boxes": Boxes(torch.zeros(4, 4), labels, crowds), "masks": masks}
    ids = blocks(5).int()
    found = Segments(ids, torch.tensor([0, 2, 0, 1]), torch.ones(4), torch.tensor([True, True, True, False]))
    metrics = PanopticMetrics(THINGS, True)
    metrics.update([found], [Target((8, 10), known)])
    own = metrics.records().resampled(np.ones((1, 1), np.int64))
    wanted = _pq_of_the_api(found, Target((8, 10), known))
    assert own["pq"][0] == pytest.approx(wanted, abs=1e-9)
    assert float(metrics.compute()["pq"]) == pytest.approx(wanted, abs=1e-6)


def _pq_of_the_api(found: Segments, target: Target) -> float:
    """PQ of one image by the published rule: crowds match nothing; void and crowds of its class forgive a segment."""
    boxes, void = target["boxes"], target["semantic"] == IGNORE
    there = [(mask, int(label)) for mask, label, crowd in zip(target["masks"], boxes.labels, boxes.difficult,
             strict=True) if not crowd and mask.any()]  # fmt: skip
    if (target["semantic"] == 2).any():
        there.append((target["semantic"] == 2, 1))
    mine = [(found.ids == k, int(label)) for k, label in enumerate(found.labels, 1) if (found.ids == k).any()]
    sums = {label: [0.0, 0.0, 0.0, 0.0] for label in range(3)}
    matched: set[int] = set()
    for mask, label in there:
        for k, (own, other) in enumerate(mine):
            union = int((own | mask).sum()) - int((own & void).sum())
            if other == label and int((own & mask).sum()) / union > 0.5:
                sums[label][0] += int((own & mask).sum()) / union
                sums[label][1] += 1
                matched.add(k)
                break
        else:
            sums[label][3] += 1
    for k, (own, label) in enumerate(mine):
        if k not in matched:
            crowd = target["masks"][(boxes.labels == label) & boxes.difficult].any(0)
            if int((own & (void | crowd)).sum()) / int(own.sum()) <= 0.5:
                sums[label][2] += 1
    seen = [row for row in sums.values() if sum(row[1:])]
    return sum(iou / (tp + fp / 2 + fn / 2) for iou, tp, fp, fn in seen) / len(seen)


def test_contours_lie_inside_the_segments() -> None:
    found = contours(perfect().ids)
    assert not found[perfect().ids == 0].any()
    assert found[3, 3]
    assert not found[0, 0]
    assert not found[7].any(), "the edge of the picture is none"
    assert contours(perfect().ids, width=2).sum() > found.sum()


def test_it_is_torchmetrics_own_where_all_classes_are_there() -> None:
    generator = torch.Generator().manual_seed(3)
    noisy = image()["semantic"].clone()
    noisy[torch.rand(8, 10, generator=generator) < 0.15] = 2
    found = segments(objects((CAT, 0, 0.9), (DOG.roll(1, 0), 2, 0.8)), noisy)
    pair = predicted(found, 3)[None], truth(image(), THINGS, True)[None]
    each = panoptic_quality(
        *pair, things={0, 2}, stuffs={1, 3}, return_per_class=True, allow_unknown_preds_category=True
    )
    order = [0, 2, 1]  # torchmetrics has things first
    wanted = each.flatten()[: len(order)]
    metrics = PanopticMetrics(THINGS, True)
    metrics.update([found], [image()])
    torch.testing.assert_close(metrics.compute()["pq_class"][order].float(), wanted.float(), rtol=0, atol=1e-6)


def test_images_without_masks_are_left_out() -> None:
    bare = Target((8, 10), {"semantic": image()["semantic"]})
    assert figures((perfect(), image()), (perfect(), bare))["pq"] == pytest.approx(1, abs=1e-6)
