"""Strong views: pictures whose colours and details are disturbed, while every thing stays where it is."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchvision.transforms import v2

from vjo_train.backbones.base import MEAN

SMALLEST = 8
"""Pixels; a picture with a shorter side stays as it is, as nothing in it can be blurred or covered."""


def strong_views(images: Tensor, sizes: Sequence[tuple[int, int]], strength: float) -> Tensor:
    """Disturbs each picture by itself: colours, grey, blur, and rectangles that are covered.

    The changes of the strong view of Unbiased Teacher (Liu et al. 2021), which leave boxes and maps as they are. Drawn
    from torch's global random numbers.

    Args:
        images: [B, 3, H, W] uint8; padding is left alone.
        sizes: (height, width) of each picture on its canvas.
        strength: of the changes of colours, and of the size of the rectangles, 0..1; 0 changes nothing.

    Returns:
        [B, 3, H, W] uint8.
    """
    if strength == 0:
        return images
    mean = [round(255 * value) for value in MEAN]
    change = v2.Compose(
        [
            v2.RandomApply([v2.ColorJitter(0.4 * strength, 0.4 * strength, 0.4 * strength, 0.1 * strength)], p=0.8),
            v2.RandomGrayscale(p=0.2 * strength),
            v2.RandomApply([v2.GaussianBlur(5, sigma=(0.1, 0.1 + 1.5 * strength))], p=0.5),
            v2.RandomErasing(p=0.7, scale=(0.01, 0.01 + 0.14 * strength), ratio=(0.3, 3.3), value=mean),
            v2.RandomErasing(p=0.5, scale=(0.01, 0.01 + 0.09 * strength), ratio=(0.2, 6.0), value=mean),
        ]
    )
    changed = images.clone()
    for picture, (height, width) in zip(changed, sizes, strict=True):
        if min(height, width) >= SMALLEST:
            picture[:, :height, :width] = change(picture[:, :height, :width].contiguous())
    return changed
