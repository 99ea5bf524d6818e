"""The classes of a data set that names them itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.conftest import Answer
from vjo_train.config import build
from vjo_train.config.checks.training import check_training
from vjo_train.config.compose import Composer
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shapes import Shapes
from vjo_train.errors import ConfigError, DataError


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    Shapes(train=6, val=2, test=2, image_size=32).write(tmp_path / "it's, drawn")
    return tmp_path / "it's, drawn"


def words(root: Path) -> list[str]:
    text = str(root).replace("'", "\\'")
    return ["dataset=voc", f"dataset.root='{text}'", "dataset.split=train", "dataset.size=32"]


def test_they_are_those_of_the_annotations_by_the_alphabet(command: Callable[..., Answer], drawn: Path) -> None:
    assert command("vjo-data", "summary", *words(drawn), "output=summary")[0] == 0
    summary = json.loads(Path("summary/summary.json").read_text())
    assert summary["classes"] == sorted(summary["classes"])
    assert set(summary["classes"]) <= set(CLASSES)
    assert sum(summary["splits"]["train"]["objects_per_class"].values()) == summary["splits"]["train"]["objects"]


def test_a_run_and_a_sweep_are_given_them(drawn: Path) -> None:
    composer = Composer("train")
    for multirun in (False, True):
        (added,) = [word for word in check_training(composer, words(drawn), multirun).added if "classes" in word]
        cfg = composer.compose([*words(drawn), added])
        assert OmegaConf.to_container(cfg.dataset.classes) == sorted(cfg.dataset.classes)
    given = [*words(drawn), f"dataset.classes=[{','.join(CLASSES)}]"]
    assert check_training(composer, given, False).added == []


def test_a_set_without_objects_names_none(drawn: Path) -> None:
    for path in (drawn / "Annotations").iterdir():
        path.write_text("<annotation><size><width>32</width><height>32</height></size></annotation>")
    with pytest.raises(DataError, match="found no object in any"):
        check_training(Composer("train"), words(drawn), False)


def test_a_wrong_folder_is_told_before_the_network_is_built(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    wrong = ["dataset=voc", f"dataset.root='{tmp_path}'", "dataset.classes=[a]", "heads=[detection]"]
    cfg = Composer("train").compose([*wrong, "heads.detection.levels=[p9]"])
    with pytest.raises(DataError, match=r"holds neither JPEGImages/ nor VOC\*/JPEGImages/.* dataset=yolo"):
        build.job(cfg, tmp_path / "run")


def test_other_mistakes_are_told_before_the_data_are_read(tmp_path: Path) -> None:
    words = ["dataset=voc", f"dataset.root='{tmp_path}'", "heads=[detection]"]
    with pytest.raises(ConfigError, match=r"optimizer\.lr: found -1"):
        check_training(Composer("train"), [*words, "optimizer.lr=-1"], multirun=False)
    with pytest.raises(DataError, match="holds neither JPEGImages"):
        check_training(Composer("train"), words, multirun=False)
