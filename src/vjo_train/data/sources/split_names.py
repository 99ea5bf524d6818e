"""Names of splits that mean the same."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ALIKE = ({"val", "valid", "validation"}, {"train", "training"}, {"test", "testing"})


def meant(split: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that a user may mean by `split`: itself alone, else `valid` or `val2017` for `val`."""
    known = list(names)
    if split in known:
        return [split]
    alike = next((alike for alike in _ALIKE if split in alike), {split})
    return [name for name in known if any(re.fullmatch(rf"{re.escape(other)}[-_]?\d*", name) for other in alike)]
