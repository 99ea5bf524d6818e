"""Semantic segmentation: the class of every pixel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval, Len
from torch import Tensor, nn

from vjo_train.drawing.palette import voc_palette
from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import TaskMetrics, check_levels
from vjo_train.heads.class_rows import ClassRows, of_layer
from vjo_train.heads.detection.dense import common_channels, stride
from vjo_train.heads.imbalance import BALANCED, ClassWeights, balanced_pixel_weights, given_weights
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pixel_losses import dice_loss, pixel_loss, shifted
from vjo_train.heads.pixels.base import PixelHead
from vjo_train.heads.pixels.decoders import added_up, atrous, atrous_layers, pyramid_branches
from vjo_train.heads.pseudo_labels import sure_map
from vjo_train.heads.task_files import TaskFiles
from vjo_train.heads.unknown import unknown_classes, with_unknown
from vjo_train.runs.records import Pixels
from vjo_train.types import IGNORE, Batch, Features, Target

BACKGROUND = "background"


class SemanticHead(PixelHead):
    """Base of the segmentation heads: logits on a coarse grid, brought to the pixels by bilinear interpolation.

    The loss of an image is the mean cross-entropy over its counted pixels on the canvas, plus `dice` times its Dice
    loss (`dice_loss`). Pixels of 255 (void, padding) do not count. A pixel of the background is background or of a
    class that is unknown in the image; see `with_unknown`.
    Scale: about log(C + 1) at the start, plus at most `dice`. Its gradient does not grow with the number of classes.
    Weights of classes multiply the cross-entropy of their pixels; balanced ones have a mean of 1 over the pixels.

    Args:
        num_classes: C.
        stride: canvas pixels per cell of the logits.
        dice: weight of the Dice loss.
        background: whether channel 0 is the background, and k + 1 is class k. Without one, channel k is class k, every
            pixel gets a class, and pixels of 0 in the ground truth do not count.
        class_weights: of each class in the cross-entropy: `balanced` by how many pixels of the training images show it,
            class -> weight (`background` is one too; 1 for others), or a list in the order of the channels; None: 1.
        focal: gamma of the focal loss in the place of the cross-entropy (`pixel_loss`); 0: the cross-entropy.

    Raises:
        ConfigError: weights of another number.
    """

    label: ClassVar[str] = "semantic"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    monitor: ClassVar[str] = "miou"
    reported: ClassVar[Mapping[str, bool]] = {"miou": True, "pixel_accuracy": True}
    sure: ClassVar[float | None] = 0.9

    class_weights: Tensor

    def __init__(
        self,
        num_classes: int,
        stride: int,
        dice: float,
        background: bool,
        class_weights: ClassWeights | None = None,
        focal: float = 0.0,
    ) -> None:
        super().__init__(stride)
        self.num_classes = num_classes
        self.background = background
        self.dice, self.focal = dice, focal
        self.wanted_weights = class_weights
        given = given_weights(f"heads.{self.label}.class_weights", class_weights, num_classes + background)
        self.register_buffer("class_weights", given, persistent=False)

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """The pyramid -> logits [B, C + 1, h, w] at `stride`; [B, C, h, w] without background."""

    def judged(self, maps: Tensor, targets: list[Target]) -> Tensor:
        """With the classes that are unknown in an image as a part of its background."""
        unknown = unknown_classes(targets, [self.label], self.num_classes, maps.device) if self.background else None
        return maps if unknown is None else with_unknown(maps, F.pad(unknown, (1, 0))[..., None, None], background=0)

    def class_rows(self) -> dict[str, ClassRows]:
        return of_layer("logits", ClassRows(background="first" if self.background else None))

    def image_losses(self, maps: Tensor, truth: Tensor) -> Tensor:
        if not self.background:
            truth = shifted(truth)
        weights = None if self.wanted_weights is None else self.class_weights
        own = pixel_loss(maps, truth, weights, self.focal)
        return own + self.dice * dice_loss(maps, truth) if self.dice > 0 else own

    @property
    def wants_pixels(self) -> bool:
        return self.wanted_weights == BALANCED

    def learn_from(self, shown: Mapping[str, int]) -> None:
        """Sets the weights that are given by name."""
        if isinstance(self.wanted_weights, Mapping):
            names = [*([BACKGROUND] if self.background else []), *(shown if self.space is None else self.space.names)]
            self.class_weights.copy_(torch.tensor([float(self.wanted_weights.get(name, 1.0)) for name in names]))

    def learn_pixels(self, counts: Tensor) -> None:
        """Sets balanced weights."""
        own = torch.arange(256, dtype=torch.uint8)
        own = own if self.space is None else self.space.map(own)
        found = torch.bincount(own.long(), counts.double(), minlength=256)
        self.class_weights.copy_(balanced_pixel_weights(found[int(not self.background) : self.num_classes + 1]))

    def finished(self, maps: Tensor) -> Tensor:
        """The class of each pixel, [B, H, W] uint8: 0 background, k + 1 for class k."""
        # argmax takes four times as long
        return maps.max(1).indices.to(torch.uint8) + (not self.background)

    def sure_label(self, maps: Tensor, size: tuple[int, int], sure: float) -> Tensor | None:
        return sure_map(maps.softmax(0), sure, size, background=self.background)

    def explained(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The sum of the winning logits over the cells that no background wins; 0 where it wins all."""
        best, classes = outputs.float().max(1)
        return torch.where(classes >= self.background, best, 0.0).sum((1, 2))

    def in_own_classes(self, target: Target, space: LabelSpace) -> Target:
        if self.label not in target:
            return target
        return target.having({self.label: space.map(target[self.label])})

    def in_known_classes(self, prediction: Tensor, space: LabelSpace) -> Tensor:
        return space.known_map(prediction)

    def draw(self, sheet: Sheet, prediction: Tensor, classes: Sequence[str]) -> None:
        sheet.classes(prediction)

    def write(self, files: TaskFiles, prediction: Tensor, classes: Sequence[str]) -> None:
        """A palette PNG in the devkit's colours."""
        files.png(prediction.numpy().astype(np.uint8), voc_palette())

    def metrics(self) -> SemanticMetrics:
        return SemanticMetrics(self.num_classes, self.background, self.label)


class SemanticFPN(SemanticHead):
    """The semantic branch of Panoptic FPN (Kirillov, Girshick, He, Dollar 2019).

    Each level is brought to the finest one's grid by as many steps of 3x3 convolution, group norm, ReLU and twofold
    upsampling as it takes (the finest: one step without upsampling); their sum gives the logits by a 1x1 convolution.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        num_classes: C.
        levels: the features it reads; logits have the stride of the finest.
        width: channels of the branch.
        dice: weight of the Dice loss beside the cross-entropy.
        background: whether pixels may be of no class; see `SemanticHead`.
        class_weights: see `SemanticHead`.
        focal: gamma of the focal loss; 0: cross-entropy.

    Raises:
        ConfigError: levels that are not there or differ in channels.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        num_classes: int,
        strides: Mapping[str, int] | None = None,
        levels: Sequence[str] = ("p3", "p4", "p5"),
        width: Annotated[int, Ge(8)] = 128,
        dice: Annotated[float, Ge(0)] = 0.0,
        background: bool = True,
        class_weights: ClassWeights | None = None,
        focal: Annotated[float, Interval(ge=0, le=10)] = 0.0,
    ) -> None:
        inputs = common_channels(f"heads.{self.label}.levels", levels, channels)
        steps = [stride(level, strides) for level in levels]
        super().__init__(num_classes, min(steps), dice, background, class_weights, focal)
        self.levels = tuple(levels)
        self.branches = pyramid_branches(inputs, width, steps)
        self.logits = nn.Conv2d(width, num_classes + background, 1)

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.logits(added_up(features, self.levels, self.branches))
        return logits


class DeepLabV3(SemanticHead):
    """Atrous spatial pyramid pooling (Chen, Papandreou, Schroff, Adam 2017) on one level, and a 3x3 convolution.

    A 1x1 convolution, 3x3 convolutions of several dilations and the mean over the canvas are joined by a 1x1
    convolution. The paper's network is `backbone.output_stride` 16 with dilations 6, 12, 18, or 8 with 12, 24, 36; the
    default ones are for a `c5` of stride 32, that of a backbone that is not dilated. Deviation: group norm instead of
    batch norm, so that an image's loss does not depend on the others and one labelled image in a batch is enough.
    `norm=batch` is the paper's, and `norm=frozen` keeps its statistics and affine weights as `start_from` found them.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        num_classes: C.
        level: the feature it reads; logits have its stride.
        rates: dilations of the 3x3 convolutions, in cells.
        width: channels of the branches.
        dropout: share of the joined channels that is dropped in training.
        norm: behind the convolutions.
        dice: weight of the Dice loss beside the cross-entropy.
        background: whether pixels may be of no class; see `SemanticHead`.
        class_weights: see `SemanticHead`.
        focal: gamma of the focal loss; 0: cross-entropy.

    Raises:
        ConfigError: the pyramid has no such level.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        num_classes: int,
        strides: Mapping[str, int] | None = None,
        level: str = "c5",
        rates: Annotated[Sequence[Annotated[int, Ge(1)]], Len(1)] = (3, 6, 9),
        width: Annotated[int, Ge(8)] = 256,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
        norm: Literal["group", "batch", "frozen"] = "group",
        dice: Annotated[float, Ge(0)] = 0.0,
        background: bool = True,
        class_weights: ClassWeights | None = None,
        focal: Annotated[float, Interval(ge=0, le=10)] = 0.0,
    ) -> None:
        check_levels(f"heads.{self.label}.level", [level], channels)
        super().__init__(num_classes, stride(level, strides), dice, background, class_weights, focal)
        self.levels = (level,)
        self.norm = norm
        self.branches, self.pooled, self.join, self.last = atrous_layers(channels[level], width, rates, dropout, norm)
        self.logits = nn.Conv2d(width, num_classes + background, 1)

    def forward(self, features: Features) -> Tensor:
        feature = features[self.levels[0]]
        joined = self.join(atrous(feature, self.branches, self.pooled))
        logits: Tensor = self.logits(self.last(joined))
        return logits


class SemanticMetrics(TaskMetrics):
    """`miou` and `pixel_accuracy` over all pixels of the data set (`SegmentationIoU`), IoU by class and of background.

    `miou` is the mean over background and classes; the figures by class are those of the C classes, and that of
    background is `iou_background`. Images without a class mask are left out, and so are pixels of the background for
    which a class is predicted that is unknown in the image.

    Args:
        num_classes: C.
        background: whether pixels of no class count; if not, the figure of background is NaN.
        label: the kind of label of the class maps.
    """

    per_class: ClassVar[dict[str, str]] = {"iou": "miou"}

    def __init__(self, num_classes: int, background: bool = True, label: str = "semantic") -> None:
        from vjo_train.metrics.segmentation import SegmentationIoU

        super().__init__()
        self.iou = SegmentationIoU(num_classes)
        self.background, self.label = background, label

    def update(self, predictions: list[Tensor], targets: list[Target]) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            if self.label in target:
                self.iou.update(prediction, self._truth(target, prediction))

    def _truth(self, target: Target, prediction: Tensor) -> Tensor:
        """The class map with 255 where a pixel does not count."""
        truth: Tensor = target[self.label]
        if not self.background:
            return torch.where(truth == 0, IGNORE, truth)
        unknown = target.unknown([self.label])
        if unknown is None:
            return truth
        said = F.pad(unknown, (1, 0)).to(prediction.device)[prediction.long()].to(truth.device)
        return torch.where((truth == 0) & said, IGNORE, truth)

    def compute(self) -> dict[str, Tensor]:
        return self.iou.compute()

    def reset(self) -> None:
        self.iou.reset()

    def records(self) -> Pixels:
        return self.iou.records()
