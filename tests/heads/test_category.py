"""The one class of an image."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from vjo_train.errors import ConfigError
from vjo_train.heads.category import Category
from vjo_train.heads.label_space import LabelSpace
from vjo_train.types import OTHER, Target


def head(classes: int = 4, **options: object) -> Category:
    torch.manual_seed(0)
    return Category(channels={"c5": 8}, num_classes=classes, dropout=0.0, **options)  # type: ignore[arg-type]


def target(label: int | None) -> Target:
    return Target((4, 4), {} if label is None else {"category": torch.tensor(label)})


def test_the_loss_is_one_at_the_start_whatever_the_number_of_classes() -> None:
    for classes in (2, 10, 1000):
        assert float(head(classes).loss(torch.zeros(1, classes), [target(1)])) == pytest.approx(1)


def test_smoothing_and_weights_are_those_of_torch() -> None:
    logits, labels = torch.randn(3, 4), torch.tensor([0, 3, 2])
    own = head(smoothing=0.1, class_weights=[1, 2, 0.5, 0])
    wanted = F.cross_entropy(
        logits, labels, weight=torch.tensor([1, 2, 0.5, 0]), label_smoothing=0.1, reduction="none"
    ) / math.log(4)
    torch.testing.assert_close(own.loss(logits, [target(int(label)) for label in labels]), wanted)


def test_mixup_is_the_loss_of_mixed_features_of_labelled_pictures_alone() -> None:
    logits = torch.randn(6, 4, requires_grad=True)
    targets = [target(label) for label in (1, None, 3, 0, OTHER, 2)]
    own, labelled = head(mixup=0.4), torch.tensor([0, 2, 3, 5])
    plain = head().loss(logits, targets)
    assert torch.equal(own.eval().loss(logits, targets), plain), "only in training"
    torch.manual_seed(3)
    losses = own.train().loss(logits, targets)
    assert losses[[1, 4]].tolist() == [0, 0]
    losses.sum().backward()
    assert logits.grad is not None
    assert not logits.grad[[1, 4]].any(), "what is unknown is mixed into nothing"
    torch.manual_seed(3)
    partner = labelled[torch.randperm(4)]
    share = float(torch.distributions.Beta(0.4, 0.4).sample())
    mixed = share * logits[labelled] + (1 - share) * logits[partner]
    known = torch.tensor([1, -1, 3, 0, -1, 2])
    truth = share * F.one_hot(known[labelled], 4) + (1 - share) * F.one_hot(known[partner], 4)
    wanted = -(truth * mixed.log_softmax(1)).sum(1) / math.log(4)
    torch.testing.assert_close(losses[labelled], wanted)


def test_what_is_not_labelled_or_of_another_class_counts_neither_way() -> None:
    own = head(2)
    own.space = LabelSpace(["d", "b"], ["a", "b", "c", "d"])
    targets = [target(None), target(0), target(1), target(3), target(OTHER)]
    seen = own.view(targets)
    assert [own.labelled(one) for one in seen] == [False, False, True, True, False]
    assert [int(one["category"]) for one in seen[1:]] == [OTHER, 1, 0, OTHER]
    losses = own.loss(torch.tensor([[0.0, 5.0]] * 5), seen)
    assert (losses == 0).tolist() == [True, True, False, False, True]
    assert losses[3] > losses[2]
    metrics = own.metrics()
    metrics.update([torch.tensor([0.1, 0.9])] * 5, seen)
    assert float(metrics.compute()["top1"]) == 0.5
    published = own.published(torch.tensor([0.1, 0.9]))
    assert published[[1, 3]].tolist() == pytest.approx([0.9, 0.1])
    assert published[[0, 2]].isnan().all()


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"heads\.category\.classes: found one class"):
        head(1)
    with pytest.raises(ConfigError, match=r"heads\.category\.class_weights: found 3 weights; there are 4"):
        head(class_weights=[1, 1, 1])
    with pytest.raises(ConfigError, match=r"heads\.category\.level: found c9"):
        head(level="c9")
