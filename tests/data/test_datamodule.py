from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import Dataset

from vjo_train.data.datamodule import DataModule
from vjo_train.data.loading import BatchLoader
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shapes import Shapes
from vjo_train.data.shared_memory import PER_WORKER
from vjo_train.data.transforms import Augment
from vjo_train.errors import ConfigError, DataError
from vjo_train.heads.instance.mask_rcnn import MaskRCNN
from vjo_train.heads.semantic import SemanticFPN
from vjo_train.schedules.alternating import Alternating
from vjo_train.schedules.joint import Joint
from vjo_train.schedules.proportional import Proportional
from vjo_train.types import Batch

NEEDS = {
    "classification": frozenset({"classes"}),
    "semantic": frozenset({"semantic"}),
    "instance": frozenset({"boxes", "masks"}),
}


def make(where, files, needs=NEEDS, **changed) -> DataModule:
    keys = {
        "root": str(where),
        "classes": list(CLASSES),
        "split": "train",
        "val_split": "val",
        "val_fraction": 0.0,
        "meta_fraction": 0.0,
        "test_split": "test",
        "size": 64,
        "batch_size": 8,
        "eval_batch_size": 4,
        "workers": 0,
        "labelled_per_batch": 1,
        "cache_dir": str(files),
        "augment": Augment(zoom_out=0.5, crop=0.5, flip=0.5, jitter=0.5),
        "seed": 1,
    }
    data = DataModule(**{**keys, **changed})
    data.set_tasks(needs, Joint(tasks=tuple(needs)))
    return data


def same(a: Batch, b: Batch) -> bool:
    return _plain(a) == _plain(b)


def _plain(value):
    if isinstance(value, torch.Tensor):
        return value.numpy().dtype.str, value.shape, value.numpy().tobytes()
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in sorted(value.items())}
    return {k: _plain(v) for k, v in vars(value).items()} if hasattr(value, "__dict__") else value


def test_the_same_batches_with_and_without_workers(shapes_root, tmp_path):
    loaders = [make(shapes_root, tmp_path, workers=workers).train_dataloader() for workers in (0, 2)]
    state = torch.get_rng_state()
    for epoch in range(2):
        alone, workers = (list(loader) for loader in loaders)
        assert [batch.step for batch in alone] == [3 * epoch, 3 * epoch + 1, 3 * epoch + 2]
        assert len(alone) == len(workers) == len(loaders[0])
        assert all(same(a, b) for a, b in zip(alone, workers, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_that_are_kept_in_memory_give_the_same_batches(shapes_root, tmp_path, workers):
    plain, kept = make(shapes_root, tmp_path), make(shapes_root, tmp_path, cache="ram", workers=workers)
    for data in (plain, kept):
        data.setup()
    loaders = plain.train_dataloader(), kept.train_dataloader()
    for _ in range(3):  # reads, then finds
        assert all(same(a, b) for a, b in zip(*loaders, strict=True))
    for _ in range(2):
        loaders = plain.val_dataloader(), kept.val_dataloader()
        assert all(same(a, b) for a, b in zip(*loaders, strict=True))


def test_pictures_that_are_kept_need_no_file_any_more(shapes_root, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(shapes_root, root)
    data = make(root, tmp_path / "c", {"x": NEEDS["semantic"]}, cache="ram", workers=1)
    data.setup()
    loader = data.train_dataloader()
    _ = [*loader, *loader]  # 12 images have class masks: the first batches have them all
    shutil.rmtree(root / "JPEGImages")
    shutil.rmtree(root / "SegmentationClass")
    assert len({name for batch in loader for name in batch.ids}) == 12
    with pytest.raises(DataError, match="the file is missing"):  # what is tested once is not kept
        list(data.eval_dataloader(data.index.rows(["200000"])))


def test_what_is_kept_must_fit_into_memory(shapes_root, tmp_path, monkeypatch, caplog):
    data = make(shapes_root, tmp_path, cache="ram")
    monkeypatch.setattr("vjo_train.data.picture_cache._free_memory", lambda: 400_000.0)
    with pytest.raises(
        ConfigError, match=r"dataset\.cache: ram needs 0\.00 GiB for 30 images; found 0\.00 GiB free, of"
    ):
        data.setup()
    kept = 30 * 64 * 64 * 3 + 2 * 15 * 64 * 64  # pictures, and both masks of half of them
    monkeypatch.setattr("vjo_train.data.picture_cache._free_memory", lambda: kept / 0.8 + 1)
    with caplog.at_level("INFO"):
        data.setup()
    assert "dataset.cache=ram keeps 30 images in 0.00 GiB" in caplog.text


def test_large_pictures_are_reduced_alike_with_and_without_workers_and_memory(devkit, tmp_path):
    for number in range(4):
        devkit.image(f"a{number}", 301 + number, 203, [("cat", (20, 30, 150 + number, 180), 0)])
    devkit.split("train", [f"a{number}" for number in range(4)])
    keys = {"classes": ["cat"], "val_split": None, "needs": {"x": NEEDS["classification"]}, "size": 32, "batch_size": 4}
    batches = []
    for changed in ({}, {"workers": 2}, {"cache": "ram"}):
        data = make(devkit.root, tmp_path / "c", **keys, **changed)
        data.setup(None)
        loader = data.train_dataloader()
        batches.append([*loader, *loader])
    assert all(same(a, b) and same(a, c) for a, b, c in zip(*batches, strict=True))
    (devkit.root / "JPEGImages/a0.jpg").write_bytes((devkit.root / "JPEGImages/a1.jpg").read_bytes())
    data = make(devkit.root, tmp_path / "c", **keys)
    data._verdicts = dict.fromkeys(data.index.ids.tolist(), "")
    with pytest.raises(DataError, match=r"a0\.jpg: found 302 x 203 pixels; its annotation says 301 x 203"):
        list(data.train_dataloader())


def test_a_batch_that_is_held_is_not_written_over(shapes_root, tmp_path):
    """Loading processes write into the same memory again, once the main process has let go of it."""
    data = make(shapes_root, tmp_path, workers=1)
    loader = data.train_dataloader()
    held = [next(iter(loader)).images[2:5] for _ in range(1)]
    copies = [images.clone() for images in held]
    for _ in range(4):
        for batch in loader:
            held.append(batch.images[1:].flip(-1)[:2] if len(held) % 2 else batch.images.permute(0, 2, 3, 1)[3])
            copies.append(held[-1].clone())
    assert len(held) > 12  # more than there are slots
    assert all(torch.equal(a, b) for a, b in zip(held, copies, strict=True))


def test_memory_is_used_again(shapes_root, tmp_path):
    data = make(shapes_root, tmp_path, workers=1)
    loader = data.train_dataloader()
    places = {batch.images.data_ptr() for _ in range(6) for batch in loader}
    assert 1 < len(places) <= PER_WORKER
    assert not loader.dataset.slots._taken.any()


def test_training_goes_on_at_any_batch(shapes_root, tmp_path):
    whole = make(shapes_root, tmp_path).train_dataloader()
    expected = [*whole, *whole]
    data = make(shapes_root, tmp_path)
    data.start_step = 2
    loader = data.train_dataloader()
    assert all(same(a, b) for a, b in zip(expected[2:], [*loader, *loader], strict=True))


def test_ranks_split_training_and_evaluation(shapes_root, tmp_path):
    class Second:
        """What the data module asks of a trainer."""

        global_rank, world_size = 1, 2
        strategy = type("Strategy", (), {"root_device": torch.device("cpu")})

    one, second = make(shapes_root, tmp_path), make(shapes_root, tmp_path)
    second.trainer = Second()
    for a, b in zip(one.train_dataloader(), second.train_dataloader(), strict=True):
        assert a.ids[1::2] == b.ids
    ids = [name for batch in one.test_dataloader() for name in batch.ids]
    assert ids == (shapes_root / "ImageSets/Main/test.txt").read_text().split()
    assert [name for batch in second.test_dataloader() for name in batch.ids] == ids[1::2]
    odd = make(shapes_root, tmp_path, batch_size=9)
    odd.trainer = Second()
    with pytest.raises(ConfigError, match=r"dataset\.batch_size: found 9 for 2 ranks; must be a multiple"):
        odd.train_dataloader()


def test_signals_that_reach_the_whole_group_leave_the_loading_processes_alone(shapes_root, tmp_path):
    loader = make(shapes_root, tmp_path, workers=1).train_dataloader()
    batches = iter(loader)
    next(batches)
    (worker,) = loader._iterator._workers
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(worker.pid, number)
    assert len([*batches, *loader]) == 2 * len(loader) - 1
    assert worker.is_alive()


def test_targets_agree_with_the_picture(shapes_root, tmp_path):
    seen = 0
    for batch in make(shapes_root, tmp_path).train_dataloader():
        assert batch.images.shape == (8, 3, 64, 64)
        assert batch.images.dtype == torch.uint8
        assert batch.tasks == tuple(NEEDS)
        assert batch.originals == []
        assert sum("masks" in target.labelled for target in batch.targets) >= 1
        for target in batch.targets:
            objects = target["boxes"]
            assert objects.xyxy.shape == (len(objects), 4)
            assert objects.xyxy.dtype == torch.float32
            assert objects.difficult.dtype == torch.bool
            assert target["classes"].dtype == torch.int8
            for k in range(len(CLASSES)):
                flags = objects.difficult[objects.labels == k]
                assert target["classes"][k] == (-1 if not len(flags) else 0 if flags.all() else 1)
            assert ("semantic" in target) == ("masks" in target)
            if "masks" not in target:
                continue
            seen += 1
            assert target["masks"].shape == (len(objects), 64, 64)
            for mask, label in zip(target["masks"], objects.labels, strict=True):
                assert (target["semantic"][mask] == label + 1).all()
    assert seen


def test_only_what_the_tasks_that_are_on_need_is_read(shapes_root, tmp_path):
    data = make(shapes_root, tmp_path)
    data.set_tasks(NEEDS, Alternating(tasks=tuple(NEEDS)))
    first, second, third = data.train_dataloader()
    assert all(target.labelled == {"classes"} for target in first.targets)
    assert all(target.labelled == {"semantic"} for target in second.targets)
    assert all(target.labelled == {"boxes", "masks"} for target in third.targets)


@pytest.fixture
def partly_masked(devkit):
    """Ten images with an object each: `c*` have a class mask, `o*` an object mask too, the others neither."""
    names = ["c0", "c1", "c2", "o0", *(f"x{i}" for i in range(6))]
    for name in names:
        devkit.image(name, objects=[("cat", (5, 5, 20, 20), 0)])
        indices = np.zeros((30, 40))
        indices[4:20, 4:20] = 1
        for folder in ["SegmentationClass"] * (name[0] in "co") + ["SegmentationObject"] * (name[0] == "o"):
            devkit.mask(folder, name, indices)
    devkit.split("train", names)
    return devkit.root


def test_class_masks_alone_train_semantic_and_not_instance(partly_masked, tmp_path):
    data = make(partly_masked, tmp_path / "c", classes=["cat"], val_split=None, batch_size=6, labelled_per_batch=2)
    assert data.plan.labelled == {"classification": 10, "semantic": 4, "instance": 1}
    heads = {"semantic": SemanticFPN, "instance": MaskRCNN}
    assert {name: head.needs for name, head in heads.items()} == {name: NEEDS[name] for name in heads}
    for batch in (*data.train_dataloader(), *data.train_dataloader()):
        known = {
            task: [name for name, t in zip(batch.ids, batch.targets, strict=True) if needs <= t.labelled]
            for task, needs in NEEDS.items()
        }
        assert len(known["classification"]) == 6
        assert len(known["semantic"]) >= 2
        assert {name[0] for name in known["semantic"]} <= {"c", "o"}
        assert len(known["instance"]) >= 2
        assert set(known["instance"]) == {"o0"}


def test_in_turns_a_task_draws_only_from_its_own_images(partly_masked, tmp_path):
    data = make(partly_masked, tmp_path / "c", classes=["cat"], val_split=None, batch_size=2)
    data.set_tasks(NEEDS, Alternating(tasks=tuple(NEEDS)))
    batches = [*data.train_dataloader(), *data.train_dataloader()]
    drawn = {task: {name for b in batches if b.tasks == (task,) for name in b.ids} for task in NEEDS}
    assert drawn["semantic"] == {"c0", "c1", "c2", "o0"}
    assert drawn["instance"] == {"o0"}
    assert len(drawn["classification"]) > 4


def test_proportional_goes_by_the_images_that_are_trained_on(shapes_root, tmp_path):
    """24 images, of which every second has masks; the data are not read before the plan is asked for."""
    data, schedule = make(shapes_root, tmp_path), Proportional(tasks=tuple(NEEDS), seed=1)
    data.set_tasks(NEEDS, schedule)
    expected = Proportional(tasks=tuple(NEEDS), seed=1)
    expected.set_counts({"classification": 24, "semantic": 12, "instance": 12})
    assert [data.plan.tasks(step) for step in range(40)] == [expected.tasks(step, 0) for step in range(40)]


def test_evaluation_keeps_the_originals(devkit, tmp_path):
    indices = np.zeros((30, 40))
    indices[2:12, 4:24] = 1
    indices[11, 4:24] = 255
    devkit.image("a", objects=[("cat", (5, 3, 24, 12), 0), ("dog", (30, 20, 30, 20), 1)])
    devkit.mask("SegmentationObject", "a", indices)
    devkit.image("b", width=20)
    devkit.split("train", ["b"])
    devkit.split("test", ["b", "a"])
    data = make(
        devkit.root, tmp_path / "c", classes=["cat", "dog", "cow"], val_split=None,
        needs={"x": NEEDS["instance"], "y": NEEDS["classification"]},
    )  # fmt: skip
    (batch,) = data.test_dataloader()
    assert data.val_dataloader() == []
    assert batch.ids == ["b", "a"]
    assert batch.step == -1
    assert batch.scales.tolist() == pytest.approx([64 / 30, 64 / 40])
    canvas, original = batch.targets[1], batch.originals[1]
    assert (original.size, canvas.size) == ((30, 40), (48, 64))
    assert original["boxes"].xyxy.tolist() == [[4, 2, 24, 12], [29, 19, 30, 20]]
    assert torch.allclose(canvas["boxes"].xyxy, original["boxes"].xyxy * 1.6)
    assert original["classes"].tolist() == [1, 0, -1]
    assert original["masks"].shape == (2, 30, 40)
    assert original["masks"][0].sum() == 9 * 20
    assert not original["masks"][1].any()
    assert batch.originals[0]["boxes"].xyxy.shape == (0, 4)
    assert "masks" not in batch.originals[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_broken_while_training_is_told_in_one_line(devkit, tmp_path, workers):
    path = devkit.image("a", width=400, height=300)
    devkit.split("train", ["a"])
    data = make(devkit.root, tmp_path / "c", classes=["cat"], val_split=None, workers=workers, needs={"x": frozenset()})
    data.setup()
    path.write_bytes(path.read_bytes()[:9000])
    # [^\n]: no traceback of a worker in front of it. (Not `as error`: that would keep the worker for seconds.)
    with pytest.raises(
        DataError, match=r"\A[^\n]*a\.jpg: damaged or no picture \([^\n]*\); must be a whole image file\.\Z"
    ):
        list(data.train_dataloader())


def test_files_that_do_not_fit_each_other(devkit, tmp_path):
    path = devkit.image("a", objects=[("cat", (1, 1, 2, 2), 0)])
    devkit.split("train", ["a"])

    def load():
        data = make(devkit.root, tmp_path / "c", classes=["cat"], val_split=None, needs={"x": NEEDS["instance"]})
        return list(data.train_dataloader())

    with pytest.raises(DataError, match=r"heads\.x: none of the 1 training images is labelled"):
        load()
    devkit.mask("SegmentationObject", "a", np.zeros((30, 41)))
    with pytest.raises(DataError, match=r"SegmentationObject/a\.png: found a mask of 41 x 30 pixels"):
        load()
    devkit.mask("SegmentationObject", "a", np.full((30, 40), 2))
    with pytest.raises(DataError, match=r"found the index 2; allowed are 0\.\.1"):
        load()
    devkit.mask("SegmentationObject", "a", np.full((30, 40), 1))
    assert load()
    Image.new("RGB", (40, 31)).save(path)
    with pytest.raises(DataError, match=r"a\.jpg: found 40 x 31 pixels; its annotation says 40 x 30"):
        load()


def test_the_cut_is_disjoint_and_by_seed(shapes_root, tmp_path):
    def cut(seed):
        data = make(shapes_root, tmp_path, split="trainval", val_split=None, val_fraction=0.2, seed=seed)
        assert len(data.val_rows) == 6
        assert len(data.train_rows) == 24
        assert not np.intersect1d(data.train_rows, data.val_rows).size
        return data.val_rows.tolist()

    assert cut(1) == cut(1) != cut(2)


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        (
            {"split": "trainval"},
            ConfigError,
            r"dataset\.val_split: 'val' shares 6 images with dataset\.split='trainval'",
        ),
        ({"val_split": "train"}, ConfigError, r"dataset\.val_split: found 'train', which is trained on"),
        ({"val_split": None, "val_fraction": 0.99}, ConfigError, r"val_fraction: 0\.99 of .* leaves none of 24 images"),
        ({"root": None}, ConfigError, r"dataset\.root: is null"),
        ({"root": "/nowhere/at/all"}, DataError, r"dataset\.root: found no folder /nowhere/at/all"),
        ({"classes": ["circle", "circle"]}, ConfigError, r"dataset\.classes: found circle twice"),
        ({"classes": ["circle"]}, DataError, r"\.xml: object \d: unknown class '\w+'"),
        (
            {"generate": Shapes(), "classes": ["x"]},
            ConfigError,
            r"dataset\.classes: found \['x'\]; the drawn classes are",
        ),
        ({"split": "trian"}, DataError, r"no split 'trian' \(did you mean 'train'\?\)"),
        ({"labelled_per_batch": 9}, ConfigError, r"dataset\.labelled_per_batch: found 9 for 1 tasks"),
    ],
)
def test_mistakes(shapes_root, tmp_path, changed, kind, message):
    def start():
        data = make(shapes_root, tmp_path, **changed)
        data.setup()
        return list(data.train_dataloader())

    with pytest.raises(kind, match=message):
        start()


def test_counts_for_reports(shapes_root, tmp_path):
    data = make(shapes_root, tmp_path)
    counts = data.describe(data.train_rows)
    assert counts["images"] == 24
    assert counts["labelled"] == {"classes": 24, "boxes": 24, "semantic": 12, "masks": 12}
    assert sum(counts["objects_per_class"].values()) == counts["objects"]
    labels = [set(data.index.objects(int(row)).labels.tolist()) for row in data.train_rows]
    assert list(counts["images_per_class"].values()) == [sum(k in found for found in labels) for k in range(6)]
    assert counts["without_objects"] == sum(not found for found in labels)


class _Steps(pl.LightningModule):
    """Notes the number of every training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[int] = []

    def training_step(self, batch: Batch) -> torch.Tensor:
        self.seen.append(batch.step)
        return self.weight * 1.0

    def validation_step(self, batch: Batch) -> None:
        assert batch.step == -1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("workers", [0, 1])
def test_lightning_sees_every_step_once(shapes_root, tmp_path, workers):
    module, data = _Steps(), make(shapes_root, tmp_path, workers=workers)
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, datamodule=data)
    assert module.seen == list(range(9))


@pytest.mark.parametrize(("kind", "root"), [("voc2007", "VOCdevkit"), ("voc", "coco_voc20")])
def test_real_pictures(shared, tmp_path, kind, root):
    config = OmegaConf.load(f"conf/dataset/{kind}.yaml")
    config.merge_with({"root": str(shared / root), "cache_dir": str(tmp_path), "workers": 0, "size": 96})
    if kind == "voc":
        config.classes = (shared / root / "classes.txt").read_text().split()
    data = instantiate(config, seed=0, _convert_="all")
    data.prepare_data()
    data.setup()
    data.set_tasks(NEEDS, Joint(tasks=tuple(NEEDS)))
    for _, batch in zip(range(3), data.train_dataloader(), strict=False):
        assert len(batch) == 16
        for target in batch.targets:
            height, width = target.size
            boxes = target["boxes"].xyxy
            assert (boxes[:, 2:] > boxes[:, :2]).all()
            assert (boxes[:, 2] <= width).all()
            assert (boxes[:, 3] <= height).all()
    assert len(next(iter(data.test_dataloader()))) == 16


def test_the_meta_split_never_trains_and_its_batches_depend_on_the_step_alone(shapes_root, tmp_path):
    keys = {"meta_fraction": 0.25, "split": "trainval", "val_split": None, "val_fraction": 0.2}
    data = make(shapes_root, tmp_path, **keys)
    assert [len(rows) for rows in (data.train_rows, data.val_rows, data.meta_rows)] == [16, 6, 8]
    assert len(np.union1d(data.train_rows, np.union1d(data.val_rows, data.meta_rows))) == 30
    plain = [*data.train_dataloader()]
    assert all(batch.meta is None for batch in plain)
    other = make(shapes_root, tmp_path, **keys, seed=2)
    assert other.meta_rows.tolist() != data.meta_rows.tolist()

    def batches(start=0, **changed):
        data = make(shapes_root, tmp_path, **keys, **changed)
        data.set_tasks(NEEDS, Alternating(tasks=tuple(NEEDS)), meta_tasks=["semantic", "classification"], meta_every=2)
        data.start_step = start
        loader = data.train_dataloader()
        return [*loader, *loader]

    held_out = set(data.index.ids[data.meta_rows])
    seen = [batch.meta for batch in batches()]
    assert [meta is None for meta in seen] == [False, True, False, True]
    for step, meta in ((0, seen[0]), (2, seen[2])):
        assert (meta.step, meta.tasks, len(meta)) == (step, ("semantic", "classification"), 8)
        assert set(meta.ids) == held_out  # a round is 8 images, a batch too
        assert any("semantic" in target.labelled for target in meta.targets)
    assert not same(seen[0], seen[2])
    again = batches(start=2, workers=1)
    assert same(again[0].meta, seen[2])


def test_a_meta_split_that_is_missing_or_serves_no_task_is_refused(shapes_root, tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.meta_fraction: found 0, but this weighting learns"):
        make(shapes_root, tmp_path).set_tasks(NEEDS, Joint(tasks=tuple(NEEDS)), meta_tasks=["semantic"])
    data = make(shapes_root, tmp_path, meta_fraction=0.99)
    with pytest.raises(ConfigError, match=r"meta_fraction: 0\.99 of 'train' leaves none of 24 images to train on"):
        data.setup()
    for seed in range(1, 20):
        data = make(shapes_root, tmp_path, meta_fraction=0.01, seed=seed)
        data.set_tasks(NEEDS, Joint(tasks=tuple(NEEDS)), meta_tasks=["semantic"])
        if not data.index.labelled["semantic"][data.meta_rows].any():
            break
    with pytest.raises(DataError, match=r"meta_fraction: none of the 1 images .* is labelled for semantic"):
        data.batch_plan(0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are not forked")
def test_loading_processes_are_forked_whatever_a_launcher_starts_its_own_by() -> None:
    """A sweep by joblib starts processes by pickling, which a data set cannot be."""

    class Local(Dataset[int]):
        def __getitem__(self, place: int) -> int:
            return 10 * place

    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        assert list(BatchLoader(Local(), [1, 2], workers=1, pin_memory=False)) == [10, 20]
    finally:
        multiprocessing.set_start_method(before, force=True)
