"""`start_from`: what is taken of another network, class by class, and what is said of it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests import tiny
from tests.sharing import ways
from tests.training.test_run import assert_same_run, config, stop_after, train, weights
from vjo_train.backbones.neck import renumbered
from vjo_train.backbones.torchvision import TorchvisionBackbone
from vjo_train.config import build, jobs, starting
from vjo_train.config.checks.config import check_start
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.heads.class_rows import ClassRows, rows_by_name
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.retinanet import RetinaNet
from vjo_train.heads.instance.mask_rcnn import MaskRCNN
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.semantic import SemanticFPN
from vjo_train.runs.results import read_results
from vjo_train.training import start_source
from vjo_train.training.module import MultiTaskModule
from vjo_train.training.start_from import Source, start

BEFORE, AFTER = ("cat", "dog", "car"), ("Car", "tree", "cat")


def with_classes(module: MultiTaskModule, names: Sequence[str]) -> MultiTaskModule:
    for task in module.tasks:
        module.head(task).space = LabelSpace(names, names)
    return module


def source(module: MultiTaskModule, names: Sequence[str] = BEFORE) -> Source:
    return Source(
        Path("x.ckpt"), "a checkpoint", copy.deepcopy(module.state_dict()), dict.fromkeys(module.tasks, names)
    )


CHANNELS = dict.fromkeys(("p3", "p4", "p5", "p6", "p7"), 16)
SMALL_HEADS: dict[str, Callable[[], Any]] = {
    "retinanet": lambda: RetinaNet(channels=CHANNELS, num_classes=3, depth=1),
    "faster": lambda: FasterRCNN(channels=CHANNELS, num_classes=3, hidden=16),
    "mask": lambda: MaskRCNN(channels=CHANNELS, num_classes=3, hidden=16, mask_depth=1),
    "mnc": lambda: tiny.mnc(CHANNELS),
    "semantic": lambda: SemanticFPN(channels=CHANNELS, num_classes=3, width=16),
}


def figures(head: Any, kind: str, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What a head says of each class [.., C], and of no class [.., 1] or nothing [.., 0]."""
    outputs = head(features)
    if kind == "retinanet":
        return outputs.logits, outputs.logits[..., :0]
    if kind == "semantic":
        return outputs[:, 1:].movedim(1, -1), outputs[:, :1].movedim(1, -1)
    boxes, image = torch.tensor([[4.0, 4, 40, 50], [10, 0, 20, 60]]), torch.tensor([0, 0])
    if kind == "mnc":
        _, logits, offsets = head._later_stages(outputs.features, boxes, image)
    else:
        logits, offsets = head._second_stage(outputs.features, boxes, image)
    each = torch.cat([logits[:, None, :-1], offsets.movedim(1, -1)], 1)
    if kind == "mask":
        masks = head.mask_branch(head.pool(outputs.features, boxes, image, 14)).flatten(2).movedim(1, -1)
        each = torch.cat([each, masks], 1)
    return each, logits[:, None, -1:]


@torch.no_grad()
@pytest.mark.parametrize("kind", SMALL_HEADS)
def test_a_head_says_the_same_of_the_classes_that_it_had(kind: str) -> None:
    """And of no class; of the others what it would have said without."""
    torch.manual_seed(0)
    old, new = (with_classes_of_head(SMALL_HEADS[kind](), names) for names in (BEFORE, AFTER))
    fresh = copy.deepcopy(new)
    features = {level: torch.randn(1, 16, 8 >> k or 1, 8 >> k or 1) for k, level in enumerate(CHANNELS)}
    a, b = alone(old), alone(new)
    start(b, source(a))
    (before, none), (after, still_none) = figures(old, kind, features), figures(new, kind, features)
    torch.testing.assert_close(after[..., [0, 2]], before[..., [2, 0]])
    torch.testing.assert_close(still_none, none)
    for name, rows in new.class_rows().items():
        own = [place for place, (_, one, _) in enumerate(rows.labels(AFTER)) if one == "tree"]
        assert own
        assert torch.equal(new.get_parameter(name)[own], fresh.get_parameter(name)[own])


def with_classes_of_head(head: Any, names: Sequence[str]) -> Any:
    head.space = LabelSpace(names, names)
    return head.eval()


def alone(head: Any) -> MultiTaskModule:
    """A network with this head in the place of its detection."""
    module = tiny.module(("detection",))
    module.heads["detection"] = head
    return module


def test_background_comes_and_goes() -> None:
    rows = ClassRows(background="first")
    labels = rows.labels(("a", "b"))
    taken = rows_by_name(torch.zeros(3, 1), labels, torch.tensor([[1.0], [2]]), ClassRows().labels(("b", "a")))
    assert taken is not None
    assert taken.flatten().tolist() == [0, 2, 1]
    assert rows_by_name(torch.zeros(3, 1), labels, torch.zeros(4, 1), labels) is None


def test_heads_may_be_added_and_dropped_and_what_happened_is_said() -> None:
    old = with_classes(tiny.module(("classification", "detection"), seed=1), BEFORE)
    new = with_classes(tiny.module(("detection", "semantic"), seed=2), AFTER)
    before = copy.deepcopy(new.state_dict())
    told = start(new, source(old))
    state = new.state_dict()
    same = {name for name, value in old.state_dict().items() if name in state and torch.equal(state[name], value)}
    assert {name for name in state if name.startswith("sharing.")} <= same
    assert all(torch.equal(before[name], state[name]) for name in state if name.startswith("heads.semantic."))
    assert told.parts["heads.semantic"][0] == 0
    assert told.unused == {"heads.classification": 2}
    assert (told.known_classes, told.new_classes) == ({"detection": ["Car", "cat"]}, {"detection": ["tree"]})
    text = "\n".join(told.lines())
    assert "Fresh: heads.semantic." in text
    assert "Not used: heads.classification (2)." in text
    assert "Classes of detection by name: Car, cat; new: tree." in text
    assert len(told.lines()) <= 4


@pytest.mark.parametrize("way", [way for way in ways.BUILD if way != "adashare"])  # has a backbone of its own
def test_other_ways_of_sharing_start_from_hard_sharing(way: str) -> None:
    """Every column gets the backbone, every task's neck the neck."""
    tasks = ("classification", "detection")
    old = with_classes(tiny.module(tasks, seed=1), BEFORE)
    new = with_classes(tiny.module(tasks, seed=2, sharing=ways.BUILD[way]), BEFORE)
    told = start(new, source(old))
    taken, count = told.parts["backbone"]
    assert taken == count > 0
    before, after = old.sharing.state_dict(), new.sharing.state_dict()
    copies = {name: new.sharing.hard_name(name) for name in after}
    for part in ("backbone.", "neck."):
        same = [name for name, hard in copies.items() if hard.startswith(part)]
        assert {copies[name] for name in same} == {name for name in before if name.startswith(part)}
        assert all(torch.equal(after[name], before[copies[name]]) for name in same)


def test_nothing_that_fits_is_refused() -> None:
    new = with_classes(tiny.module(), BEFORE)
    other = Source(Path("x.ckpt"), "a checkpoint", {"sharing.backbone.stages.0.0.weight": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"start_from: nothing in x\.ckpt .* is \(1,\), here \(8, 3, 3, 3\)"):
        start(new, other)


def test_classes_that_are_not_known_start_fresh() -> None:
    old, new = (with_classes(tiny.module(("detection",), seed=seed), BEFORE) for seed in (1, 2))
    before = new.head("detection").class_logits.weight.clone()
    told = start(new, Source(Path("x.ckpt"), "weights", old.state_dict(), {}))
    assert torch.equal(new.head("detection").class_logits.weight, before)
    assert "does not say which classes" in told.differences["heads.detection"]


def test_a_pyramid_with_another_finest_level_keeps_its_levels() -> None:
    names = [f"sharing.neck.fpn.layer_blocks.{k}.0.weight" for k in range(3)]
    assert renumbered(names, 4) == {name: name.replace(f".{k}.0", f".{k + 1}.0") for k, name in enumerate(names)}
    assert list(renumbered(names, 2)) == names[1:]
    assert renumbered(["heads.a.weight"], 4) == {"heads.a.weight": "heads.a.weight"}


def test_a_run_starts_from_another_with_some_of_its_classes(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path
) -> None:
    """A whole run, its results, its checkpoint for use, and an exact resume."""
    old = undisturbed()
    words = (f"start_from={old / 'checkpoints/best.ckpt'}", "heads.detection.classes=[star,circle]", "seed=2")
    run = train(cache, tmp_path / "run", *words)
    told = read_results(run / "results.json").started_from
    assert told["source"].startswith(str(old / "checkpoints/best.ckpt"))
    assert told["known_classes"]["detection"] == ["star", "circle"]
    assert told["parts"]["backbone"][0] == told["parts"]["backbone"][1]
    assert read_results(old / "results.json").started_from == {}
    cut = tmp_path / "cut"
    stop_after_begun(5, cache, cut, *words)
    train(cache, cut, *words, "trainer.resume=auto")
    assert_same_run(run, cut)


def stop_after_begun(batches: int, cache: Path, output: Path, *overrides: str) -> None:
    """As `stop_after`, of a run as the command builds it."""
    original = build.job

    def begun(cfg: Any, folder: Path, **flags: Any) -> Any:
        job = original(cfg, folder, **flags)
        starting.begin(job, cfg)
        return job

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "job", begun)
        stop_after(batches, cache, output, *overrides)


def test_weights_for_use_are_smaller_and_resume_refuses_them(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path
) -> None:
    old = undisturbed()
    file = old / "checkpoints/weights.ckpt"
    assert file.stat().st_size < 0.7 * (old / "checkpoints/best.ckpt").stat().st_size
    alone = Path(shutil.copy(file, tmp_path / "alone.ckpt"))
    jobs.evaluate(config(cache), tmp_path / "eval", alone)
    module = build.model(config(cache))
    found = start_source.read(str(alone), {task: module.head(task) for task in module.tasks})
    assert found.classes["detection"] == ["circle", "square", "triangle", "star", "ring", "cross"]
    with pytest.raises(CheckpointError, match=r"trainer\.resume: .* holds weights alone; .* start_from"):
        train(cache, tmp_path / "new", f"trainer.resume={alone}")


def test_other_classes_are_shown_the_way(cache: Path, undisturbed: Callable[..., Path], tmp_path: Path) -> None:
    """Neither `trainer.resume` nor `backbone.weights` takes a run with other classes; both name what does."""
    old = undisturbed()
    one = ["heads.detection.classes=[circle]"]
    with pytest.raises(CheckpointError, match=r"class_logits.*start_from takes what fits"):
        train(cache, tmp_path / "a", f"trainer.resume={old}", *one)
    with pytest.raises(CheckpointError, match=r"backbone\.weights: .* network with heads.*start_from"):
        TorchvisionBackbone(name="resnet18", weights=str(old / "checkpoints/last.ckpt"))


def test_wrong_places_are_refused_before_the_run(cache: Path, undisturbed: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"start_from: found 'nowhere', which is neither"):
        check_start(config(cache, ["start_from=nowhere"]))
    with pytest.raises(ConfigError, match=r"start_from: .*must be the folder of a run"):
        check_start(config(cache, [f"start_from={tmp_path}"]))
    (tmp_path / "a.pth").write_bytes(b"no pickle")
    module = tiny.module()
    with pytest.raises(CheckpointError, match=r"start_from: .*a\.pth is (refused|damaged)"):
        start_source.read(str(tmp_path / "a.pth"), dict(module.heads.items()))
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=r"no network that is known here .*backbone\.weights"):
        start_source.read(str(tmp_path / "b.pth"), dict(module.heads.items()))
    file = tmp_path / "run/.hydra/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("{start_from: other.ckpt, backbone: {}, heads: {}, dataset: {}, trainer: {}}")
    with pytest.raises(ConfigError, match=r"start_from: found 'b.pth' next to trainer\.resume"):
        check_start(config(cache, ["start_from=b.pth", f"trainer.resume={tmp_path / 'run'}"]))
    check_start(config(cache, ["start_from=other.ckpt", f"trainer.resume={tmp_path / 'run'}"]))


@pytest.mark.parametrize(("choice", "expected"), [("stay", 0.01), ("stretch", None)])
def test_more_epochs_on_a_finished_run(
    cache: Path, undisturbed: Callable[..., Path], tmp_path: Path, choice: str, expected: float | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The learning rate keeps the schedule's end, or goes on as if the run had been planned so long; both are said."""
    words = ["trainer.max_epochs=4", f"trainer.resume={undisturbed()}", f"trainer.resume_lr={choice}"]
    caplog.set_level("INFO", logger="vjo_train")
    run = train(cache, tmp_path / "run", *words)
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert f"trainer.resume_lr={choice}: training was planned for 8 steps and now has 16" in caplog.text
    assert state["lr_steps"] == (8 if choice == "stay" else 16)
    group = state["optimizer_states"][0]["param_groups"][0]
    assert group["lr"] == pytest.approx(0.01 * group["initial_lr"]) if choice == "stay" else group["lr"] > 0
    assert weights(run).keys() == weights(undisturbed()).keys()
