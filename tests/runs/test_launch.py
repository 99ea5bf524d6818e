"""Which processes of a run there are, by what their environment says."""

from __future__ import annotations

import pytest

from vjo_train.errors import ConfigError
from vjo_train.runs import launch
from vjo_train.runs.launch import Launch, launched, own_rank

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x",
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1",
    "GROUP_WORLD_SIZE": "2",
}
SLURM = {
    "SLURM_JOB_NAME": "vjo",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_PROCID": "5",
}
BY_HAND = {"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "1"}
BATCH_SCRIPT = {"SLURM_JOB_NAME": "vjo", "SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in {*TORCHRUN, *SLURM, *BY_HAND, *BATCH_SCRIPT}:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("words", "found", "rank"),
    [
        ({}, None, 0),
        (TORCHRUN, Launch("torchrun", 5, 8, 2, 4), 5),
        (SLURM, Launch("SLURM", 5, 8, 2, 4), 5),
        (SLURM | TORCHRUN | {"RANK": "3"}, Launch("torchrun", 3, 8, 2, 4), 3),
        (BY_HAND, Launch("NODE_RANK", 1, 2, 2, 4), 4),
        (BY_HAND | {"LOCAL_RANK": "2"}, None, 6),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"} | BY_HAND, Launch("NODE_RANK", 1, 2, 2, 4), 4),
        (SLURM | {"SLURM_JOB_NAME": "bash"} | BY_HAND, Launch("NODE_RANK", 1, 2, 2, 4), 4),
    ],
)
def test_what_started_a_process(
    environment: pytest.MonkeyPatch, words: dict[str, str], found: Launch | None, rank: int
) -> None:
    for name, value in words.items():
        environment.setenv(name, value)
    assert launched(4, 2 if words else 1) == found
    assert own_rank(4, 2) == rank


def test_a_node_rank_says_nothing_of_a_run_on_one_machine(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NODE_RANK", "1")
    assert (launched(2, 1), own_rank(2, 1)) == (None, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {},
            r"trainer\.num_nodes: found 2, .* torchrun --nnodes=2 or srun, or set MASTER_ADDR, MASTER_PORT, NODE_RANK",
        ),
        (BATCH_SCRIPT, r"trainer\.num_nodes: found 2, but nothing tells this process of the other machines"),
        (BY_HAND | {"NODE_RANK": "2"}, r"NODE_RANK: found 2; must be 0 to 1 with trainer\.num_nodes=2"),
        (BY_HAND | {"NODE_RANK": "b"}, r"NODE_RANK: found 'b' in the environment; must be a whole number"),
        (
            SLURM | {"SLURM_STEP_TASKS_PER_NODE": "5,3"},
            r"SLURM: found 8 tasks on 2 machines \(5,3\); each must have as",
        ),
    ],
)
def test_what_cannot_be_understood_is_refused(
    environment: pytest.MonkeyPatch, words: dict[str, str], message: str
) -> None:
    for name, value in words.items():
        environment.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        launched(1, 2)


def test_the_config_must_speak_of_the_processes_that_there_are() -> None:
    launch.check(None, 2, 1)
    launch.check(Launch("SLURM", 0, 8, 2, 4), 4, 2)
    with pytest.raises(
        ConfigError, match=r"devices=1: torchrun started 2 processes on 1 machine; set trainer\.num_nodes=1"
    ):
        launch.check(Launch("torchrun", 0, 2, 1, 2), 1, 1)
    with pytest.raises(ConfigError, match="SLURM started 1 process on each of 2 machines"):
        launch.check(Launch("SLURM", 0, 2, 2, 1), 2, 1)
