"""Two processes, each with half of the images, train to the weights of one with all of them, for every way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny
from tests.processes import free_port, run_ranks
from tests.sharing.test_every_way import assert_close, part
from tests.sharing.ways import LABELLED, NO_BATCH_NORM, THREE
from tests.training.test_module import fit
from vjo_train.training.module import MultiTaskModule
from vjo_train.training.strategy import SummedGradients
from vjo_train.weighting.pcgrad import PCGrad

# In the second batch rank 0 has all of the masks; in the third one task is on.
BATCHES = [
    tiny.batch(tasks=THREE, labelled=[frozenset({"classes", "boxes", "semantic"})] * 4, step=0),
    tiny.batch(tasks=THREE, labelled=[names - {"masks"} for names in LABELLED], step=1),
    tiny.batch(tasks=("detection",), step=2),
]
WAYS = sorted(set(NO_BATCH_NORM) - {"hard"})  # which tests/test_run.py trains on two ranks
CASES = [(way, weighting) for way in WAYS for weighting in ("equal", "pcgrad")]


def train(way: str, weighting: str, folder: Path, rank: int | None = None) -> tuple[MultiTaskModule, dict[str, Any]]:
    """Three steps; rank r of two has the images [r::2]."""
    chosen = PCGrad(tasks=THREE, seed=0) if weighting == "pcgrad" else None
    module = tiny.module(THREE, sharing=NO_BATCH_NORM[way], weighting=chosen)
    mine = BATCHES if rank is None else [part(batch, slice(rank, None, 2), batch.step) for batch in BATCHES]
    flags: dict[str, Any] = {"devices": 2, "strategy": SummedGradients(), "use_distributed_sampler": False}
    fit(module, mine, folder, **({} if rank is None else flags))
    figures = {k: float(v) for k, v in module.trainer.callback_metrics.items() if k.startswith("train/sharing/")}
    return module, figures


def worker(rank: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "tests",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
    }
    found = {case: train(*case, Path(folder), rank) for case in CASES}
    torch.save({case: (m.state_dict(), figures) for case, (m, figures) in found.items()}, f"{folder}/{rank}.pt")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(worker, str(folder), free_port())
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("way", "weighting"), CASES)
def test_two_processes_are_one(both: list[Any], way: str, weighting: str, tmp_path: Path) -> None:
    expected, figures = train(way, weighting, tmp_path)
    for state, logged in (ranks[way, weighting] for ranks in both):
        other = tiny.module(THREE, sharing=NO_BATCH_NORM[way])
        other.sharing.load_state_dict({k[8:]: v for k, v in state.items() if k.startswith("sharing.")})
        other.heads.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("heads.")})
        # An expert that sees an image alone sums in another order.
        assert_close(other, expected, atol=4e-6 if way == "routed" else 2e-6)
        assert logged == pytest.approx(figures, rel=1e-4)
    one, two = (ranks[way, weighting][0] for ranks in both)
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
