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
    means = [result[name] for result in one[0] for name in ("map", "map_masks", "miou") if name in result]
    assert len(means) == len(one[0])
    assert all(0 < mean < 1 for mean in means)
    for rank in range(ranks.RANKS):
        two = torch.load(tmp_path / f"{rank}")
        torch.testing.assert_close(two, one, rtol=0, atol=0, equal_nan=True)
