from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.heads.detection import cases
from vjo_train.errors import ConfigError
from vjo_train.heads.pixel_losses import dice_loss, pixel_loss
from vjo_train.heads.semantic import DeepLabV3, SemanticFPN, SemanticHead
from vjo_train.types import Features, Target

SIZE, CLASSES = 64, 3
STRIDES = {"c4": 16, "c5": 32, "p2": 4, "p3": 8, "p4": 16, "p5": 32}
CHANNELS = dict.fromkeys(STRIDES, 16)
KINDS = ("fpn", "deeplab")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def head(kind: str, **options: Any) -> SemanticHead:
    torch.manual_seed(0)
    if kind == "fpn":
        return SemanticFPN(channels=CHANNELS, num_classes=CLASSES, **({"width": 16} | options))
    return DeepLabV3(channels=CHANNELS, num_classes=CLASSES, **({"width": 16, "dropout": 0.0} | options))


def features(batch: int, side: int = SIZE) -> Features:
    generator = torch.Generator().manual_seed(1)
    return {
        level: torch.randn(batch, 16, -(-side // step), -(-side // step), generator=generator)
        for level, step in STRIDES.items()
    }


def target(semantic: Tensor | None, *, size: tuple[int, int] = (SIZE, SIZE)) -> Target:
    known = {} if semantic is None else {"semantic": semantic}
    return Target(size, known)


def drawn(index: int) -> Tensor:
    """A class on the left, background on the right, and a strip that does not count."""
    mask = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
    mask[:, : 16 + 8 * index] = index % CLASSES + 1
    mask[10 : 12 + index] = 255
    return mask


def mixed() -> list[Target]:
    """Two labelled images, one that is not, and one where no pixel counts."""
    return [target(drawn(0)), target(drawn(1)), target(None), target(torch.full((SIZE, SIZE), 255, dtype=torch.uint8))]


def part(maps: Features, index: int) -> Features:
    return {level: feature[index : index + 1] for level, feature in maps.items()}


def test_pixel_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, 2.0]]).T.reshape(1, 2, 1, 2)  # two pixels of two channels
    truth = torch.tensor([[[0, 255]]])
    assert pixel_loss(logits, truth).tolist() == pytest.approx([math.log(1 + math.exp(2))])
    both = torch.tensor([[[0, 1]]])
    by_hand = (math.log(1 + math.exp(2)) + math.log(1 + math.exp(-1))) / 2
    assert pixel_loss(logits, both).tolist() == pytest.approx([by_hand])
    assert pixel_loss(logits, torch.full((1, 1, 2), 255)).tolist() == [0]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pixel_loss_is_the_mean_over_an_images_own_pixels_in_any_order_of_memory(
    memory_format: torch.memory_format,
) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 9, 13, generator=generator).to(memory_format=memory_format)[..., :8, :12]
    truth = torch.randint(0, 5, (3, 8, 12), generator=generator, dtype=torch.uint8)
    truth[torch.rand(3, 8, 12, generator=generator) < 0.3] = 255
    each = [
        torch.nn.functional.cross_entropy(one[None], own[None].long(), ignore_index=255)
        for one, own in zip(logits, truth, strict=True)
    ]
    torch.testing.assert_close(pixel_loss(logits, truth), torch.stack(each))


def test_dice_loss_by_hand() -> None:
    # One of four counted pixels is of class 1; everywhere its probability is a quarter.
    probability = torch.tensor([0.75, 0.25])
    logits = probability.log()[None, :, None, None].expand(1, 2, 1, 5)
    truth = torch.tensor([[[1, 0, 0, 0, 255]]])
    background, own = 2 * 3 * 0.75 / (4 * 0.75 + 3), 2 * 0.25 / (4 * 0.25 + 1)
    assert dice_loss(logits, truth).tolist() == pytest.approx([1 - (background + own) / 2])
    assert dice_loss(logits, torch.tensor([[[0, 0, 0, 0, 0]]])).tolist() == pytest.approx([1 - 1.5 / 1.75])
    assert dice_loss(logits, torch.full((1, 1, 5), 255)).tolist() == [0]
    perfect = 100.0 * F.one_hot(torch.tensor([[1, 0]]), 2).movedim(2, 1)[:, :, None].float()
    assert dice_loss(perfect, torch.tensor([[[1, 0]]])).tolist() == pytest.approx([0], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dice", [0.0, 1.0])
def test_loss_of_a_batch_is_that_of_its_images_one_by_one(kind: str, dice: float) -> None:
    model, maps, targets = head(kind, dice=dice), features(4), mixed()
    together = model.loss(model(maps), targets)
    alone = [model.loss(model(part(maps, i)), [targets[i]])[0] for i in range(4)]
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-5, atol=1e-6)
    assert together[:2].min() > 0
    assert together[2:].tolist() == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_images_without_a_mask_have_no_gradient(kind: str) -> None:
    model = head(kind, dice=0.5)
    maps = {level: feature.requires_grad_() for level, feature in features(4).items()}
    model.loss(model(maps), mixed()).sum().backward()
    for level in model.levels:
        gradient = maps[level].grad
        assert gradient is not None
        assert gradient.flatten(1).any(1).tolist() == [True, True, False, False]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert model.loss(model(features(2)), [target(None)] * 2).tolist() == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_canvas_may_be_no_multiple_of_the_strides(kind: str) -> None:
    side = 50
    model = head(kind)
    mask = torch.zeros(side, side, dtype=torch.uint8)
    outputs = model(features(1, side))
    assert model.loss(outputs, [target(mask, size=(side, side))]).item() > 0
    known = target(mask, size=(side, 40))
    (found,) = model.decode(outputs, cases.batch([known], [0.5], [target(None, size=(100, 80))]))
    assert found.shape == (100, 80)


def test_bfloat16_comes_close_to_float32() -> None:
    model, maps, targets = head("fpn"), features(4), mixed()
    exact = model.loss(model(maps), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model.loss(model(maps), targets)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("original", [(64, 48), (128, 96), (200, 150), (32, 24)])
def test_certain_logits_decode_to_the_truth_at_the_size_of_the_file(original: tuple[int, int]) -> None:
    """Blocks of 16 canvas pixels, known at a stride of 4: only pixels at their edges may differ."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, CLASSES + 1, (4, 4), generator=generator)
    canvas = blocks.repeat_interleave(16, 0).repeat_interleave(16, 1)
    logits = 50.0 * F.one_hot(canvas[2::4, 2::4], CLASSES + 1).movedim(2, 0)[None].float()
    height, width = original
    scale = 64 / height
    y = ((torch.arange(height) + 0.5) * scale).long()
    x = ((torch.arange(width) + 0.5) * scale).long()
    truth = canvas[y][:, x]
    model = SemanticFPN(channels=CHANNELS, num_classes=CLASSES, levels=["p2", "p3"], width=8)
    batch = cases.batch([target(None, size=(64, 48))], [scale], [target(None, size=original)])
    (found,) = model.decode(logits, batch)
    assert found.dtype == torch.uint8
    assert found.shape == original
    inner_y, inner_x = ((torch.arange(n) + 0.5) * scale % 16 for n in original)
    inner = ((inner_y - 8).abs() < 6)[:, None] & ((inner_x - 8).abs() < 6)
    assert bool((found == truth)[inner].all())
    assert (found == truth).float().mean() > 0.95


def test_padding_does_not_reach_the_prediction() -> None:
    model = head("fpn")
    logits = torch.zeros(1, CLASSES + 1, 8, 8)
    logits[:, 1] = 1
    logits[:, 2, :, 4:] = 9  # in the padding alone
    batch = cases.batch([target(None, size=(64, 28))], [1.0], [target(None, size=(64, 28))])
    (found,) = model.decode(logits, batch)
    assert bool((found[:, :27] == 1).all())


@pytest.mark.parametrize("kind", KINDS)
def test_memorises_two_images(kind: str) -> None:
    model, maps, targets = head(kind), features(2), mixed()[:2]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = model.loss(model(maps), targets).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    collector = model.metrics()
    collector.update(model.decode(model(maps), cases.batch(targets, [1.0, 1.0], targets)), targets)
    assert collector.compute()["miou"] > (0.9 if kind == "fpn" else 0.6)  # stride 8 or 32


def test_figures_leave_out_images_without_a_mask() -> None:
    collector = head("fpn").metrics()
    known, unknown = target(drawn(0)), target(None)
    perfect, wrong = drawn(0).clamp(max=CLASSES), torch.full((SIZE, SIZE), 2, dtype=torch.uint8)
    collector.update([perfect, wrong], [known, unknown])
    values = collector.compute()
    assert set(values) == {"miou", "pixel_accuracy", "iou_background", "iou"}
    assert {name: tuple(values[name].shape) for name in collector.per_class} == {"iou": (CLASSES,)}
    assert values["miou"] == values["pixel_accuracy"] == values["iou_background"] == 1
    assert values["iou"].isnan().tolist() == [False, True, True]
    collector.reset()
    collector.update([wrong], [unknown])
    assert bool(collector.compute()["miou"].isnan())


def test_wrong_levels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"heads\.semantic\.levels.*p9"):
        head("fpn", levels=["p3", "p9"])
    with pytest.raises(ConfigError, match=r"heads\.semantic\.level: found p9"):
        head("deeplab", level="p9")
