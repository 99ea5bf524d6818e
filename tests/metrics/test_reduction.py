"""Two gloo processes give what one gives, equal scores included."""

import torch

from tests.metrics import ranks
from tests.processes import run_ranks


def test_two_ranks_equal_one(tmp_path):
    run_ranks(ranks.worker, str(tmp_path))
    one = [ranks.evaluate(images) for images in ranks.IMAGES]
    means = [
        result[name]
        for result in one[0]
        for name in ("map", "map_masks", "miou", "a", "top1", "f_max", "mae", "pq", "ods_f")
        if name in result
    ]
    assert len(means) == len(one[0])
    assert all(0 < mean <= 1 for mean in means)
    for rank in range(ranks.RANKS):
        two = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(two, one, rtol=0, atol=0, equal_nan=True)
