"""MATLAB's files of PASCAL-Context: the map of 459 classes, and the parts of people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data.mat_files import read_mat
from vjo_train.data.sources.pascal_context.classes import PARTS, PERSON
from vjo_train.errors import DataError

_NUMBERS = {name: number for number, names in enumerate(PARTS.values(), 1) for name in names}


def label_map(path: Path, size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """[H, W] from 1 to 459, 0 for none.

    Raises:
        DataError: the file is missing, damaged, holds no `LabelMap`, or one of another size.
        ConfigError: SciPy, which reads it, is not installed.
    """
    found = np.asarray(_read(path, "LabelMap"))
    if found.shape != size or found.dtype.kind not in "ui":
        raise DataError(f"{path}: found a LabelMap of {found.dtype} {list(found.shape)}; must be whole {list(size)}.")
    return found.astype(np.int64)


def human_parts(path: Path) -> npt.NDArray[np.uint8] | None:
    """[H, W]: k for part k of `PARTS` from 1, 0 elsewhere; None where no person with parts is annotated.

    Raises:
        DataError: the file is missing, damaged, or not as the annotations of PASCAL-Part are.
        ConfigError: SciPy, which reads it, is not installed.
    """
    anno = _read(path, "anno")
    found: npt.NDArray[np.uint8] | None = None
    try:
        for person in (one for one in _items(anno.objects) if int(one.class_ind) == PERSON):
            for part in _items(person.parts):
                mask = np.asarray(part.mask, np.bool_)
                found = np.zeros(mask.shape, np.uint8) if found is None else found
                found[mask] = _NUMBERS[str(part.part_name)]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{path}: {error}; must hold `anno` as PASCAL-Part has it.") from error
    except KeyError as error:
        raise DataError(f"{path}: found the part {error}; allowed are {', '.join(_NUMBERS)}.") from error
    return found


def _items(node: Any) -> Iterator[Any]:
    """The structures of an array of them; SciPy gives a single one as it is, and an empty array for none."""
    yield from (node.ravel() if isinstance(node, np.ndarray) else [node])


def _read(path: Path, name: str) -> Any:
    content = read_mat(path, squeeze_me=True, struct_as_record=False)
    if name not in content:
        raise DataError(f"{path}: holds no `{name}`.")
    return content[name]
