from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from vjo_train.config.compose import Composer
from vjo_train.config.schema import check
from vjo_train.runs import run_folder
from vjo_train.runs.renamed import MOVED


def test_a_run_of_the_last_revision_is_understood(tmp_path: Path) -> None:
    cfg = Composer("train").compose(["trainer.max_epochs=3"])
    plain = OmegaConf.to_container(cfg, resolve=False)
    del plain["hydra"]
    text = OmegaConf.to_yaml(OmegaConf.create(plain))
    for old, new in MOVED.items():
        assert new in text or old == "vjo_train.lr_schedules."
        text = text.replace(new, old)
    (tmp_path / ".hydra").mkdir()
    (tmp_path / run_folder.CONFIG).write_text(text)
    found = run_folder.load_config(tmp_path)
    check(found)
    assert found == OmegaConf.create(plain)
