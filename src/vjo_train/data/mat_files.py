"""MATLAB's files, which SciPy reads: the extra `mat`."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.errors import ConfigError, DataError

SUFFIX = ".mat"
_BROKEN = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, NameError, OverflowError, MemoryError),
    *(struct.error, zlib.error),
)
"""What SciPy's reader raises for a damaged file."""


def is_mat(name: Path | str) -> bool:
    """Whether a file of that name is taken for one of MATLAB's."""
    return str(name).lower().endswith(SUFFIX)


def read_mat(path: Path, **options: Any) -> dict[str, Any]:
    """Name -> variable, as `scipy.io.loadmat` gives it with these options.

    Raises:
        DataError: the file is missing or damaged, or HDF5, as MATLAB 7.3 writes it.
        ConfigError: SciPy is not installed.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise ConfigError(f"{path}: needs SciPy, which is not installed; pip install 'vjo-train[mat]'.") from error
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DataError(f"{path}: is no regular file; must be a MATLAB file.")
    try:
        content: dict[str, Any] = loadmat(path, **options)
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing.") from None
    except NotImplementedError as error:
        raise DataError(f"{path}: found MATLAB 7.3, which is HDF5; must be an older version: save('-v7').") from error
    except (MatReadError, *_BROKEN) as error:
        raise DataError(f"{path}: damaged or no MATLAB file ({error}).") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def read_matrix(path: Path, variable: str | None = None) -> npt.NDArray[Any]:
    """[H, W] of a real type.

    Args:
        path: the file.
        variable: the name of the matrix; None: it is the only variable of the file.

    Raises:
        DataError: as `read_mat`; there is no such variable, or several without a name, or it is no matrix of numbers.
        ConfigError: SciPy is not installed.
    """
    content = read_mat(path, variable_names=None if variable is None else [variable])
    if variable is None and len(content) == 1:
        (variable,) = content
    if variable not in content:
        there = ", ".join(sorted(content if variable is None else read_mat(path))) or "none"
        said = "several variables" if variable is None else f"no variable '{variable}'"
        raise DataError(f"{path}: found {said}: {there}; dataset.source.variable (masks, instances) names the map.")
    found = np.asarray(content[variable])
    if found.ndim != 2 or not found.size or found.dtype.kind not in "buif":
        raise DataError(
            f"{path}: found '{variable}', {found.dtype} of shape {list(found.shape)}; must be numbers [height, width]."
        )
    return found
