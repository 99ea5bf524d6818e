from __future__ import annotations

import math

import pytest
import torch

from tests.heads.detection import cases
from vjo_train.errors import ConfigError
from vjo_train.heads.classification import Classification, classification_loss
from vjo_train.types import Target

CHANNELS = {"c4": 8, "c5": 16}


def head(**options: object) -> Classification:
    torch.manual_seed(0)
    return Classification(channels=CHANNELS, num_classes=3, **options)


def features(batch: int) -> dict[str, torch.Tensor]:
    return {"c5": torch.randn(batch, 16, 3, 3, generator=torch.Generator().manual_seed(1))}


def target(classes: list[int], labelled: bool = True) -> Target:
    known = {"classes": torch.tensor(classes, dtype=torch.int8)} if labelled else {}
    return Target((32, 32), known)


def test_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 2.0, -1.0], [3.0, 0.0, 0.0]])
    labels = torch.tensor([[1, -1, 0], [0, 0, 0]])
    by_hand = (math.log(2) + math.log(1 + math.exp(2))) / 2  # the third class does not count
    assert classification_loss(logits, labels).tolist() == pytest.approx([by_hand, 0])


def test_loss_of_a_batch_is_that_of_its_images() -> None:
    model, maps = head(dropout=0.0), features(3)
    targets = [target([1, -1, 0]), target([1, 1, 1], labelled=False), target([-1, -1, -1])]
    together = model.loss(model(maps), targets)
    alone = [model.loss(model({"c5": maps["c5"][i : i + 1]}), [targets[i]])[0] for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone))
    assert together.dtype == torch.float32
    assert together[1] == 0
    assert together[2] > 0


def test_difficult_classes_and_unlabelled_images_have_no_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    head().loss(logits, [target([1, 0, -1]), target([1, 1, 1], labelled=False)]).sum().backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-0.25, 0, 0.25], [0, 0, 0]]


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 1e4]], requires_grad=True)
    loss = head().loss(logits, [target([-1, 1, 1])])
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_probabilities_of_each_image() -> None:
    logits = torch.tensor([[0.0, 2.0, -2.0]])
    targets = [target([1, -1, -1])]
    (found,) = head().decode(logits, cases.batch(targets, [1.0], targets))
    assert found.tolist() == pytest.approx([0.5, 0.880797, 0.119203], abs=1e-6)


@pytest.mark.parametrize("pool", ["average", "max"])
def test_pooling(pool: str) -> None:
    model, maps = head(pool=pool, dropout=0.0), features(2)
    cells = maps["c5"].flatten(2)
    pooled = cells.mean(2) if pool == "average" else cells.max(2).values
    torch.testing.assert_close(model(maps), model.linear(pooled))


def test_figures_leave_out_difficult_classes_and_unlabelled_images() -> None:
    model = head()
    collector = model.metrics()
    scores = [torch.tensor([0.9, 0.1, 0.8]), torch.tensor([0.2, 0.7, 0.9]), torch.tensor([0.95, 0.95, 0.95])]
    targets = [target([1, -1, 1]), target([-1, 1, 0]), target([-1, -1, -1], labelled=False)]
    collector.update(scores, targets)
    values = collector.compute()
    assert values["map"] == pytest.approx(1)
    assert values["map_voc07"] == pytest.approx(1)
    assert {name: tuple(values[name].shape) for name in collector.per_class} == {"ap_voc07": (3,), "ap": (3,)}
    collector.reset()
    collector.update([torch.tensor([0.1, 0.1, 0.1])], targets[2:])
    assert bool(collector.compute()["map"].isnan())


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"heads\.classification\.level: found p9; allowed .* c4, c5"):
        head(level="p9")
