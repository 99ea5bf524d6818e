"""Lists of words, such as overrides."""

from __future__ import annotations

from collections.abc import Sequence

from vjo_train.errors import ConfigError


def listed(key: str, given: Sequence[str]) -> list[str]:
    """A list of words.

    Raises:
        ConfigError: it is one word.
    """
    if isinstance(given, str):
        raise ConfigError(f"{key}: found the text '{given}'; must be a list, such as ['{given}'].")
    return list(map(str, given))
