"""Files that are either whole or absent."""

from __future__ import annotations

from pathlib import Path

from vjo_train.files import replacing


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes beside `path` (text as UTF-8) and then moves it into place, so that no reader meets half a file."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
