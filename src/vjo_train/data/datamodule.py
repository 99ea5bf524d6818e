"""A data set as batches for training and evaluation."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Interval, Len
from torch.utils.data import Sampler

from vjo_train.config import rules
from vjo_train.data import download as archives
from vjo_train.data import kept_labels
from vjo_train.data.cache import cache_folder
from vjo_train.data.deep_pictures import as_span
from vjo_train.data.loading import BatchDataset, BatchLoader, Rows, workers_at_hand
from vjo_train.data.picture_cache import Ram
from vjo_train.data.plan import BatchPlan, CountedSchedule, Plan
from vjo_train.data.planned_splits import EpochSampler, PlannedSplits
from vjo_train.data.shapes import Shapes
from vjo_train.data.shared_memory import Slots
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.voc.source import VOC
from vjo_train.data.transforms import Augment
from vjo_train.data.unlabelled import PicturesPlan, UnlabelledPlan
from vjo_train.data.worker_watch import Watch
from vjo_train.errors import ConfigError
from vjo_train.files import locked
from vjo_train.types import canvas_of

log = logging.getLogger("vjo_train")
Side: TypeAlias = Annotated[int, Interval(ge=32, le=4096)]
"""Of a canvas in pixels."""


class DataModule(PlannedSplits):
    """Reads a data set from a source and serves it in batches.

    `prepare_data` writes files (once per machine), `setup` reads the index, `set_tasks` says for which tasks to load.

    Args:
        root: the folder of the data set, or one around it, such as the `VOCdevkit` above `VOC2007/`. None: a folder in
            the cache, for data that is drawn or downloaded.
        classes: class names; the order gives the labels and the indices 1.. of the class masks.
        split: that is trained on; as the others, also a text file below the root that lists images: `train.txt`.
        val_split: for validation, or None.
        val_fraction: share of `split` that is cut off for validation, drawn by `seed`; a `val_split` takes its place.
        test_split: for testing.
        size: of the canvas that pictures are scaled to fit on, in pixels: its side, or [height, width].
        batch_size: images per training step, over all ranks.
        eval_batch_size: images per step of an evaluation and rank; None: `batch_size`.
        workers: processes that load, at most as many as there are CPUs; 0: the main process, with the same result.
        labelled_per_batch: at least so many images of a batch are labelled for each task that is on.
        cache_dir: folder for the index and for drawn data; None: `$VJO_CACHE` or the platform's cache folder.
        augment: random changes of training images.
        download: fetch PASCAL VOC 2007 if it is not there.
        generate: draws the data set if it is not there; None for data that exists.
        fold: which fold of the size `val_fraction` validates, from 0: with 0.2 there are five, and every image is in
            one. None: a part that is drawn by `seed`.
        group: a regular expression that is looked for in images' ids; those for which its first group is the same
            text, such as a patient, are not separated where a part is cut off.
        labels: task -> a share (0.1) or a number (50) of its labelled training images; the others keep their picture,
            and are unlabelled for this task. None: all keep their labels.
        meta_fraction: share of `split` that is cut off, drawn by `seed`, for weightings that learn from images which do
            not train the network; it is cut off whether the weighting asks or not, so that others can be compared.
        cache: `ram` keeps decoded pictures of training and validation in memory, and masks that are needed, from the
            first time that they are read; the log says how much memory that takes. `none` decodes them every time.
        on_bad_image: what to do with an image whose files are broken: `error` stops before training with one report
            of all of them, `skip` leaves them out.
        repeat_threshold: images of classes that less than this share of the training images show come more often by
            their `repeat_factors`; an epoch has as many steps as before. None: equally often.
        source: the layout of the data set on disk; None: the devkit's.
        range: what is black and white in pictures of more than 8 bits a colour; None: by each file's own values.
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
        size: Side | tuple[Side, Side],
        batch_size: Annotated[int, Ge(1)],
        eval_batch_size: Annotated[int, Ge(1)] | None,
        workers: Annotated[int, Ge(0)],
        labelled_per_batch: Annotated[int, Ge(1)],
        cache_dir: str | None,
        augment: Augment,
        download: bool = False,
        generate: Shapes | None = None,
        meta_fraction: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        cache: Literal["none", "ram"] = "none",
        on_bad_image: Literal["error", "skip"] = "error",
        fold: Annotated[int, Ge(0)] | None = None,
        group: str | None = None,
        labels: Mapping[str, Annotated[int, Ge(1)] | Annotated[float, Interval(gt=0, le=1)]] | None = None,
        repeat_threshold: Annotated[float, Interval(gt=0, le=1)] | None = None,
        source: Source | None = None,
        range: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.source, self.classes = source or VOC(), tuple(classes)
        self.root_key, self.split, self.val_split, self.test_split = root, split, val_split, test_split
        self.val_fraction, self.meta_fraction = 0.0 if val_split is not None else val_fraction, meta_fraction
        self.canvas, self.workers = canvas_of(size), workers_at_hand(workers)
        self.fold, self.group, self.labels = fold, group, dict(labels or {})
        self.repeat_threshold = repeat_threshold
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.labelled_per_batch, self.cache = labelled_per_batch, cache_folder(cache_dir)
        self.augment, self.download, self.generate, self.seed = augment, download, generate, seed
        self.keep, self.on_bad_image, self.span = cache, on_bad_image, as_span(range)
        self.skipped: dict[str, int] = {}
        self.needs: dict[str, frozenset[str]] = {}
        self.planned: dict[str, frozenset[str]] = {}
        self.keep_unlabelled = True
        self.schedule: CountedSchedule | None = None
        self.meta_tasks: tuple[str, ...] = ()
        self.meta_every = 1
        self.start_step = self.unlabelled_per_step = self.pictures_per_step = 0
        self._plan: Plan | None = None
        self._meta_plan: Plan | None = None
        self._unlabelled_plan: UnlabelledPlan | None = None
        self._pictures_plan: PicturesPlan | None = None
        self._watches: list[Watch] = []
        self._ram: Ram | None = None
        self._verdicts: dict[str, str] = {}
        self._check_keys()

    def _check_keys(self) -> None:
        rules.check_dataset(
            classes=self.classes,
            split=self.split,
            val_split=self.val_split,
            root=self.root_key,
            made=self.generate is not None or self.download,
        )
        rules.check_cuts(val_split=self.val_split, val_fraction=self.val_fraction, fold=self.fold, group=self.group)
        if self.generate is not None:
            self.generate.check_classes(self.classes)

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
            with locked(self.cache / "download.lock", wait=True):
                archives.fetch(self.folder)

    def setup(self, stage: str | None = None) -> None:
        """Reads the index and looks into every file in use; a second call does next to nothing.

        Args:
            stage: `test` for the images of `test_split`, `fit` for all, None for all but those.

        Raises:
            DataError: faulty images, in one report, unless `on_bad_image` is `skip`; a split without sound images.
            ConfigError: what `cache=ram` keeps does not fit into memory.
        """
        splits = [] if stage == "test" else [self.split, *([self.val_split] if self.val_split else [])]
        splits += [self.test_split] if stage in ("fit", "test") else []
        self._judge(splits)
        for split in splits:
            self.rows(split)
        self._tell_separated(splits)
        if stage != "test":
            _ = self.meta_rows
            self._keep_in_memory()

    def _keep_in_memory(self) -> None:
        """Takes the memory that `cache=ram` needs; once."""
        if self.keep == "none" or self._ram is not None:
            return
        kinds = frozenset[str]().union(*self.needs.values())
        maps = {kind: values for kind, values in self.source.maps.items() if kind in kinds}
        rank, world = self._place
        # Every epoch deals the images of training anew, to any rank; those of the validation stay where they are.
        rows = np.unique(np.concatenate([self.train_rows, self.meta_rows, self.val_rows[rank::world]]))
        ram = Ram(self.index, rows, maps, self.canvas)
        ram.reserve(self.trainer.num_devices if self.trainer is not None else 1)
        self._ram = ram

    # What is served

    def set_tasks(
        self,
        needs: Mapping[str, frozenset[str]],
        schedule: CountedSchedule,
        *,
        planned: Mapping[str, frozenset[str]] | None = None,
        keep_unlabelled: bool = True,
        meta_tasks: Sequence[str] = (),
        meta_every: int = 1,
        unlabelled_per_step: int = 0,
        pictures_per_step: int = 0,
    ) -> None:
        """Says for which tasks to load.

        Args:
            needs: task -> the kinds of label that make an image labelled for it.
            schedule: which tasks are on at a step.
            planned: the same for all tasks that the batches are made for; None: those of `needs`.
            keep_unlabelled: see `Plan`.
            meta_tasks: the tasks that batches of the meta split are labelled for; empty for no such batches.
            meta_every: steps from one of them to the next.
            unlabelled_per_step: images that go with a step because they lack a label, over all ranks.
            pictures_per_step: images that go with a step without labels, over all ranks.

        Raises:
            ConfigError: the source does not give a kind that is needed; batches of the meta split are asked for, and
                there is none; `labels` names another task.
        """
        if meta_tasks and self.meta_fraction == 0:
            raise ConfigError(
                "dataset.meta_fraction: found 0, but this weighting learns from images that do not train the network;"
                " must be above 0, such as 0.1."
            )
        rules.check_kinds(planned or needs, [kind.name for kind in self.source.kinds])
        self.needs, self.schedule = dict(needs), schedule
        self.planned = dict(needs if planned is None else planned)
        kept_labels.check_tasks(self.labels, self.planned)
        self.keep_unlabelled, self.unlabelled_per_step = keep_unlabelled, unlabelled_per_step
        self.pictures_per_step = pictures_per_step
        self.meta_tasks, self.meta_every = tuple(meta_tasks), meta_every
        self._plan = self._meta_plan = self._unlabelled_plan = self._pictures_plan = self._ram = None
        self._verdicts = {}  # other tasks may need other files

    def train_dataloader(self) -> BatchLoader:
        """One epoch of the plan per iteration, from `start_step` on; this rank's share of every batch."""
        rank, world = self._place
        if self.batch_size % world:
            raise ConfigError(
                f"dataset.batch_size: found {self.batch_size} for {world} ranks; must be a multiple (it counts the "
                "images of all ranks together)."
            )
        return self._loader(EpochSampler(self, rank, world), self.augment, self.batch_size // world)

    def val_dataloader(self) -> BatchLoader | list[Any]:
        """The validation images; an empty list where there are none."""
        return self.eval_dataloader(self.val_rows) if len(self.val_rows) else []

    def test_dataloader(self) -> BatchLoader:
        """The images of `test_split`."""
        return self.eval_dataloader(self.rows(self.test_split))

    def eval_dataloader(self, rows: npt.NDArray[np.int64], *, alone: bool = False) -> BatchLoader:
        """`rows` in their order, without augmentation, with their originals.

        Args:
            rows: of the index.
            alone: whether this rank gets all of them; else rank r of w gets `rows[r::w]`.
        """
        sampler = Rows(rows, tuple(self.needs), self.eval_batch_size, *((0, 1) if alone else self._place))
        return self._loader(sampler, None, self.eval_batch_size)

    def under_way(self, pid: int) -> Path | None:
        """The last image that the loading process `pid` took up, where that is known."""
        rows = [row for watch in self._watches if (row := watch.image_of(pid)) is not None]
        return self.index.image(self.root, rows[0]) if rows else None

    def _loader(self, sampler: Sampler[BatchPlan], augment: Augment | None, batch_size: int) -> BatchLoader:
        watch = Watch(self.workers)
        self._watches.append(watch)
        dataset = BatchDataset(
            source=self.source,
            root=self.root,
            index=self.index,
            needs=self.needs,
            canvas=self.canvas,
            augment=augment,
            seed=self.seed,
            watch=watch,
            slots=Slots(self.workers, batch_size, self.canvas),
            ram=self._ram,
            span=self.span,
            kept=None if augment is None else self.labels_shown(),
        )
        gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return BatchLoader(dataset, sampler, workers=self.workers, pin_memory=gpu)
