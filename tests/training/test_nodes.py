"""Two machines of one process each, which are two agents of torchrun on this one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.processes import free_port, started, task, torchrun
from tests.slurm import install
from tests.training.test_run import SMALL, config, rows, train, weights
from vjo_train.config import build
from vjo_train.report.examples import read_examples
from vjo_train.runs.records import FILE, read_records
from vjo_train.runs.results import read_results

NODES = ["trainer.num_nodes=2", "trainer.devices=1"]
EXACT = [
    *("backbone._target_=tests.tiny.TinyBackbone", "trainer.max_epochs=1", "heads.classification.dropout=0"),
    *("trainer.precision=32-true", "weighting=pcgrad", "dataset.generate.train=8", "dataset.generate.test=5"),
]


@dataclass
class Pair:
    """One process, and the same run on two machines: rank 0 decides the folder of all."""

    one: Path
    two: Path
    said: list[str]
    opened: list[set[str]]


def on_two_machines(folder: Path, words: list[str]) -> list[int | None]:
    """Exit codes of both machines' agents; what rank R says goes to `said.R`."""
    port = free_port()
    with ExitStack() as stack:
        agents = [stack.enter_context(started(torchrun, words, folder / "said", 2, port)) for _ in range(2)]
        return ended(agents)


@contextmanager
def tasks(folder: Path, words: Sequence[Sequence[str]], slurm: bool) -> Iterator[list[BaseProcess]]:
    """The command of each machine, by srun or by hand; what rank R says goes to `said.R`."""
    port = free_port()
    with ExitStack() as stack:
        yield [
            stack.enter_context(started(task, [*SMALL, *own], folder / "said", number, port, slurm))
            for number, own in enumerate(words)
        ]


def ended(processes: list[BaseProcess]) -> list[int | None]:
    """Exit codes."""
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def said(folder: Path) -> list[str]:
    return [(folder / f"said.{rank}").read_text() for rank in range(2)]


@pytest.fixture(scope="module")
def pair(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("nodes")
    one = train(cache, folder / "one", *EXACT)
    place = f"hydra.run.dir='{folder}/two/${{now:%S-%f}}'"  # no two processes would name the same
    words = [*SMALL, *EXACT, *NODES, f"dataset.cache_dir={cache}", "dataset.cache=ram", place]
    codes = on_two_machines(folder, words)
    assert codes == [0, 0], [text[-3000:] for text in said(folder)]
    (two,) = (folder / "two").iterdir()
    opened = [set((folder / f"said.opened.{rank}").read_text().split()) for rank in range(2)]
    return Pair(one, two, said(folder), opened)


def test_two_machines_take_the_steps_of_one_process(pair: Pair) -> None:
    a, b = weights(pair.one), weights(pair.two)
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], atol=2e-5, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
    results = [read_results(folder / "results.json") for folder in (pair.one, pair.two)]
    assert results[0].metrics == pytest.approx(results[1].metrics, abs=1e-3, nan_ok=True)
    assert rows(pair.one)[0].keys() == rows(pair.two)[0].keys()


def test_what_is_kept_of_every_test_image_is_gathered(pair: Pair) -> None:
    one, two = (read_records(folder / FILE) for folder in (pair.one, pair.two))
    assert one.keys() == two.keys() == {"classification", "detection"}
    for name, known in one.items():
        assert two[name].ids == known.ids
        np.testing.assert_allclose(two[name].records.quality(), known.records.quality(), atol=1e-5)
    shown = [[(e.image, e.why, e.task) for e in read_examples(folder)] for folder in (pair.one, pair.two)]
    assert shown[0] == shown[1]
    assert len(shown[0]) > 4


def test_one_of_them_speaks(pair: Pair) -> None:
    assert "Results:" in pair.said[0]
    assert pair.said[1] == ""


def test_each_opens_its_own_pictures_alone(pair: Pair, cache: Path, tmp_path: Path) -> None:
    data = build.job(config(cache, EXACT), tmp_path).data
    data.setup("fit")
    ids = data.index.ids
    firsts = {str(ids[data.rows(split)[0]]) for split in ("train", "val", "test")}  # whose header tells the depth
    drawn = {example.image for example in read_examples(pair.two)}
    for rank in range(2):
        trained = {sample.image for step in range(2) for sample in data.batch_plan(step, rank, 2).samples}
        evaluated = {*data.val_rows[rank::2].tolist(), *data.rows("test")[rank::2].tolist()}
        own = {str(ids[row]) for row in trained | evaluated}
        assert own <= pair.opened[rank] <= own | firsts | (set() if rank else drawn)


def test_each_keeps_its_share_of_the_validation_in_memory(pair: Pair) -> None:
    for log in ("train.log", "train.rank1.log"):
        assert "dataset.cache=ram keeps 10 images" in (pair.two / log).read_text(), "8 to train, 2 of 4 to validate"


def test_a_signal_to_one_of_them_stops_both_and_both_go_on(cache: Path, tmp_path: Path) -> None:
    """Started by hand on each machine, and gone on with by SLURM."""
    place = [*EXACT, *NODES, f"dataset.cache_dir={cache}", f"hydra.run.dir={tmp_path}/run", "trainer.resume=auto"]
    with tasks(tmp_path, [[*place, "trainer.max_epochs=10000"]] * 2, slurm=False) as processes:
        while not (tmp_path / "run/metrics.csv").is_file() and processes[0].is_alive():
            time.sleep(0.1)
        assert processes[1].pid is not None
        os.kill(processes[1].pid, signal.SIGUSR1)
        assert ended(processes) == [130, 130], said(tmp_path)
    assert "goes on from here" in said(tmp_path)[0]
    assert said(tmp_path)[1] == ""
    epochs = len(rows(tmp_path / "run"))
    with tasks(tmp_path, [[*place, f"trainer.max_epochs={epochs + 1}"]] * 2, slurm=True) as processes:
        assert ended(processes) == [0, 0], said(tmp_path)
    assert "Going on from" in said(tmp_path)[0]
    assert read_results(tmp_path / "run/results.json").epochs == epochs + 1 == len(rows(tmp_path / "run"))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (([], ["seed=2"]), r"rank 1 on .* was given another config: seed: 2 there, 1 here \(rank 0\)\."),
        (
            ([], ["trainer.devices=2"]),
            r"rank 1 on .*: trainer\.num_nodes=2 trainer\.devices=2: SLURM started 1 process",
        ),
        ((["weighting=dva"], ["weighting=dva"]), r"weighting=dva: no such choice; did you mean 'dwa'\?"),
        ((["optimizer.lr=1e30"], ["optimizer.lr=1e30"]), r"is not finite at batch"),
    ],
    ids=["config", "devices", "mistake", "training"],
)
def test_both_end_with_one_message(cache: Path, tmp_path: Path, own: tuple[list[str], list[str]], message: str) -> None:
    common = [*EXACT, *NODES, f"dataset.cache_dir={cache}", f"hydra.run.dir={tmp_path}/run"]
    with tasks(tmp_path, [[*common, *words] for words in own], slurm=True) as processes:
        assert ended(processes) == [2, 2], said(tmp_path)
    assert not any("Traceback" in text for text in said(tmp_path)), said(tmp_path)
    lines = [line for text in said(tmp_path) for line in text.splitlines() if "error:" in line]
    assert len(lines) == 1, said(tmp_path)
    assert re.search(message, lines[0]), lines


@pytest.mark.slow
def test_a_launcher_starts_every_process_of_a_run(cache: Path, tmp_path: Path) -> None:
    """A sweep whose runs are jobs of SLURM, of two machines each."""
    (tmp_path / "bin").mkdir()
    install(tmp_path / "bin")
    own = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [*SMALL, *EXACT, *NODES, f"dataset.cache_dir={cache}", "seed=1", f"hydra.sweep.dir={tmp_path}/sweep"]
    launcher = ["-m", "hydra/launcher=slurm", "hydra.launcher.nodes=2"]
    done = subprocess.run(
        [sys.executable, "-m", "vjo_train.cli", *launcher, *words],
        **{"env": os.environ | own, "cwd": tmp_path, "timeout": 240, "capture_output": True, "text": True},
        check=False,
    )
    logs = "".join(path.read_text() for path in (tmp_path / "sweep").rglob("*_log.*"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:] + logs[-3000:]
    assert read_results(tmp_path / "sweep/0/results.json").device["devices"] == 2
    assert logs.count("Results:") == 1
