from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.pool import Pool

import pytest

import tests.processes  # noqa: F401 - what its processes have imported


@pytest.fixture(scope="session")
def aside() -> Iterator[Pool]:
    """A process for OpenVINO: its converter and NNCF keep the streams that they find."""
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        yield pool
