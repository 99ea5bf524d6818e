from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run side by side
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # more of them would be processes that import torch
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of busy machines
settings.load_profile("untimed")

Answer = tuple[int, str, str]
"""Exit status, standard output, standard error."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, then those with many, so that processes that share the files end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -counts[item.path]))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps the user's cache out of the tests."""
    os.environ["VJO_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _no_config_of_hydra() -> Iterator[None]:
    """Hydra keeps the config of the last run in this process, whose command line would be taken for a later run's."""
    yield
    if "hydra.core.hydra_config" in sys.modules:
        from hydra.core.hydra_config import HydraConfig

        HydraConfig.instance().cfg = None


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Runs a command of this program in this process, in an empty folder."""
    from vjo_train.cli import commands

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    known = {
        "vjo-train": commands.train,
        "vjo-eval": commands.evaluate,
        "vjo-predict": commands.predict,
        "vjo-export": commands.export,
        "vjo-data": commands.data,
        "vjo-report": commands.report,
        "vjo-tune": commands.tune,
    }

    def run(name: str, *words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", [name, *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            known[name]()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # it has left it to the end of the process
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return run
