"""Two gloo processes give what one gives, equal scores included."""

import subprocess
import sys
from pathlib import Path

import torch

from tests.metrics import ranks


def test_two_ranks_equal_one(tmp_path):
    rendezvous = (tmp_path / "rendezvous").as_uri()
    script = str(Path(ranks.__file__))
    processes = [
        subprocess.Popen([sys.executable, script, str(rank), rendezvous, str(tmp_path / f"{rank}")])
        for rank in range(ranks.RANKS)
    ]
    one = [ranks.evaluate(images) for images in ranks.IMAGES]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert all(0 < result["map"] < 1 for result in one[0])
    for rank in range(ranks.RANKS):
        two = torch.load(tmp_path / f"{rank}")
        torch.testing.assert_close(two, one, rtol=0, atol=0, equal_nan=True)
