"""Which images train, validate and test, and what each of them is labelled for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.config import rules
from vjo_train.data import cuts, file_checks
from vjo_train.data.deep_pictures import Span, told
from vjo_train.data.labels.base import Kind
from vjo_train.data.listed import Listed
from vjo_train.errors import ConfigError, DataError

log = logging.getLogger("vjo_train")


MAPS_COUNTED = 1000
"""How many class maps are read to learn how frequent the classes are."""


class Splits(Listed):
    """A data set and its splits, as rows of the index; nothing is loaded here.

    The attributes are those of `DataModule`, which sets them.
    """

    val_split: str | None
    meta_fraction: float
    fold: int | None
    test_split: str
    seed: int
    on_bad_image: str
    span: Span | None
    skipped: dict[str, int]
    """Split -> images that were left out."""
    needs: dict[str, frozenset[str]]
    """Task -> the kinds of label that make an image labelled for it."""
    _verdicts: dict[str, str]
    """Image -> what is wrong with its files; empty for nothing."""

    def take_as_sound(self) -> None:
        """Takes all images whose annotation can be read for sound, for those who look into the files themselves."""
        broken = dict(zip(self.index.faulty.tolist(), self.index.faults.tolist(), strict=True))
        self._verdicts = {str(name): broken.get(row, "") for row, name in enumerate(self.index.ids)}

    def _judge(self, splits: Sequence[str]) -> None:
        """Looks into the files of the images of some lists that were not looked into yet."""
        lists = dict.fromkeys(self.split if self._is_cut_off(split) else split for split in splits)
        source, root = self.source, self.root
        named = {name: self._origin(split) for split in lists for name in self._listed(split)}
        new = {name: origin for name, origin in named.items() if name not in self._verdicts}
        kinds = frozenset[str]().union(*self.needs.values())
        found = file_checks.faults(source, root, self.index, new, kinds, self.cache, self.span) if new else {}
        self._verdicts |= {name: found.get(name, "") for name in new}
        self._tell_depth(new)
        if found:
            report = file_checks.report(found, len(new), self.cache)
            if self.on_bad_image == "error":
                raise DataError(f"{report}\nMend them, or set dataset.on_bad_image=skip to leave these images out.")
            log.warning("%s\nThey are left out (dataset.on_bad_image=skip).", report)

    def _tell_depth(self, names: Iterable[str]) -> None:
        """A line of the log if the first of some pictures has more than 8 bits a colour."""
        for row in self.index.rows(list(names)[:1]).tolist():
            if row >= 0 and (said := told(self.index.image(self.root, row), self.span)):
                log.info(said)

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.classes)

    def split_rows(self, split: str) -> npt.NDArray[np.int64]:
        """The sound images of a split of the source, as rows of the index, in its order.

        Raises:
            DataError: some are not sound, unless `on_bad_image` is `skip`; none is.
        """
        self._judge([split])
        ids = self._listed(split)
        sound = [name for name in ids if not self._verdicts[name]]
        if len(sound) < len(ids):
            self.skipped[split] = len(ids) - len(sound)
        if not sound:
            raise DataError(f"{self._origin(split)}: none of its {len(ids)} images is sound.")
        return self.index.rows(sound)

    @cached_property
    def _cut(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The rows of `split`, and those for validation, with none in common."""
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
        if self.fold is not None:
            return self._cut_fold(rows, self.fold)
        number = round(len(rows) * self.val_fraction)
        return self._cut_off(rows, number, b"validation", f"dataset.val_fraction: {self.val_fraction}")

    @cached_property
    def _held_out(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The rows that train the network, and those of the meta split."""
        rows = self._cut[0]
        if self.meta_fraction == 0:
            return rows, rows[:0]
        number = round(len(self.split_rows(self.split)) * self.meta_fraction)
        return self._cut_off(rows, number, b"meta", f"dataset.meta_fraction: {self.meta_fraction}")

    def _cut_off(
        self, rows: npt.NDArray[np.int64], number: int, stream: bytes, found: str
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What is left of `rows`, and `number` of them (at least one), drawn by the seed; both in their order."""
        rng = np.random.default_rng([self.seed, *stream])
        is_cut = cuts.cut(self._groups(rows), max(1, number), rng)
        if is_cut.all():
            raise ConfigError(f"{found} of '{self.split}' leaves none of {len(rows)} images to train on; must be less.")
        return rows[~is_cut], rows[is_cut]

    def _cut_fold(self, rows: npt.NDArray[np.int64], fold: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What is left of `rows`, and the images of one fold; the same folds whatever the fold."""
        groups, count = self._groups(rows), rules.folds(self.val_fraction)
        if len(np.unique(groups)) < count:
            raise ConfigError(
                f"dataset.val_fraction: {self.val_fraction} makes {count} folds of '{self.split}', which has"
                f" {len(np.unique(groups))} groups of images; there must be at least one for each."
            )
        is_cut = cuts.folds(groups, count, np.random.default_rng([self.seed, *b"folds"])) == fold
        return rows[~is_cut], rows[is_cut]

    def _groups(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[I]: which of some images belong together, by numbers."""
        ids = self.index.ids[rows].tolist()
        groups = self.groups(ids)
        if groups is None:
            return np.arange(len(rows))
        return np.unique([groups[name] for name in ids], return_inverse=True)[1].astype(np.int64)

    @property
    def train_rows(self) -> npt.NDArray[np.int64]:
        """The images that are trained on."""
        return self._held_out[0]

    @property
    def meta_rows(self) -> npt.NDArray[np.int64]:
        """The images of the meta split, which never train the network; may be none."""
        return self._held_out[1]

    @property
    def val_rows(self) -> npt.NDArray[np.int64]:
        """The images of the validation; may be none."""
        return self._cut[1]

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """The images of any split; `val` is the part that was cut off where there is no such list."""
        if self._is_cut_off(split):
            return self.val_rows
        return self.split_rows(split)

    def fingerprint(self, split: str) -> str:
        """16 hexadecimal digits that change with the images' sizes in bytes and annotations of a split."""
        return self.index.fingerprint(self.rows(split))

    def labelled_rows(self, rows: npt.NDArray[np.int64], needs: frozenset[str]) -> npt.NDArray[np.int64]:
        """Those of `rows` that are labelled with every kind in `needs`."""
        chosen = np.ones(len(rows), np.bool_)
        for kind in sorted(needs):
            chosen &= self.index.labelled[kind][rows]
        return rows[chosen]

    def count(self, rows: npt.NDArray[np.int64]) -> dict[str, int]:
        """How many `images` there are, and how many of them are labelled for each task."""
        labelled = {task: len(self.labelled_rows(rows, needs)) for task, needs in self.needs.items()}
        return {"images": len(rows), **labelled}

    def describe(self, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
        """Counts: images, objects, difficult, and per kind the labelled images, per class the images and objects.

        Difficult objects are counted apart, and a region that is ignored for every class once.
        """
        index = self.index
        owner = np.repeat(np.arange(len(index)), np.diff(index.offsets))
        inside, ignored = np.isin(owner, rows), index.difficult
        pairs = self.shown(rows)
        objects = np.bincount(index.labels[inside & ~ignored], minlength=self.num_classes)
        regions = np.concatenate([owner[:, None], index.boxes], axis=1)[inside & ignored]
        images = np.bincount(pairs[:, 1], minlength=self.num_classes)
        return {
            "images": len(rows),
            "objects": int((inside & ~ignored).sum()),
            "difficult": len(np.unique(regions, axis=0)),
            "without_objects": int((np.diff(index.offsets)[self._with_boxes(rows)] == 0).sum()),
            "labelled": {kind.name: int(index.labelled[kind.name][rows].sum()) for kind in self.source.kinds},
            "images_per_class": dict(zip(self.classes, images.tolist(), strict=True)),
            "objects_per_class": dict(zip(self.classes, objects.tolist(), strict=True)),
        }

    def shown(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[P, 2] pairs, each once, of one of `rows` and a class that its objects or other labels name.

        Difficult objects show nothing.
        """
        owner = np.repeat(np.arange(len(self.index)), np.diff(self.index.offsets))
        inside = np.isin(owner, rows) & ~self.index.difficult
        said = np.array(self._said(rows), np.int64).reshape(-1, 2)
        own = np.stack([owner[inside], self.index.labels[inside]], axis=1)
        return np.unique(np.concatenate([own, said]), axis=0).astype(np.int64)

    def images_per_class(self, rows: npt.NDArray[np.int64]) -> dict[str, int]:
        """Class -> how many of `rows` show it."""
        images = np.bincount(self.shown(rows)[:, 1], minlength=self.num_classes)
        return dict(zip(self.classes, images.tolist(), strict=True))

    def scales(self, rows: npt.NDArray[np.int64]) -> dict[str, tuple[float, float]]:
        """Class -> mean and standard deviation of the numbers that labels of `rows` say by its name; NaN of none."""
        found = [np.full((1, self.num_classes), np.nan)]
        for kind in self.source.kinds:
            if type(kind).figures is not Kind.figures:
                own = rows[self.index.labelled[kind.name][rows]].tolist()
                raws = (self.source.read(self.root, self.index, row, kind.name) for row in own)
                found += [figures[None] for raw in raws if (figures := kind.figures(raw)) is not None]
        columns = [column[~np.isnan(column)] for column in np.concatenate(found).T]
        pairs = [(float(some.mean()), float(some.std())) if len(some) else (np.nan, np.nan) for some in columns]
        return dict(zip(self.classes, pairs, strict=True))

    def pixels_per_index(
        self, rows: npt.NDArray[np.int64], kind: str, most: int = MAPS_COUNTED
    ) -> npt.NDArray[np.int64]:
        """[256] how many pixels of the maps of `rows` have each index; of more than `most`, of these, evenly chosen."""
        chosen = cuts.evenly(rows[self.index.labelled[kind][rows]], most)
        counts = np.zeros(256, np.int64)
        for row in chosen.tolist():
            found = np.asarray(self.source.read(self.root, self.index, row, kind))
            counts += np.bincount(found.reshape(-1), minlength=256)
        return counts

    def _said(self, rows: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
        """Pairs of a row and a class that labels name without objects."""
        pairs = []
        for kind in self.source.kinds:
            if type(kind).shown is Kind.shown:
                continue
            for row in rows[self.index.labelled[kind.name][rows]].tolist():
                labels = kind.shown(self.source.read(self.root, self.index, row, kind.name))
                if labels is None:
                    break  # as of all other images
                pairs += [(row, label) for label in labels]
        return pairs

    def _with_boxes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of `rows` whose objects are known."""
        return rows[self.index.labelled["boxes"][rows]] if "boxes" in self.index.labelled else rows[:0]
