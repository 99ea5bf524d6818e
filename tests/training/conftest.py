from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.test_run import train


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is made of the drawn images, once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def undisturbed(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a miniature run with the given overrides, which nothing stopped; each is trained once."""

    @functools.cache
    def folder(*overrides: str) -> Path:
        return train(cache, tmp_path_factory.mktemp("undisturbed") / "run", *overrides)

    return folder
