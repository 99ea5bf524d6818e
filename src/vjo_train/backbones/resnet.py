"""ResNets (He, Zhang, Ren, Sun 2015) with torchvision's names and layers, so that its weights fit.

Written down here because importing torchvision imports torch's compiler, which takes longer than a prediction does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]
"""Channels -> layer."""

BLOCKS = {
    "resnet10": (1, 1, 1, 1),
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
}
"""Residual blocks of the four stages."""
DEEP = ("resnet50", "resnet101")
"""Those of bottlenecks."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [B, inputs, h, w] -> [B, width, h / stride, w / stride]."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, norm: Norm) -> None:
        super().__init__()
        assert dilation == 1, "networks of basic blocks are not dilated"
        self.conv1 = _convolution(inputs, width, 3, stride)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = norm(width)
        self.downsample: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, width, h / stride, w / stride]."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """A 3x3 convolution between 1x1 ones, which takes the stride ("ResNet 1.5"), beside a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, width, 1)
        self.bn1 = norm(width)
        self.conv2 = _convolution(width, width, 3, stride, dilation)
        self.bn2 = norm(width)
        self.conv3 = _convolution(width, width * self.expansion, 1)
        self.bn3 = norm(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, 4 * width, h / stride, w / stride]."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A ResNet with its classifier, so that whole state dicts of classification networks fit.

    Args:
        name: of `BLOCKS`.
        norm: the layer behind each convolution.
        dilated: of the last three stages, those that dilate in place of halving their resolution.
    """

    def __init__(self, name: str, norm: Norm, dilated: Sequence[bool] = (False, False, False)) -> None:
        super().__init__()
        self._block, self._norm = (Bottleneck if name in DEEP else BasicBlock), norm
        self._inputs, self._dilation = 64, 1
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = norm(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        first, *others = BLOCKS[name]
        self.layer1 = self._stage(64, first, 1, False)
        self.layer2, self.layer3, self.layer4 = (
            self._stage(128 * 2**place, count, 2, dilate)
            for place, (count, dilate) in enumerate(zip(others, dilated, strict=True))
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * self._block.expansion, 1000)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, width: int, count: int, stride: int, dilate: bool) -> nn.Sequential:
        before = self._dilation
        if dilate:
            self._dilation, stride = before * stride, 1
        outputs = width * self._block.expansion
        shortcut = None
        if stride != 1 or self._inputs != outputs:
            shortcut = nn.Sequential(_convolution(self._inputs, outputs, 1, stride), self._norm(outputs))
        blocks = [self._block(self._inputs, width, stride, before, self._norm)]
        blocks[0].downsample = shortcut
        self._inputs = outputs
        blocks += [self._block(outputs, width, 1, self._dilation, self._norm) for _ in range(count - 1)]
        return nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, 1000]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))  # type: ignore[no-any-return]


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation if size == 3 else 0
    return nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)
