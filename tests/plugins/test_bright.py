"""A kind of label, a source, a head and a weighting of a user's own go the way of the built-in ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Answer
from tests.tiny import BACKBONE

HERE = Path(__file__).parent / "bright"
COMMON = ("-cd", str(HERE))
SMALL = (
    "dataset=bright",
    "heads=[detection,brightness]",
    "weighting=pcgrad",
    *BACKBONE,
    "neck.channels=16",
    "heads.detection.depth=1",
    "heads.detection.levels=[p4,p5]",
    "lr_schedule=constant",
    "dataset.generate.train=12",
    "dataset.generate.val=4",
    "dataset.generate.test=6",
    "dataset.generate.image_size=48",
    "dataset.size=[32,64]",
    "dataset.batch_size=4",
    "dataset.workers=0",
    "dataset.cache=ram",
    "dataset.root=drawn",
    "trainer.progress=false",
    "insight=[]",
)
Command = Callable[..., Answer]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `-cd` makes importable is importable for one test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "")


def weights(run: str) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(f"{run}/checkpoints/last.ckpt", weights_only=False)
    found: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return found


@pytest.mark.slow
def test_from_training_to_the_exported_file(command: Command) -> None:
    train = ("vjo-train", *COMMON, *SMALL)
    assert command(*train, "trainer.max_epochs=2", "hydra.run.dir=whole")[0] == 0
    results = json.loads(Path("whole/results.json").read_text())
    assert results["metrics"]["test/brightness/closeness"] <= 1
    assert results["counts"]["train"]["detection"] == 12
    assert results["counts"]["train"]["brightness"] < 12
    assert "brightness" in Path("whole/report.html").read_text()
    with Image.open("whole/val_predictions/epoch=01.png") as picture:
        assert picture.width > 100

    assert command(*train, "trainer.max_epochs=1", "hydra.run.dir=part")[0] == 0
    assert command(*train, "trainer.max_epochs=2", "trainer.resume=part", "hydra.run.dir=part")[0] == 0
    whole, part = weights("whole"), weights("part")
    assert all(torch.equal(whole[name], part[name]) for name in whole), "stopping changes nothing"

    assert command("vjo-eval", "run=whole", "dataset.split=val")[0] == 0
    source = "source='drawn/JPEGImages/2*.jpg'"
    assert command("vjo-predict", source, "run=whole", "output=seen")[0] == 0
    assert command("vjo-export", "run=whole", "tasks=[brightness]", "decoded=true", "output=net.onnx")[0] == 0
    assert command("vjo-predict", *COMMON, source, "model=net.onnx", "output=again")[0] == 0
    names = sorted(path.name for path in Path("seen/brightness").glob("*.png"))
    assert len(names) == 6
    for name in names:
        one, other = (np.asarray(Image.open(f"{folder}/brightness/{name}"), int) for folder in ("seen", "again"))
        assert one.shape == (48, 48)
        assert np.abs(one - other).max() <= 1
    assert command(*train, "weighting=softmin", "trainer.max_epochs=1", "hydra.run.dir=soft")[0] == 0
    status, out, _ = command("vjo-report", "runs=[whole,soft]", "output=compared")
    assert status == 0
    assert "closeness" in out
    assert "closeness" in Path("compared/report.html").read_text()


def test_a_data_set_is_summed_up_with_it(command: Command) -> None:
    words = [word for word in SMALL if word.startswith("dataset")]
    status, out, _ = command("vjo-data", "summary", *COMMON, *words, "output=summary")
    assert status == 0
    assert "with brightness" in out
    summary = json.loads(Path("summary/summary.json").read_text())
    assert summary["splits"]["test"]["labelled"] == {
        "classes": 6, "boxes": 6, "semantic": 3, "masks": 3, "brightness": 3
    }  # fmt: skip
    assert command("vjo-data", "check", *COMMON, *words, "output=checked")[0] == 0


def test_a_source_that_does_not_give_the_kind_is_refused(command: Command) -> None:
    status, _, err = command("vjo-train", *COMMON, *SMALL, "dataset=shapes_plain", "hydra.run.dir=none")
    assert status == 2
    assert "heads.brightness: needs labels of the kind brightness; this data set gives classes, boxes" in err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("dataset.source.every=0", "dataset.source.every: found 0 (a whole number); must be a whole number >= 1."),
        ("heads.brightness.strength=-1", "heads.brightness.strength: found -1"),
        ("heads.brightness.strenght=1", "did you mean 'strength'?"),
        ("weighting=softmin weighting.strength=0", "weighting.strength: found 0"),
        ("dataset.source._target_=ownbright.source.BrigtVOC", "did you mean 'BrightVOC'?"),
    ],
)
def test_mistakes_in_its_keys_are_found_before_anything_starts(command: Command, word: str, message: str) -> None:
    status, _, err = command("vjo-train", *COMMON, *SMALL, *word.split())
    assert status == 2
    assert message in err
