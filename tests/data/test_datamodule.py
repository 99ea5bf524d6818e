from __future__ import annotations

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from vjo_train.data.datamodule import DataModule
from vjo_train.data.shapes import CLASSES, Shapes
from vjo_train.data.transforms import Augment
from vjo_train.errors import ConfigError, DataError
from vjo_train.schedules.alternating import Alternating
from vjo_train.schedules.joint import Joint
from vjo_train.types import Batch

NEEDS = {
    "classification": frozenset({"classes"}),
    "semantic": frozenset({"semantic"}),
    "instance": frozenset({"boxes", "masks"}),
}


def make(where, cache, needs=NEEDS, **changed) -> DataModule:
    keys = {
        "root": str(where),
        "classes": list(CLASSES),
        "split": "train",
        "val_split": "val",
        "val_fraction": 0.0,
        "test_split": "test",
        "size": 64,
        "batch_size": 8,
        "eval_batch_size": 4,
        "workers": 0,
        "labelled_per_batch": 1,
        "cache_dir": str(cache),
        "augment": Augment(zoom_out=0.5, crop=0.5, flip=0.5, jitter=0.5),
        "seed": 1,
    }
    data = DataModule(**{**keys, **changed})
    data.bind(needs, Joint(tasks=tuple(needs)))
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


def test_targets_agree_with_the_picture(shapes_root, tmp_path):
    seen = 0
    for batch in make(shapes_root, tmp_path).train_dataloader():
        assert batch.images.shape == (8, 3, 64, 64)
        assert batch.images.dtype == torch.uint8
        assert batch.tasks == tuple(NEEDS)
        assert batch.originals == []
        assert sum("masks" in target.labelled for target in batch.targets) >= 1
        for target in batch.targets:
            assert target.boxes.shape == (len(target.labels), 4)
            assert target.boxes.dtype == torch.float32
            assert target.difficult.dtype == torch.bool
            assert target.classes.dtype == torch.int8
            for k in range(len(CLASSES)):
                flags = target.difficult[target.labels == k]
                assert target.classes[k] == (-1 if not len(flags) else 0 if flags.all() else 1)
            assert (target.semantic is not None) == ("semantic" in target.labelled)
            if target.masks is None:
                continue
            seen += 1
            assert target.masks.shape == (len(target.labels), 64, 64)
            for mask, label in zip(target.masks, target.labels, strict=True):
                assert (target.semantic[mask] == label + 1).all()
    assert seen


def test_masks_are_read_only_for_tasks_that_are_on(shapes_root, tmp_path):
    data = make(shapes_root, tmp_path)
    data.bind(NEEDS, Alternating(tasks=tuple(NEEDS)))
    first, second, third = data.train_dataloader()
    assert all(target.labelled == {"classes", "boxes"} for target in first.targets)
    assert all(target.labelled == {"classes", "boxes", "semantic"} for target in second.targets)
    assert all(target.semantic is None and target.masks is not None for target in third.targets)


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
        devkit.root, tmp_path / "c", classes=["cat", "dog", "cow"], val_split=None, needs={"x": NEEDS["instance"]}
    )
    (batch,) = data.test_dataloader()
    assert data.val_dataloader() == []
    assert batch.ids == ["b", "a"]
    assert batch.step == -1
    assert batch.scales.tolist() == pytest.approx([64 / 30, 64 / 40])
    canvas, original = batch.targets[1], batch.originals[1]
    assert (original.size, canvas.size) == ((30, 40), (48, 64))
    assert original.boxes.tolist() == [[4, 2, 24, 12], [29, 19, 30, 20]]
    assert torch.allclose(canvas.boxes, original.boxes * 1.6)
    assert original.classes.tolist() == [1, 0, -1]
    assert original.masks.shape == (2, 30, 40)
    assert original.masks[0].sum() == 9 * 20
    assert not original.masks[1].any()
    assert batch.originals[0].boxes.shape == (0, 4)
    assert batch.originals[0].masks is None


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_told_in_one_line(devkit, tmp_path, workers):
    path = devkit.image("a", width=400, height=300)
    path.write_bytes(path.read_bytes()[:9000])
    devkit.split("train", ["a"])
    data = make(devkit.root, tmp_path / "c", classes=["cat"], val_split=None, workers=workers, needs={"x": frozenset()})
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
    with pytest.raises(DataError, match=r"a\.jpg: found 40 x 31 pixels; Annotations/a\.xml says 40 x 30"):
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
        ({"val_fraction": 0.5}, ConfigError, r"dataset\.val_fraction: found 0\.5 next to dataset\.val_split=val"),
        ({"val_split": None, "val_fraction": 0.99}, ConfigError, "leaves none to train on"),
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
        ({"labelled_per_batch": 3}, ConfigError, r"dataset\.labelled_per_batch: found 3 for 3 tasks"),
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
    labels = [set(data.index.annotation(int(row)).labels.tolist()) for row in data.train_rows]
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
    data.bind(NEEDS, Joint(tasks=tuple(NEEDS)))
    for _, batch in zip(range(3), data.train_dataloader(), strict=False):
        assert len(batch) == 16
        for target in batch.targets:
            height, width = target.size
            assert (target.boxes[:, 2:] > target.boxes[:, :2]).all()
            assert (target.boxes[:, 2] <= width).all()
            assert (target.boxes[:, 3] <= height).all()
    assert len(next(iter(data.test_dataloader()))) == 16
