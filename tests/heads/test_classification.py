from __future__ import annotations

import math

import pytest
import torch

from tests.heads.detection import cases
from vjo_train.errors import ConfigError
from vjo_train.heads.classification import Classification, ClassificationMetrics, classification_loss
from vjo_train.heads.label_space import LabelSpace
from vjo_train.inference.results import Scores, result_of
from vjo_train.types import Frames, Target

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


def validated(model: Classification) -> ClassificationMetrics:
    """What a validation of four images with all scores below 0.5 collects: the first two classes are told apart."""
    measured = model.metrics()
    scores = torch.tensor([[0.4, 0.1, 0.2], [0.3, 0.3, 0.2], [0.1, 0.4, 0.2], [0.1, 0.1, 0.2]])
    labels = [[1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, -1]]
    measured.update(list(scores), [target(one) for one in labels])
    model.choose(measured)
    return measured


def test_thresholds_are_chosen_on_val_for_each_class() -> None:
    model = head()
    figures = validated(model).compute()
    assert model.thresholds == pytest.approx((0.2, 0.2, 0.5)), "a class that val does not show keeps 0.5"
    assert float(figures["f1"]) == 0.0
    assert float(figures["f1_chosen"]) == 1.0
    assert figures["threshold"].tolist() == pytest.approx([0.2, 0.2, 0.5])
    assert "f1_chosen" not in head(thresholds=None).metrics().compute()


def test_predictions_name_the_classes_above_their_thresholds() -> None:
    model = head()
    prediction = torch.tensor([0.3, 0.6, 0.4])
    assert model.present(prediction) == [1], "0.5 before there was a val"
    validated(model)
    assert model.present(prediction) == [1, 0]
    model.space = LabelSpace(["c", "a", "b"], ["a", "b", "c", "d"])
    assert model.present(model.published(prediction)) == [0, 2], "in the data set's order: c, a, b are 0.3, 0.6, 0.4"
    said = result_of(model.published(prediction), ["a", "b", "c", "d"], model)
    assert isinstance(said, Scores)
    assert said.present == ["a", "c"]


def test_thresholds_of_the_config_are_not_chosen() -> None:
    for given, expected in ((None, None), (0.25, (0.25,) * 3), ([0.1, 0.2, 0.3], (0.1, 0.2, 0.3))):
        model = head(thresholds=given)
        validated(model)
        model.keep_chosen((0.9, 0.9, 0.9))
        assert model.thresholds == expected
    with pytest.raises(ConfigError, match=r"thresholds: found 2 thresholds; there are 3 classes"):
        head(thresholds=[0.1, 0.2])


def test_a_file_holds_the_thresholds_where_there_are_any() -> None:
    model, frames = head(), Frames.of_files(torch.tensor([[32, 32], [32, 32]]), (32, 32))
    assert set(model.decoded(torch.zeros(2, 3), frames)) == {"probabilities"}
    validated(model)
    assert model.decoded(torch.zeros(2, 3), frames)["thresholds"].tolist()[1] == pytest.approx([0.2, 0.2, 0.5])
