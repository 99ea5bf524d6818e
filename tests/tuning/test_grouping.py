"""`vjo-tune grouping=true`: mistakes, and a proposal from a joint run of a miniature that is not trained twice."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.test_run import SMALL
from vjo_train.config.compose import Composer
from vjo_train.tuning.grouping import as_markdown, proposals, written

Answer = tuple[int, str, str]
THREE = "heads=[classification,detection,semantic]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("grouping=true", "heads: found classification, detection; a grouping needs at least three"),
        ("grouping=true tune.space={optimizer.lr:[1]}", "tune.space: grouping=true searches no settings"),
        (f"grouping=true {THREE} insight=regions", "insight: grouping=true needs affinity among them"),
        (f"grouping=true {THREE} tune.networks=0", "tune.networks: found 0"),
        (f"grouping=3 {THREE}", "grouping: found 3"),
        ("grouping=false", "tune.space: missing"),
    ],
)
def test_mistakes(command: Callable[..., Answer], words: str, message: str) -> None:
    status, _, err = command("vjo-tune", *words.split())
    assert message in err
    assert status == 2
    assert not list(Path().iterdir())


def test_a_grouping_is_proposed_from_one_joint_run(command: Callable[..., Answer], tmp_path: Path) -> None:
    words = [*SMALL[:-1], f"dataset.cache_dir={tmp_path / 'cache'}", "trainer.max_epochs=1", "name=g", THREE]
    words += ["insight=[affinity]", "insight.affinity.every=1"]
    status, out, err = command("vjo-tune", *words, "grouping=true", "tune.networks=2")
    assert (status, err) == (0, "")
    folder = tmp_path / "tune" / "g"
    found = json.loads((folder / "grouping.json").read_text())
    assert len(found["affinity"]) == 6
    assert [one["networks"] for one in found["groupings"]] in ([1], [1, 2])
    assert sorted(task for one in found["groupings"][-1]["groups"] for task in one) == [
        "classification",
        "detection",
        "semantic",
    ]
    results = folder / "joint" / "results.json"
    before = results.stat().st_mtime_ns
    status, again, _ = command("vjo-tune", *words, "grouping=true", "tune.networks=2")
    assert results.stat().st_mtime_ns == before
    assert again.strip().endswith("grouping.md")
    last = [line for line in out.splitlines() if line.startswith("vjo-train")][-1]
    tree = next(word for word in shlex.split(last) if word.startswith("sharing.branches="))
    assert set(Composer("train").compose([THREE, "sharing=branched", tree]).sharing.branches) == {"c4", "c5"}


def test_more_networks_are_proposed_only_where_they_promise_more() -> None:
    tasks = ("a", "b", "c")
    helpful = {(i, j): 0.1 for i in tasks for j in tasks if i != j}
    assert proposals(helpful, tasks, 3) == [(tasks,)]
    harmful = {**helpful, ("a", "c"): -0.3, ("b", "c"): -0.3}
    assert proposals(harmful, tasks, 3) == [(tasks,), (("a", "b"), ("c",))]


def test_commands_train_one_network_a_group() -> None:
    given = ["heads=[a,b,c]", "name=x y", "insight.affinity.every=2"]
    text = as_markdown({("a", "b"): 0.1}, [(("a", "b"), ("c",))], {"c4": (("a",), ("b", "c"))}, given)
    assert "vjo-train 'name=x y' 'heads=[a,b]'\nvjo-train 'name=x y' 'heads=[c]'" in text
    assert "vjo-train 'heads=[a,b,c]' 'name=x y' sharing=branched 'sharing.branches={c4: [[a], [b, c]]}'" in text
    assert "| 2 | a + b; c | 3.33" in text


def test_a_tree_as_an_override() -> None:
    assert written({"c4": (("a",), ("b", "c"))}) == "{c4: [[a], [b, c]]}"
