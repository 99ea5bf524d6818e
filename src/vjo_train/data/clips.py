"""A built-in data set of drawn clips: pictures as `Shapes` gives them, and annotated sequences for tracking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Ge, Interval
from PIL import Image

from vjo_train.data.shape_clip import VISIBLE, Clip, ClipFrame
from vjo_train.data.shapes import Shapes, save_scene
from vjo_train.tracking.mot_files import FIRST_PIXEL

SEQUENCES = "sequences"
"""The folder of the sequences, in MOTChallenge's layout."""
_SPLITS = ("train", "val", "test")
_RATE = 25


class Clips(Shapes):
    """Shapes that wander, turn, cross and hide each other, each with an identity.

    The pictures of a split are the frames of its clips, one clip after the other, labelled as those of `Shapes`. Each
    clip is a sequence too: `sequences/<split>-<number>/` holds `img1/<frame>.jpg` and `gt/gt.txt` with identities,
    classes from 1, visible shares, and boxes of the whole objects, as is usual there (those of the pictures are of what
    is seen). An object of which less than 0.15 is seen does not count.

    Args:
        train: frames in the split `train`.
        val: frames in the split `val`.
        test: frames in the split `test`.
        frames: of a clip; the last one of a split is shorter where its frames do not divide.
        objects: in a clip.
        image_size: as of `Shapes`.
        masked: as of `Shapes`.
        hardness: as of `Shapes`.
        seed: as of `Shapes`.
    """

    folders: ClassVar[tuple[str, ...]] = (*Shapes.folders, SEQUENCES)

    def __init__(
        self,
        *,
        train: Annotated[int, Ge(1)] = 1200,
        val: Annotated[int, Ge(1)] = 150,
        test: Annotated[int, Ge(1)] = 300,
        frames: Annotated[int, Ge(1)] = 300,
        objects: Annotated[int, Interval(ge=1, le=50)] = 6,
        image_size: Annotated[int, Interval(ge=32, le=1024)] = 128,
        masked: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        hardness: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        super().__init__(
            train=train, val=val, test=test, image_size=image_size, masked=masked, hardness=hardness, seed=seed
        )
        self.frames, self.objects = frames, objects

    @property
    def parameters(self) -> dict[str, object]:
        return {"clips": 1, "frames": self.frames, "objects": self.objects, **super().parameters}

    def save(self, root: Path, name: str, seed: Sequence[int], masked: bool) -> None:
        _, split, place = seed
        clip, frame = place // self.frames, place % self.frames + 1
        drawn = _clip((self.seed, split, clip), self.objects, self.image_size, self.hardness).frame(frame)
        save_scene(root, name, drawn.scene, masked)
        folder = root / SEQUENCES / f"{_SPLITS[split]}-{clip + 1:02d}"
        save_frame(folder, frame, drawn)


def save_frame(folder: Path, number: int, drawn: ClipFrame) -> None:
    """Adds a frame, in their order, to a sequence in MOTChallenge's layout; the first one makes its folder."""
    if number == 1:
        for inner in ("img1", "gt"):
            (folder / inner).mkdir(parents=True)
        height, width = drawn.scene.owner.shape
        size = f"imWidth={width}\nimHeight={height}\nimExt=.jpg\n"
        head = f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate={_RATE}\n{size}"
        (folder / "seqinfo.ini").write_text(head)
    Image.fromarray(drawn.scene.image).save(folder / "img1" / f"{number:06d}.jpg", quality=90)
    with open(folder / "gt" / "gt.txt", "a", encoding="utf-8") as file:
        rows = zip(drawn.labels, drawn.boxes.tolist(), drawn.visible, strict=True)
        for identity, (label, (x1, y1, x2, y2), share) in enumerate(rows, 1):
            box = f"{x1 + FIRST_PIXEL:.2f},{y1 + FIRST_PIXEL:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
            counted = int(share >= VISIBLE)
            file.write(f"{number},{identity},{box},{counted},{label + 1},{share:.3f}\n")


@lru_cache(2)
def _clip(seed: tuple[int, ...], objects: int, size: int, hardness: float) -> Clip:
    return Clip(seed, objects, size, hardness)
