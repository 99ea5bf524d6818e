"""A data set in the devkit's layout, as batches for training and evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from annotated_types import Ge, Interval, Len
from torch.utils.data import Sampler

from vjo_train.data import download as archives
from vjo_train.data import index as indices
from vjo_train.data import voc
from vjo_train.data.cache import cache_folder
from vjo_train.data.loading import ALWAYS, BatchLoader, Rows, TurnDataset
from vjo_train.data.plan import Plan, TaskSchedule, Turn
from vjo_train.data.shapes import Shapes
from vjo_train.data.transforms import Augment
from vjo_train.errors import ConfigError


class DataModule(pl.LightningDataModule):
    """Reads a data set in the devkit's layout and serves it in batches.

    `prepare_data` writes files (once per machine), `setup` reads the index, `bind` says what to load for which tasks.

    Args:
        root: the folder that holds `JPEGImages/`, or the `VOCdevkit` above it. None: a folder in the cache, for data
            that is drawn or downloaded.
        classes: class names; the order gives the labels and the indices 1.. of the class masks.
        split: list in `ImageSets/Main` that is trained on.
        val_split: list for validation, or None.
        val_fraction: share of `split` that is cut off for validation, drawn by `seed`; only without `val_split`.
        test_split: list for testing.
        size: side of the canvas, and so the longest side of the scaled images, in pixels.
        batch_size: images per training step, over all ranks.
        eval_batch_size: images per step of an evaluation and rank; None: `batch_size`.
        workers: processes that load; 0 loads in the main process, with the same result.
        labelled_per_batch: at least so many images of a batch are labelled for each task that is on.
        cache_dir: folder for the index and for drawn data; None: `$VJO_CACHE` or the platform's cache folder.
        augment: random changes of training images.
        download: fetch PASCAL VOC 2007 if it is not there.
        generate: draws the data set if it is not there; None for data that exists.
        seed: of the cut, the order and the augmentation.

    Raises:
        ConfigError: keys that contradict one another.
    """

    def __init__(
        self,
        *,
        root: str | None,
        classes: Annotated[Sequence[str], Len(1, 254)],
        split: str,
        val_split: str | None,
        val_fraction: Annotated[float, Interval(ge=0, lt=1)],
        test_split: str,
        size: Annotated[int, Interval(ge=32, le=4096)],
        batch_size: Annotated[int, Ge(1)],
        eval_batch_size: Annotated[int, Ge(1)] | None,
        workers: Annotated[int, Ge(0)],
        labelled_per_batch: Annotated[int, Ge(1)],
        cache_dir: str | None,
        augment: Augment,
        download: bool = False,
        generate: Shapes | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.root_key, self.split, self.val_split, self.test_split = root, split, val_split, test_split
        self.val_fraction, self.size, self.workers = val_fraction, size, workers
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.labelled_per_batch, self.cache = labelled_per_batch, cache_folder(cache_dir)
        self.augment, self.download, self.generate, self.seed = augment, download, generate, seed
        self.needs: dict[str, frozenset[str]] = {}
        self.schedule: TaskSchedule | None = None
        self.start_step = 0
        """The number of the batch at which the next training epoch begins (or goes on); set it to resume."""
        self._plan: Plan | None = None
        self._check_keys()

    def _check_keys(self) -> None:
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if twice:
            raise ConfigError(f"dataset.classes: found {', '.join(twice)} twice; each class may be named once.")
        if self.val_split is not None and self.val_fraction > 0:
            raise ConfigError(
                f"dataset.val_fraction: found {self.val_fraction} next to dataset.val_split={self.val_split}; "
                "set val_fraction=0 or val_split=null."
            )
        if self.val_split == self.split:
            raise ConfigError(f"dataset.val_split: found '{self.split}', which is trained on; must be another split.")
        if self.generate is not None and self.classes != self.generate.classes:
            raise ConfigError(
                f"dataset.classes: found {list(self.classes)}; the drawn classes are {list(self.generate.classes)}."
            )
        if self.root_key is None and self.generate is None and not self.download:
            raise ConfigError(
                "dataset.root: is null; give the folder that holds JPEGImages/ or the VOCdevkit above it"
                " (for PASCAL VOC 2007, dataset=voc2007 dataset.download=true fetches it)."
            )

    # What is there

    @property
    def folder(self) -> Path:
        """Where the data set lies, or will lie after `prepare_data`."""
        if self.root_key is not None:
            return Path(os.path.expandvars(self.root_key)).expanduser()
        return self.generate.folder(self.cache) if self.generate is not None else self.cache / "voc2007"

    def prepare_data(self) -> None:
        """Draws or downloads the data set where it is not there yet."""
        if self.generate is not None:
            self.generate.write(self.folder)
        elif self.download:
            archives.fetch(self.folder)

    def setup(self, stage: str | None = None) -> None:
        """Reads the index and checks the splits; `stage` makes no difference. A second call does nothing."""
        _ = self.index, self.train_rows, self.val_rows

    @cached_property
    def root(self) -> Path:
        """The folder that holds `JPEGImages/`."""
        return voc.find_root(self.folder)

    @cached_property
    def index(self) -> indices.Index:
        """All annotations."""
        return indices.load(self.root, self.classes, self.cache)

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.classes)

    def split_rows(self, split: str) -> npt.NDArray[np.int64]:
        """The images of a list in `ImageSets/Main`, as rows of the index, in the list's order."""
        return self.index.rows(voc.read_split(self.root, split), self.root / voc.SPLITS / f"{split}.txt")

    @cached_property
    def _cut(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The rows for training and for validation."""
        rows = self.split_rows(self.split)
        if self.val_split is not None:
            val = self.split_rows(self.val_split)
            shared = np.intersect1d(rows, val)
            if len(shared):
                raise ConfigError(
                    f"dataset.val_split: '{self.val_split}' shares {len(shared)} images with dataset.split="
                    f"'{self.split}'; they must have none in common (or set val_split=null val_fraction=0.1)."
                )
            return rows, val
        if self.val_fraction == 0:
            return rows, rows[:0]
        number = max(1, round(len(rows) * self.val_fraction))
        if number >= len(rows):
            raise ConfigError(
                f"dataset.val_fraction: {self.val_fraction} of the {len(rows)} images of '{self.split}' leaves none "
                "to train on; must be less."
            )
        chosen = np.random.default_rng([self.seed, *b"validation"]).permutation(len(rows))[:number]
        is_val = np.zeros(len(rows), np.bool_)
        is_val[chosen] = True
        return rows[~is_val], rows[is_val]

    @property
    def train_rows(self) -> npt.NDArray[np.int64]:
        """The images that are trained on."""
        return self._cut[0]

    @property
    def val_rows(self) -> npt.NDArray[np.int64]:
        """The images of the validation; may be none."""
        return self._cut[1]

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """The images of any split; `val` is the part that was cut off where there is no such list."""
        if split == "val" and self.val_fraction > 0 and split not in voc.split_names(self.root):
            return self.val_rows
        return self.split_rows(split)

    def fingerprint(self, split: str) -> str:
        """16 hexadecimal digits that change with the images' sizes in bytes and annotations of a split."""
        return self.index.fingerprint(self.rows(split))

    def labelled_rows(self, rows: npt.NDArray[np.int64], needs: frozenset[str]) -> npt.NDArray[np.int64]:
        """Those of `rows` that carry every field in `needs` (`classes`, `boxes`, `semantic`, `masks`)."""
        chosen = np.ones(len(rows), np.bool_)
        for field in sorted(needs - ALWAYS):
            has = {"semantic": self.index.has_semantic, "masks": self.index.has_masks}[field]
            chosen &= has[rows]
        return rows[chosen]

    def describe(self, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
        """Counts: images, objects, difficult, and per field the labelled images, per class the images and objects."""
        index = self.index
        owner = np.repeat(np.arange(len(index)), np.diff(index.offsets))
        inside = np.isin(owner, rows)
        pairs = np.unique(np.stack([owner[inside], index.labels[inside]], axis=1), axis=0)
        objects = np.bincount(index.labels[inside], minlength=self.num_classes)
        images = np.bincount(pairs[:, 1], minlength=self.num_classes)
        return {
            "images": len(rows),
            "objects": int(inside.sum()),
            "difficult": int(index.difficult[inside].sum()),
            "without_objects": int((np.diff(index.offsets)[rows] == 0).sum()),
            "labelled": {
                field: len(self.labelled_rows(rows, frozenset({field})))
                for field in ("classes", "boxes", "semantic", "masks")
            },
            "images_per_class": dict(zip(self.classes, images.tolist(), strict=True)),
            "objects_per_class": dict(zip(self.classes, objects.tolist(), strict=True)),
        }

    # What is served

    def bind(self, needs: Mapping[str, frozenset[str]], schedule: TaskSchedule) -> None:
        """Says for which tasks to load.

        Args:
            needs: task -> the fields of `Target.labelled` that make an image labelled for it.
            schedule: which tasks are on at a step.
        """
        self.needs, self.schedule = dict(needs), schedule
        self._plan = None

    @property
    def plan(self) -> Plan:
        """Which images form the batch of a step.

        Raises:
            DataError: a task has no labelled image in the training split.
            ConfigError: the batch is too small for the tasks.
        """
        if self._plan is None:
            if self.schedule is None:
                raise RuntimeError("DataModule.bind must be called before training data is asked for.")
            self._plan = Plan(
                labelled={task: self.labelled_rows(self.train_rows, needs) for task, needs in self.needs.items()},
                schedule=self.schedule,
                batch_size=self.batch_size,
                labelled_per_batch=self.labelled_per_batch,
                seed=self.seed,
                num_images=len(self.train_rows),
            )
        return self._plan

    def train_dataloader(self) -> BatchLoader:
        """One epoch of the plan per iteration, from `start_step` on; this rank's share of every batch."""
        rank, world = self._place
        if self.batch_size % world:
            raise ConfigError(
                f"dataset.batch_size: found {self.batch_size} for {world} ranks; must be a multiple (it counts the "
                "images of all ranks together)."
            )
        return self._loader(_Epochs(self, rank, world), self.augment)

    def val_dataloader(self) -> BatchLoader | list[Any]:
        """The validation images; an empty list where there are none."""
        return self.eval_dataloader(self.val_rows) if len(self.val_rows) else []

    def test_dataloader(self) -> BatchLoader:
        """The images of `test_split`."""
        return self.eval_dataloader(self.rows(self.test_split))

    def eval_dataloader(self, rows: npt.NDArray[np.int64]) -> BatchLoader:
        """`rows` in their order, without augmentation, with their originals; rank r of w gets `rows[r::w]`."""
        sampler = Rows(rows, tuple(self.needs), self.eval_batch_size, *self._place)
        return self._loader(sampler, None)

    @property
    def _place(self) -> tuple[int, int]:
        """This process's rank, and the number of ranks."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def _loader(self, sampler: Sampler[Turn], augment: Augment | None) -> BatchLoader:
        dataset = TurnDataset(
            root=self.root, index=self.index, needs=self.needs, size=self.size, augment=augment, seed=self.seed
        )
        gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return BatchLoader(dataset, sampler, workers=self.workers, pin_memory=gpu)


class _Epochs(Sampler[Turn]):
    """This rank's turns, from `DataModule.start_step` to the end of its epoch; the next iteration goes on after it."""

    def __init__(self, data: DataModule, rank: int, world: int) -> None:
        self._data, self._rank, self._world = data, rank, world

    def __iter__(self) -> Iterator[Turn]:
        # A generator, so that nothing moves before the first turn is taken: torch's loader calls iter() twice.
        plan, first = self._data.plan, self._data.start_step
        end = (first // plan.steps_per_epoch + 1) * plan.steps_per_epoch
        self._data.start_step = end
        for step in range(first, end):
            yield plan.turn(step, self._rank, self._world)

    def __len__(self) -> int:
        return self._data.plan.steps_per_epoch
