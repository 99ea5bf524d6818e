"""A data set, which images its lists name, and which of them belong together."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl

from vjo_train.data import cuts
from vjo_train.data.index import Index
from vjo_train.data.list_files import images_in, is_list
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.split_names import meant
from vjo_train.data.sources.unlisted import regrouped
from vjo_train.errors import ConfigError

log = logging.getLogger("vjo_train")


class Listed(pl.LightningDataModule):
    """A data set and the images of its splits, by their ids.

    The attributes are those of `DataModule`, which sets them.
    """

    source: Source
    classes: tuple[str, ...]
    split: str
    val_fraction: float
    group: str | None
    cache: Path

    @property
    def folder(self) -> Path:
        """Where the data set lies."""
        raise NotImplementedError

    @cached_property
    def root(self) -> Path:
        """The folder of the data set."""
        return self.source.root(self.folder)

    @cached_property
    def index(self) -> Index:
        """All annotations."""
        return load_index(self.source, self.root, self.classes, self.cache)

    def groups(self, ids: Sequence[str]) -> dict[str, str] | None:
        """Image -> what it belongs to, by `dataset.group` or what the data say; None: every image is alone.

        Raises:
            DataError: `dataset.group` does not occur in an id.
        """
        if self.group is not None:
            return dict(zip(ids, cuts.group_names(ids, self.group), strict=True))
        known = self._told
        if known is None:
            return None
        rows = self.index.rows(ids).tolist()
        return {name: str(known[row]) if row >= 0 else name for name, row in zip(ids, rows, strict=True)}

    @cached_property
    def _lists(self) -> dict[str, list[str]]:
        """Split, or file of names -> its images; filled as they are asked for."""
        return {}

    def _in_list(self, file: str) -> list[str]:
        """The images of a list; the log counts names of none."""
        found, strangers = images_in(self.root / file, self.index.ids.tolist())
        if strangers:
            said = f"{len(strangers)} names are of no image of the data set, and left out, such as"
            log.warning("%s: %s '%s'.", self.root / file, said, strangers[0][:60])
        return found

    def _origin(self, split: str) -> str:
        """What says which images are in a split."""
        return str(self.root / split) if is_list(split) else self.source.split_name(self.root, split)

    def _listed(self, split: str) -> list[str]:
        """The images of a split, or of a text file that is named in its place; the files are looked through once.

        Raises:
            DataError: there is no such split; there are too few groups.
        """
        if split not in self._lists:
            self._lists[split] = self._in_list(split) if is_list(split) else self._in_split(split)
        return self._lists[split]

    def _in_split(self, split: str) -> list[str]:
        """The images of a split of the source.

        Where the source has shared images out, whole groups of them; and to those that are trained on go those for val,
        if val is cut off from them.

        Raises:
            DataError: there is no such split; there are too few groups.
        """
        ids = self.source.split(self.root, split)
        trained = split == self.split and self._is_cut_off("val")
        if not (trained or self._is_grouped):
            return ids
        made = self._made
        names = meant(split, made)
        with_val = trained and names == ["train"] and "val" in made
        if len(names) != 1 or not (with_val or self._is_grouped):
            return ids
        shared = list(dict.fromkeys(name for own in made.values() for name in own))
        groups = self.groups(shared)
        parts = made if groups is None else regrouped(made, groups)
        own = sorted([*parts["train"], *parts["val"]]) if with_val else parts[names[0]]
        free = set(shared)
        return [name for name in ids if name not in free] + own

    def _is_cut_off(self, split: str) -> bool:
        """Whether `split` is the part that was cut off for validation, for want of a list of that name."""
        return split == "val" and self.val_fraction > 0 and not self._has_val

    @cached_property
    def _has_val(self) -> bool:
        return self.source.has_split(self.root, "val")

    @cached_property
    def _made(self) -> dict[str, list[str]]:
        """See `Source.unlisted`."""
        return self.source.unlisted(self.root)

    @cached_property
    def _told(self) -> npt.NDArray[np.str_] | None:
        """See `Source.groups`."""
        return self.source.groups(self.index)

    @property
    def _is_grouped(self) -> bool:
        return self.group is not None or self._told is not None

    def _check_apart(self, splits: Sequence[str]) -> None:
        """Looks for images of the first of some splits in the others, where a list says some of them.

        Raises:
            ConfigError: there are some.
        """
        for split in splits[1:] if any(map(is_list, splits)) else ():
            if both := len({*self._listed(split)} & {*self._listed(splits[0])}):
                said = f"'{split}' has {both} images of '{splits[0]}', which is trained on; must have none of them"
                raise ConfigError(f"dataset.test_split, dataset.val_split: {said}. A list may be needed for each.")

    def _tell_separated(self, splits: Sequence[str]) -> None:
        """A warning where lists separate what belongs together: the first of `splits` from others."""
        self._check_apart(splits)
        found = {split: self._told_groups(self._listed(split)) for split in splits} if self._is_grouped else {}
        for split, own in list(found.items())[1:]:
            if both := sorted(own & found[splits[0]]):
                said = f"{len(both)} groups of images, such as '{both[0]}', are both in {splits[0]} and in {split}"
                log.warning("%s, as the lists of the data set say: figures on %s flatter.", said, split)

    def _told_groups(self, ids: Sequence[str]) -> set[str]:
        """The groups of images, but for ids in which `dataset.group` does not occur: it need not, in a test split."""
        pattern = self.group
        known = [name for name in ids if pattern is None or ((found := re.search(pattern, name)) and found[1])]
        return set((self.groups(known) or {}).values())
