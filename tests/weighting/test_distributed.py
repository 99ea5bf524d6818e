"""Two processes, each with half of the batch, do what one does with all of it, for every method."""

from __future__ import annotations

import pytest
import torch
from torch import distributed

from tests.processes import run_ranks

from .tiny import METHODS, TASKS, Net, gradients, images, is_gradient, make

VARIANTS = [(name, {}) for name in METHODS]
JOINT = [("pcgrad", {"at": at}) for at in ("parameters", "features")] + [("upgrad", {"every": 2}), ("graddrop", {})]
"""Run on a net where two tasks are the losses of one head."""
VARIANTS += [("pcgrad", {"at": at}) for at in ("features", "last_shared")]
VARIANTS += [("upgrad", {"every": 2}), ("mgda", {"at": "features", "every": 2}), ("equal", {"diagnose_every": 1})]

# In the second batch, task c is labelled on rank 1 alone; in the third, task b is absent everywhere.
MASKS = [torch.ones(3, 4), torch.tensor([[1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 0, 1.0]]), torch.ones(3, 4)]
PRESENT = [TASKS, TASKS, ("a", "c"), TASKS]


def run(name, options, rank=None, joint=False):
    """Weights and gradients of four batches; rank r of two has the images [r::2]."""
    net, weighting = Net(joint=joint), make(name, **options)
    history = []
    for number, tasks in enumerate(PRESENT):
        for p in (*net.parameters(), *weighting.parameters()):
            p.grad = None
        share = slice(None) if rank is None else slice(rank, None, 2)
        mask = MASKS[number] if number < 3 else None
        step = net.step(images(number), tasks=tasks, share=share, number=number, epoch=number, mask=mask, factor=8.0)
        step.auxiliary = net.trunk[0].bias.sum() / (1 if rank is None else 2)
        weights = {t: float(w) for t, w in weighting.backward(step).items()}
        own = [None if p.grad is None else p.grad.clone() for p in weighting.parameters()]
        history.append((weights, gradients(net), own, dict(weighting.diagnostics)))
        with torch.no_grad():
            for p in net.parameters():
                p -= 0 if p.grad is None else 0.01 * p.grad / 8
    return history


def worker(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    runs = [run(name, options, rank) for name, options in VARIANTS]
    torch.save(runs + [run(name, options, rank, joint=True) for name, options in JOINT], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(worker, str(folder))
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


IDS = ["-".join([n, *map(str, o.values())]) for n, o in VARIANTS + JOINT]


@pytest.mark.slow
@pytest.mark.parametrize("case", range(len(IDS)), ids=IDS)
def test_two_processes_equal_one(both, case):
    name, options = (VARIANTS + JOINT)[case]
    expected = run(name, options, joint=case >= len(VARIANTS))
    for found in (history[case] for history in both):
        for (w1, g1, o1, d1), (w2, g2, o2, d2) in zip(found, expected, strict=True):
            assert w1 == pytest.approx(w2, rel=1e-5, abs=1e-5)
            assert d1 == pytest.approx(d2, rel=1e-4, abs=1e-5)
            for key, value in g2.items():
                assert (value is None) == (g1[key] is None), key
                if value is not None:
                    torch.testing.assert_close(g1[key], value, rtol=1e-5, atol=8e-5, msg=lambda m, k=key: f"{k}: {m}")
            for a, b in zip(o1, o2, strict=True):
                torch.testing.assert_close(a, b)
    for one, two in zip(both[0][case], both[1][case], strict=True):
        assert one[0] == two[0]  # the ranks agree to the bit
        assert all(a is b is None or torch.equal(a, b) for a, b in zip(one[1].values(), two[1].values(), strict=True))


def test_every_method_is_covered():
    assert {name for name, _ in VARIANTS} == set(METHODS)
    assert any(is_gradient(name) for name in METHODS)
