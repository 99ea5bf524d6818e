"""`compare.budget`: what is held equal between a method and the tasks alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, open_dict
from torch.utils.flop_counter import FlopCounterMode

from vjo_train.comparison import budget
from vjo_train.comparison.plan import Case, cases, groups
from vjo_train.config import build
from vjo_train.config.checks.training import check_training
from vjo_train.config.compose import Composer
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.training.arithmetic import epoch_flops

Answer = tuple[int, str, str]
WORDS = ("experiment=compare", "~heads.semantic", "compare.budget=compute", "seed=1")
TINY = (
    *("~backbone", "+backbone._target_=tests.tiny.BatchNormBackbone", "neck.channels=16"),
    *("dataset.generate.train=8", "dataset.generate.val=4", "dataset.generate.test=4"),
    *("dataset.generate.image_size=32", "dataset.size=32", "dataset.batch_size=4", "dataset.workers=0"),
    *("trainer.max_epochs=5", "insight=[]", "trainer.check_val_every_n_epoch=5", "trainer.progress=false"),
    *("trainer.drawn_images=0", "trainer.accelerator=cpu"),
)


def test_a_method_spends_what_the_tasks_alone_spend_together() -> None:
    assert budget.epochs(5.0, [3.0, 4.0], 10) == 14
    assert budget.epochs(30.0, [3.0, 4.0], 1) == 1, "never none"


def test_methods_are_measured_by_the_tasks_alone_with_the_same_labels() -> None:
    cfg = Composer("train").compose(["experiment=compare", "compare.methods=[equal]", "compare.labels=[0.5,1]"])
    found = cases(cfg)
    assert groups(found) == [
        ([c.name for c in found[:3]], [found[3].name]),
        ([c.name for c in found[4:7]], [found[7].name]),
    ]
    flops = {case.name: 1.0 + number for number, case in enumerate(found)}
    longer = budget.lengthened(found, flops, 10)
    assert [case.words[-1] for case in longer if "single-" not in case.name] == [
        f"trainer.max_epochs={round(10 * (1 + 2 + 3) / 4)}",
        f"trainer.max_epochs={round(10 * (5 + 6 + 7) / 8)}",
    ]
    assert all(case.words[-1] == "trainer.max_epochs=10" for case in longer[:3])


def composed(*words: str) -> DictConfig:
    cfg = Composer("train").compose(["experiment=compare", "~heads.semantic", *TINY, *words])
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def flops(tmp_path: Path, *words: str) -> float:
    found = epoch_flops(build.job(composed(*words), tmp_path))
    assert not list(tmp_path.iterdir()), "nothing is written"
    return found


def test_what_two_networks_cost_more_than_one_is_the_backbone(tmp_path: Path) -> None:
    alone = [flops(tmp_path, f"single={task}") for task in ("classification", "detection")]
    together = flops(tmp_path)
    backbone = build.model(composed()).sharing.backbone
    with FlopCounterMode(display=False) as counter:
        backbone(torch.zeros(4, 3, 32, 32))["c5"].sum().backward()
    assert sum(alone) - together == 2 * counter.get_total_flops(), "in two steps"
    assert flops(tmp_path, "weighting=pcgrad") > together, "every backward counts"


def test_a_calibration_is_not_taken_for_all_of_the_training(tmp_path: Path) -> None:
    assert flops(tmp_path, "weighting=balanced", "weighting.batches=3") == flops(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.max_steps=5"], "trainer.max_steps: must be null under compare.budget=compute"),
        (["compare.methods=['equal trainer.max_epochs=3']"], "sets a length, which compare.budget=compute decides"),
        (["compare.methods=['equal ++trainer.max_steps=3']"], "sets a length, which compare.budget=compute decides"),
        (["distill=features"], "compare.budget: found compute, which counts before there are teachers for distill"),
        (["compare.budget=flops"], "compare.budget: found 'flops'"),
    ],
)
def test_what_cannot_be_held_equal_is_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message.replace("'", ".")):
        check_training(Composer("train"), [*WORDS, *words], multirun=True)


def test_a_comparison_at_equal_arithmetic(command: Callable[..., Answer]) -> None:
    words = (*WORDS, *TINY, "compare.methods=[equal]")
    status, out, err = command("vjo-train", "-m", *words)
    assert status == 0, err
    assert "Arithmetic of case 3 of 3: equal" in out
    counted = json.loads(Path("multirun/compare", budget.FILE).read_text())
    own = {case: entry["flops"] for case, entry in counted.items()}
    expected = round(5 * (own["single-classification"] + own["single-detection"]) / own["equal"])
    assert expected == 6
    results = {p.parts[-3]: json.loads(p.read_text()) for p in Path("multirun/compare").rglob("results.json")}
    assert {case: found["epochs"] for case, found in results.items()} == {
        "single-classification": 5,
        "single-detection": 5,
        "equal": expected,
    }
    report = Path("multirun/compare/report.md").read_text()
    assert "a method has as many whole epochs as cost" in report
    assert "Unequal budgets" not in report
    assert "Settings differ" not in report
    assert f"| equal | - | 0.002 |  | {expected} |" in report
    again = check_training(Composer("train"), list(words), multirun=True)
    assert not again.counts
    assert all(run.finished for run in again.comparison)
    Path("multirun/compare", budget.FILE).write_text("[")
    with pytest.raises(CheckpointError, match=r"arithmetic.json is damaged"):
        check_training(Composer("train"), list(words), multirun=True)


def test_cases_counted_with_other_words_are_counted_again(tmp_path: Path) -> None:
    wanted = budget.counts(Composer("train"), [Case("equal", ("weighting=equal",))], [*WORDS], 1)
    entry = {"equal": {"words": list(wanted[0].words), "flops": 7.0}}
    (tmp_path / budget.FILE).write_text(json.dumps(entry))
    assert budget.read(tmp_path, wanted) == {"equal": 7.0}
    other = budget.counts(Composer("train"), [Case("equal", ("weighting=equal",))], [*WORDS, "dataset.size=64"], 1)
    assert budget.read(tmp_path, other) == {}
