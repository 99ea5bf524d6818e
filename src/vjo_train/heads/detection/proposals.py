"""The region proposal network's part that has no weights: its loss, and the proposals (Ren et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.heads.detection.anchors import BACKGROUND, match
from vjo_train.heads.detection.boxes import clip, decode, encode
from vjo_train.heads.detection.dense import sum_per_image
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.sampling import sample
from vjo_train.heads.detection.suppression import suppress

FOREGROUND_IOU, BACKGROUND_IOU, NMS_IOU = 0.7, 0.3, 0.7


@dataclass
class ProposalOutputs:
    """Raw outputs at R anchors, level by level."""

    objectness: Tensor
    """[B, R] logits: whether there is an object of any class."""
    offsets: Tensor
    """[B, R, 4]: of the box from the anchor."""
    anchors: list[Tensor]
    """[R_l, 4] float32 of each level, in canvas pixels; R in all."""


def proposal_loss(outputs: ProposalOutputs, objects: Objects, anchors_per_image: int) -> Tensor:
    """[B]: cross-entropy of the objectness + smooth L1 (beta 1/9) of the offsets, by sampled anchors of the image.

    At most half of the sample are anchors that are matched with an object; those matched with difficult objects, and
    those between the IoU thresholds, are never in it.
    In an image where a share q of the classes is unknown, an anchor without an object may be of an unannotated one: an
    object goes unannotated with the probability q, so that its loss is -log(1 - p + q p) with the objectness p, the
    likelihood of Elkan and Noto 2008 for what is labelled in part.
    """
    anchors = torch.cat(outputs.anchors)
    found = match(anchors, objects, FOREGROUND_IOU, BACKGROUND_IOU, keep_best=True)
    positive = found >= 0
    chosen = sample(positive, found == BACKGROUND, anchors_per_image, 0.5)
    count = chosen.sum(1).clamp(min=1)
    entropy = F.binary_cross_entropy_with_logits(outputs.objectness.float(), positive.float(), reduction="none")
    if objects.unknown is not None:
        share = objects.unknown.float().mean(1, keepdim=True)
        entropy = torch.where(positive | (share == 0), entropy, _unannotated(outputs.objectness.float(), share))
    entropy = torch.where(chosen, entropy, 0.0).sum(1)

    positive = positive & chosen
    image, place = positive.nonzero(as_tuple=True)
    truth = encode(objects.boxes[image, found[image, place]], anchors[place])
    distance = F.smooth_l1_loss(outputs.offsets[image, place].float(), truth, beta=1 / 9, reduction="none").sum(1)
    return (entropy + sum_per_image(distance, positive)) / count


def _unannotated(logits: Tensor, share: Tensor) -> Tensor:
    """-log(1 - p + share * p) of the logits of p."""
    return -torch.logaddexp(F.logsigmoid(-logits), share.log() + F.logsigmoid(logits))


@torch.no_grad()
def propose(outputs: ProposalOutputs, sizes: Tensor, candidates: int, count: int) -> tuple[Tensor, Tensor]:
    """The best boxes of each image after non-maximum suppression within each level; without gradient.

    Args:
        outputs: of B images.
        sizes: [B, 2] height and width of the images on the canvas, to which boxes are cut.
        candidates: boxes per level that enter the suppression.
        count: boxes per image that leave it, over all levels.

    Returns:
        Boxes [B, P, 4], best first, and which of them are no padding [B, P] bool. P is `count`, or less where there
        are not so many candidates.
    """
    lengths = [len(level) for level in outputs.anchors]
    boxes, scores, levels = [], [], []
    splits = zip(
        torch.split(outputs.objectness.float(), lengths, dim=1),
        torch.split(outputs.offsets, lengths, dim=1),
        outputs.anchors,
        strict=True,
    )
    for level, (objectness, offsets, anchors) in enumerate(splits):
        best, places = objectness.topk(min(candidates, objectness.shape[1]), dim=1)
        picked = offsets.gather(1, places[..., None].expand(-1, -1, 4)).float()
        boxes.append(clip(decode(picked, anchors[places]), sizes))
        scores.append(best)
        levels.append(torch.full_like(places, level))
    every, scored = torch.cat(boxes, 1), torch.cat(scores, 1)
    scored = torch.where((every[..., 2:] > every[..., :2]).all(-1), scored, -torch.inf)
    kept = suppress(every, scored, torch.cat(levels, 1), len(lengths), NMS_IOU)
    best, places = torch.where(kept, scored, -torch.inf).topk(min(count, kept.shape[1]), dim=1)
    present = best > -torch.inf
    picked = every.gather(1, places[..., None].expand(-1, -1, 4))
    return torch.where(present[..., None], picked, 0.0), present
