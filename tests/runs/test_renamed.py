from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.runs.test_results import RESULTS
from vjo_train.config.compose import Composer
from vjo_train.config.conformity import check
from vjo_train.runs import run_folder
from vjo_train.runs.renamed import MOVED
from vjo_train.runs.results import Results


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """The config of a run of today."""
    cfg = Composer("train").compose(["trainer.max_epochs=3"])
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    del plain["hydra"]
    return {str(key): value for key, value in plain.items()}


def of_before(config: dict[str, Any]) -> dict[str, Any]:
    """The config with the names of the last revision."""
    text = json.dumps(config)
    for old, new in MOVED.items():
        assert new in text
        text = text.replace(new, old)
    before: dict[str, Any] = json.loads(text)
    return before


def test_a_run_of_the_last_revision_is_understood(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(of_before(config), tmp_path / run_folder.CONFIG)
    found = run_folder.load_config(tmp_path)
    check(found)
    assert found == OmegaConf.create(config)


def test_results_of_the_last_revision_compare_with_those_of_today(config: dict[str, Any]) -> None:
    text = json.dumps({"format": 1, **asdict(RESULTS), "config": of_before(config)})
    assert Results.from_json(text).config == config


def test_a_key_that_an_older_run_lacks_is_told_from_one_that_is_null() -> None:
    difference = run_folder.first_difference({"heads": {"width": 8}}, {"heads": {"width": 8, "classes": None}})
    assert difference == "heads.classes: absent there, None here"
