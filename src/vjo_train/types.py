"""What flows through a training step. Shapes and units stand beside the fields.

Boxes are `xyxy` in continuous pixels, 0-based: a box that covers the single top left pixel is
`(0, 0, 1, 1)`. Only `geometry.py` knows the devkit's 1-based inclusive boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Features: TypeAlias = dict[str, Tensor]
"""A pyramid: `c2`..`c5` from the backbone (strides 4..32), `p3`..`p7` from the neck, each [B, C, h, w]; `EXTENT`."""

EXTENT = "extent"
"""Where the pictures lie on their canvases: [B, 4] float32, top, bottom, left, right as shares (0..1) of its sides."""

MEAN_COLOUR = (124, 116, 104)
"""RGB of padding: the mean of ImageNet, so that normalised padding is about 0."""


def usual_stride(level: str) -> int:
    """`c5`, `p5` -> 32: pixels of the canvas per cell, unless the backbone is dilated and says otherwise."""
    return 1 << int(level[1:])


Canvas: TypeAlias = tuple[int, int]
"""(height, width) in pixels of what every picture of a batch is laid on."""


def canvas_of(size: int | Sequence[int]) -> Canvas:
    """The canvas of the config key `dataset.size`: its side, or [height, width]."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


IGNORE = 255
"""The class of pixels that count neither way in a semantic mask."""

OTHER = -1
"""The category of an image of none of the classes of a data set or a head, which counts neither way."""


class Movable:
    """Moves every tensor of a dataclass to a device, also inside lists and dicts."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Any:
        return self._map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Any:
        return self._map(lambda t: t.pin_memory())

    def _map(self, function: Any) -> Any:
        def apply(value: Any) -> Any:
            if isinstance(value, Tensor):
                return function(value)
            if isinstance(value, Movable):
                return value._map(function)
            if isinstance(value, list):
                return [apply(v) for v in value]
            if isinstance(value, dict):
                return {key: apply(v) for key, v in value.items()}
            return value

        changed = {f.name: apply(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]
        return replace(self, **changed)  # type: ignore[type-var]


@dataclass
class Boxes(Movable):
    """N objects of one image: the label of the kind `boxes`."""

    xyxy: Tensor
    """[N, 4] float32; [0, 4] where the image shows none."""
    labels: Tensor
    """[N] int64 in 0..C-1."""
    difficult: Tensor
    """[N] bool: ignored in losses and, as the devkit does, in metrics."""

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def none(cls) -> Boxes:
        """No objects at all."""
        return cls(torch.empty(0, 4), torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.bool))


@dataclass
class Keypoints(Movable):
    """The points of N objects of one image, in the order of its boxes: the label of the kind `keypoints`."""

    points: Tensor
    """[N, K, 3] float32: x, y, and 0 unknown, 1 hidden, 2 visible; all three are 0 where a point is unknown."""
    areas: Tensor
    """[N] float32: of the objects in square pixels, by which distances are judged (COCO's OKS)."""
    edges: Tensor
    """[E, 2] int64: the points that drawings join; [0, 2] where nothing says which."""

    def __getitem__(self, which: Tensor) -> Keypoints:
        """Those of some objects."""
        return Keypoints(self.points[which], self.areas[which], self.edges)


@dataclass
class Target(Movable):
    """What is known of one image: a mapping from a kind of label (`data.labels`) to its value.

    Values are in canvas pixels in `Batch.targets`, in the image file's in `Batch.originals`. A kind that is not there
    is not labelled; an image that is labelled and shows nothing has an empty value.
    """

    size: tuple[int, int]
    """(height, width) of the image in these pixels, without padding."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Kind of label -> its value."""
    annotated: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    """Kind of label -> [C]: the classes that were looked for. The others are unknown: where the label names
    nothing, they may be there, and count neither way. A kind that is not there: all."""

    def __getitem__(self, kind: str) -> Any:
        return self.labels[kind]

    def __contains__(self, kind: str) -> bool:
        return kind in self.labels

    @property
    def labelled(self) -> frozenset[str]:
        """The kinds that are known."""
        return frozenset(self.labels)

    def only(self, kinds: frozenset[str]) -> Target:
        """The same image, with no other kinds than these."""
        return replace(self, labels={kind: value for kind, value in self.labels.items() if kind in kinds})

    def having(self, labels: Mapping[str, Any]) -> Target:
        """The same image with some of its labels, by kind, in the place of its own."""
        return replace(self, labels={**self.labels, **labels})

    def unknown(self, kinds: Iterable[str]) -> Tensor | None:
        """[C] bool on the CPU: the classes that were not looked for in some of `kinds`; None where none is unknown."""
        known = np.all([self.annotated[kind] for kind in kinds if kind in self.annotated], axis=0)
        return None if known.all() else torch.from_numpy(~known)


@dataclass
class Frames(Movable):
    """Where B images lie on their canvases, for the way back to the pixels of their files."""

    canvas: Canvas
    """(H, W) of the canvases."""
    sizes: Tensor
    """[B, 2] float32: (height, width) on the canvas, without padding."""
    originals: Tensor
    """[B, 2] int64: (height, width) of the files."""
    scales: Tensor
    """[B] float32: canvas pixels per pixel of the file."""

    @classmethod
    def of_files(cls, originals: Tensor, canvas: Canvas) -> Frames:
        """As `data.letterbox.letterbox` scales files of the sizes `originals` [B, 2] to fit on `canvas`."""
        height, width = canvas
        files = originals.double()
        scales = torch.minimum(height / files[:, 0], width / files[:, 1])
        sizes = (originals * scales[:, None]).round().clamp(min=1)
        return cls(canvas, sizes.float(), originals, scales.float())


@dataclass
class Batch(Movable):
    """B images on canvases of H x W pixels, with what is known of each."""

    images: Tensor
    """[B, 3, H, W] uint8 RGB; the picture is at the top left, the rest is the mean colour."""
    targets: list[Target]
    """In canvas pixels."""
    ids: list[str]
    scales: Tensor
    """[B] float32: canvas pixels per pixel of the image file."""
    tasks: tuple[str, ...]
    """The tasks that are on in this step."""
    originals: list[Target] = field(default_factory=list)
    """In the image file's pixels, for evaluation; empty in training."""
    step: int = -1
    """The number of the batch since the start of training; -1 in evaluation."""
    meta: Batch | None = None
    """Held-out images that never train the network, for a weighting that learns from them; None in most steps."""
    hidden: dict[str, list[bool]] = field(default_factory=dict)
    """Task -> whether what `targets` says of each image is withheld from it (`dataset.labels`); a task that is not
    there may see all."""
    unlabelled: Batch | None = None
    """Images that lack the label of some task, for `semi`; what their targets hold is never trained on."""
    pictures: Batch | None = None
    """Images for self-supervised tasks, of which nothing is known."""
    taught: dict[str, list[Target]] = field(default_factory=dict)
    """Task -> what it is told of each image, in the place of `targets`, where a teacher or the task itself says
    something too; in the head's own classes."""
    loss_weights: dict[str, Tensor] = field(default_factory=dict)
    """Task -> [B] float32: the factor on the loss of each image; a task that is not there has 1 for all."""

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, count: int) -> Batch:
        """The first `count` images, without those that go with the batch."""
        return self.part(slice(count))

    def part(self, where: slice) -> Batch:
        """Some of the images, without those that go with the batch."""
        return replace(
            self, images=self.images[where], targets=self.targets[where], ids=self.ids[where],
            scales=self.scales[where], originals=self.originals[where], meta=None, unlabelled=None, pictures=None,
            hidden={task: flags[where] for task, flags in self.hidden.items()},
            taught={task: targets[where] for task, targets in self.taught.items()},
            loss_weights={task: weights[where] for task, weights in self.loss_weights.items()},
        )  # fmt: skip

    def known(self, task: str) -> list[Target]:
        """What a task may know of each image, in the data set's classes."""
        flags = self.hidden.get(task)
        if flags is None:
            return self.targets
        return [Target(t.size) if hidden else t for t, hidden in zip(self.targets, flags, strict=True)]

    @property
    def frames(self) -> Frames:
        """Where the images lie; `originals` must be there."""
        (height, width), like = self.images.shape[-2:], self.scales.new_tensor
        sizes, originals = ([t.size for t in targets] for targets in (self.targets, self.originals))
        return Frames(
            (height, width), like(sizes).view(-1, 2), like(originals, dtype=torch.int64).view(-1, 2), self.scales
        )


@dataclass
class PlacedMasks(Movable):
    """N masks of one large picture, of each of which only the part with pixels in it is held."""

    parts: list[Tensor]
    """N of [h, w] bool."""
    corners: Tensor
    """[N, 2] int64: top and left of each part in the picture."""
    size: tuple[int, int]
    """(height, width) of the picture."""

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of `whole`."""
        return len(self), *self.size

    @overload
    def __getitem__(self, which: int) -> Tensor: ...

    @overload
    def __getitem__(self, which: Tensor) -> PlacedMasks: ...

    def __getitem__(self, which: int | Tensor) -> Tensor | PlacedMasks:
        """One mask [H, W], or those of some objects, by their places or a bool for each."""
        if not isinstance(which, int):
            places = torch.arange(len(self))[which.cpu()].tolist()
            return PlacedMasks([self.parts[k] for k in places], self.corners[which], self.size)
        part, (top, left) = self.parts[which], self.corners[which].tolist()
        mask = part.new_zeros(self.size)
        mask[top : top + part.shape[0], left : left + part.shape[1]] = part
        return mask

    def __iter__(self) -> Iterator[Tensor]:
        """The masks [H, W], one after the other."""
        return (self[k] for k in range(len(self)))

    def whole(self) -> Tensor:
        """All masks [N, H, W]: N times the pixels of the picture in bytes."""
        return torch.stack(list(self)) if len(self) else torch.zeros(self.shape, dtype=torch.bool)


@dataclass
class Detections(Movable):
    """The objects found in one image, in the image file's pixels, best score first."""

    boxes: Tensor
    """[N, 4] float32."""
    scores: Tensor
    """[N] float32 in 0..1."""
    labels: Tensor
    """[N] int64 in 0..C-1."""
    masks: Tensor | PlacedMasks | None = None
    """[N, H, W] bool."""
    keypoints: Tensor | None = None
    """[N, K, 3] float32: x, y, and how sure the point is, in 0..1."""
    tracks: Tensor | None = None
    """[N] int64: identities in a video from 1 on, 0 for an object that is not followed; None where nothing is."""
