import json
import math
import subprocess
from dataclasses import asdict, fields

import pytest
import torch

from vjo_train.errors import CheckpointError
from vjo_train.report.environment import describe_device, git_revision, package_versions
from vjo_train.runs.results import Results, name_per_class, read_results, write_results

RESULTS = Results(
    metrics={"test/detection/map_voc07": 0.5, "test/classification/map": math.nan},
    per_class={"test/detection/ap_voc07": {"dog": 0.5, "cat": math.nan}},
    monitors=["test/detection/map_voc07"],
    config={"seed": 1, "trainer": {"max_epochs": 2, "early_stopping": None, "x": math.inf}, "heads": ["a"]},
    overrides=["seed=1"],
    seed=1,
    versions={"torch": "2"},
    git=None,
    device={"type": "cpu", "name": "é", "devices": 1, "cores": 2},
    precision="32-true",
    data="abc",
    checkpoint="checkpoints/best.ckpt",
    epochs=2,
    steps=10,
    wall_seconds=3.5,
    images_per_second=100.0,
    data_wait=math.nan,
    parameters=12,
    test_seconds=0.5,
    inference_images_per_second=80.0,
    inference_flops=3e9,
)


def test_round_trip_keeps_everything_and_nan(tmp_path):
    write_results(tmp_path / "results.json", RESULTS)
    back = read_results(tmp_path / "results.json")
    simple = {f.name for f in fields(Results)} - {"metrics", "per_class", "config", "data_wait"}
    assert {name: getattr(back, name) for name in simple} == {name: getattr(RESULTS, name) for name in simple}
    assert math.isnan(back.data_wait)
    assert back.metrics["test/detection/map_voc07"] == 0.5
    assert math.isnan(back.metrics["test/classification/map"])
    assert math.isnan(back.per_class["test/detection/ap_voc07"]["cat"])
    assert back.config["trainer"] == {"max_epochs": 2, "early_stopping": None, "x": None}
    assert back.to_json() == RESULTS.to_json()


def test_a_file_of_before_the_budgets_is_read():
    content = json.loads(RESULTS.to_json())
    for name in ("parameters", "test_seconds", "inference_images_per_second", "inference_flops"):
        del content[name]
    old = Results.from_json(json.dumps(content))
    assert (old.parameters, old.metrics["test/detection/map_voc07"]) == (0, 0.5)
    assert math.isnan(old.test_seconds)


def test_file_is_strict_json_with_sorted_keys_and_readable_by_others(tmp_path):
    path = tmp_path / "run" / "results.json"
    write_results(path, RESULTS)
    content = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content["metrics"]["test/classification/map"] is None
    assert list(content) == sorted(content)
    assert set(content) == {"format", *asdict(RESULTS)}
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"results\.json"):
        read_results(path)
    with pytest.raises(CheckpointError, match="did not finish"):
        read_results(tmp_path / "other" / "results.json")


def test_per_class_figures_get_names():
    named = name_per_class("test", {"detection": {"ap": torch.tensor([0.25, 0.5])}}, {"detection": ["a", "b"]})
    assert named == {"test/detection/ap": {"a": 0.25, "b": 0.5}}


def test_environment_names_what_ran():
    versions = package_versions()
    assert {"vjo_train", "python", "torch", "torchvision", "pytorch_lightning", "hydra_core"} <= set(versions)
    device = describe_device(torch.device("cpu"))
    assert device["type"] == "cpu"
    assert device["name"]
    assert int(device["cores"]) >= 1


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_git_revision_of_a_tracked_file_only(tmp_path, monkeypatch):
    tracked, other = tmp_path / "a.py", tmp_path / "b.py"
    tracked.write_text("1")
    other.write_text("1")
    assert git_revision(tracked) is None
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "x")
    revision = git_revision(tracked)
    assert revision is not None
    assert len(revision) == 40
    assert git_revision(other) is None
    tracked.write_text("2")
    assert git_revision(tracked) == f"{revision}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(tracked) is None
