"""Fetches PASCAL VOC 2007."""

from pathlib import Path


def fetch(folder: Path) -> None:
    """To come."""
    raise NotImplementedError
