"""The configs of this program, as files. Imports next to nothing: the help pages wait for it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path


def folder() -> Path:
    """Where they lie."""
    return Path(next(iter(importlib.import_module("vjo_train.conf").__path__)))


def described(word: str, group: str, choices: Iterable[str]) -> list[str]:
    """Those of a group's choices whose first line has a word, whatever its case: `AMTN` stands in `adversarial`."""
    wanted = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    files = [(name, folder() / group / f"{name}.yaml") for name in choices]
    texts = {name: file.read_text(encoding="utf-8").partition("\n")[0] for name, file in files if file.is_file()}
    return [name for name, text in texts.items() if wanted.search(text)]
