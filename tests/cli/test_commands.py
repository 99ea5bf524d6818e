"""The commands: help, completion, speed without torch, resuming, evaluating another split."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from vjo_train.cli import answer, help_page
from vjo_train.config.checks.finished_run import EVAL, check_evaluation
from vjo_train.config.checks.training import check_training
from vjo_train.config.compose import Composer, quoted
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs import run_folder

Answer = tuple[int, str, str]
CONF = Path(__file__).parents[2] / "conf"


def start(code: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own; the last line of stderr says whether torch was imported."""
    program = f"import sys\nfrom vjo_train.cli import commands as cli\ntry:\n    {code}\nfinally:\n    " + (
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["train", "--help"], 0),
        (["train", "--cfg", "job"], 0),
        (["train", "trainer.max_epoch=3"], 2),
        (["train", "weighting=dva"], 2),
        (["predict", "--help"], 0),
        (["predict", "run=nowhere"], 2),
        (["export", "--help"], 0),
        (["data", "--help"], 0),
        (["data", "summary", "dataset.roo=x"], 2),
    ],
)
def test_answers_without_torch(words: list[str], status: int) -> None:
    begin = time.perf_counter()
    done = start(f"cli.{words[0]}()", *words[1:])
    print(f"{' '.join(words)}: {time.perf_counter() - begin:.2f} s")
    assert done.returncode == status
    assert done.stderr.splitlines()[-1] == "False"


def test_help_lists_every_choice_within_80_columns(command: Callable[..., Answer]) -> None:
    status, out, _ = command("vjo-train", "--help")
    assert status == 0
    assert max(map(len, out.splitlines())) <= help_page.WIDTH
    for file in CONF.glob("*/*.yaml"):
        if file.parent.name != "hydra":
            assert file.stem in out
            assert help_page.summary(file)[:20] in out
    assert "  * balanced " in out
    for key in help_page.KEYS:
        assert f"  {key} " in out, "a key in the help that no config has"


@pytest.mark.parametrize("name", ["eval", "predict", "export", "data"])
def test_help_of_the_other_commands(command: Callable[..., Answer], name: str) -> None:
    status, out, _ = command(f"vjo-{name}", "-h")
    assert status == 0
    assert max(map(len, out.splitlines())) <= help_page.WIDTH
    assert "  -m " not in out
    for key in OmegaConf.load(CONF / f"{name}.yaml"):
        if key not in ("defaults", "hydra"):
            assert f"\n  {key} " in out


@pytest.mark.parametrize(
    ("line", "choices"), [("weighting=d", "weighting=dwa"), ("trainer.max_ep", "trainer.max_epochs=")]
)
def test_completion(line: str, choices: str) -> None:
    done = start("cli.train()", "-sc", "query=bash", COMP_LINE=f"vjo-train {line}")
    assert choices in done.stdout.split()
    assert done.stderr.splitlines()[-1] == "False"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_installs_in_bash(tmp_path: Path) -> None:
    program = tmp_path / "vjo-train"
    program.write_text(f"#!{sys.executable}\nfrom vjo_train.cli import commands as cli\ncli.train()\n")
    program.chmod(0o755)
    script = (
        'eval "$(vjo-train -sc install=bash)"; COMP_LINE="vjo-train weighting=dw"; COMP_POINT=22; COMP_CWORD=1;'
        'hydra_bash_completion; echo "${COMPREPLY[@]}"'
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path}, check=True, timeout=60
    )
    assert done.stdout.split() == ["weighting=dwa"]


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    def job() -> None:
        raise KeyboardInterrupt

    assert answer.guard("vjo-train", job) == 130
    assert capsys.readouterr().err == "vjo-train: interrupted\n"


def test_anything_unforeseen_keeps_its_traceback() -> None:
    def job() -> None:
        raise RuntimeError("unforeseen")

    with pytest.raises(RuntimeError, match="unforeseen"):
        answer.guard("vjo-train", job)


def composer() -> Composer:
    return Composer("train")


def make_run(folder: Path, *overrides: str, finished: bool = False) -> Path:
    """A folder as a stopped run leaves it, with an empty checkpoint."""
    cfg = composer().compose(list(overrides))
    with open_dict(cfg):
        del cfg["hydra"]
    (folder / "checkpoints").mkdir(parents=True)
    (folder / ".hydra").mkdir()
    OmegaConf.save(cfg, folder / run_folder.CONFIG)
    (folder / "checkpoints" / "last.ckpt").touch()
    if finished:
        (folder / "results.json").touch()
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_resume_takes_the_newest_unfinished_run_of_the_same_config(here: Path) -> None:
    old = make_run(Path("outputs/run/1"), "seed=3")
    new = make_run(Path("outputs/run/2"), "seed=3", "trainer.resume=auto")
    make_run(Path("outputs/run/3"), "seed=4")
    make_run(Path("outputs/run/4"), "seed=3", finished=True)
    os.utime(old, (1, 1))
    place = check_training(composer(), ["seed=3", "trainer.resume=auto"], multirun=False).place
    assert place is not None
    assert (place.folder, place.new) == (new, False)


def test_resume_starts_anew_and_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = check_training(composer(), ["trainer.resume=auto"], multirun=False).place
    assert place is not None
    assert (place.folder.parent, place.new) == (Path("outputs/run"), True)
    assert "no unfinished run with this config in outputs/run; starting anew" in capsys.readouterr().out


def test_resume_keeps_a_given_folder(here: Path) -> None:
    make_run(Path("outputs/run/1"))
    place = check_training(composer(), ["trainer.resume=auto", "hydra.run.dir=mine"], multirun=False).place
    assert place is not None
    assert (place.folder, place.new) == (Path("mine"), False)


def test_a_folder_with_odd_characters_survives_the_override_grammar(here: Path) -> None:
    run = make_run(Path("outputs/it's = {odd}, [no]/1"), "name='it\\'s = {odd}, [no]'")
    words = ["name='it\\'s = {odd}, [no]'", "trainer.resume=auto"]
    place = check_training(composer(), words, multirun=False).place
    assert place is not None
    assert composer().compose([f"hydra.run.dir={quoted(str(place.folder))}"]).hydra.run.dir == str(run)


def test_rank_0_names_the_folder_of_all(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    both = ["trainer.devices=2"]
    first = check_training(composer(), both, multirun=False)
    assert first.place is not None
    assert first.place.new
    with pytest.raises(ConfigError, match="a sweep cannot run inside torchrun; start that once for each run"):
        check_training(composer(), ["seed=1,2"], multirun=True)
    monkeypatch.setenv("RANK", "1")
    second = check_training(composer(), both, multirun=False)
    assert second.place is None
    assert second.config == first.config
    monkeypatch.setenv("MASTER_PORT", "0")
    with pytest.raises(ConfigError, match="MASTER_PORT: found 0"):
        check_training(composer(), both, multirun=False)


def test_a_sweep_runs_every_combination(here: Path) -> None:
    jobs = composer().jobs(["seed=1,2", "weighting=equal,dwa", "optimizer.lr=0.1"])
    assert jobs == [
        [f"seed={seed}", f"weighting={weighting}", "optimizer.lr=0.1"]
        for seed in (1, 2)
        for weighting in ("equal", "dwa")
    ]


def evaluated(*overrides: str) -> DictConfig:
    rest, _ = check_evaluation(composer(), list(overrides), None)
    return Composer(EVAL.config_name).compose(rest)


def test_eval_takes_the_runs_own_config(here: Path) -> None:
    run = make_run(Path("outputs/run/1"), "weighting=dwa", "seed=7", "trainer.max_epochs=3", "heads=[detection]")
    cfg = evaluated(f"run={run}")
    assert (cfg.seed, cfg.trainer.max_epochs, list(cfg.heads)) == (7, 3, ["detection"])
    assert cfg.weighting._target_.endswith("DWA")
    assert (cfg.split, cfg.checkpoint, cfg.dataset.split) == (None, None, "train")
    assert cfg.hydra.run.dir.startswith(f"{run}/eval/")


def test_eval_tests_a_run_of_several_machines_in_one_process(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(Path("outputs/run/1"), "trainer.devices=2", "trainer.num_nodes=2")
    cfg = evaluated(f"run={run}")
    assert (cfg.trainer.devices, cfg.trainer.num_nodes) == (1, 1)
    with pytest.raises(ConfigError, match=r"trainer\.devices: found 2; vjo-eval tests on one device"):
        evaluated(f"run={run}", "trainer.devices=2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="torchrun: found 2 processes; vjo-eval tests in one, started alone"):
        evaluated(f"run={run}")


@pytest.mark.parametrize("trained", [(), ("insight=[]",)])
def test_eval_can_do_without_insight(here: Path, trained: tuple[str, ...]) -> None:
    run = make_run(Path("outputs/run/1"), *trained)
    assert not evaluated(f"run={run}", "insight=[]").get("insight")


def test_eval_of_another_split_leaves_the_training_split(here: Path) -> None:
    run = make_run(Path("outputs/run/1"))
    cfg = evaluated(f"run={run}", "dataset.split=val", "checkpoint=last", "dataset.workers=0")
    assert (cfg.split, cfg.dataset.split, cfg.checkpoint, cfg.dataset.workers) == ("val", "train", "last", 0)


def test_eval_on_another_data_set_keeps_the_size(here: Path) -> None:
    Path("set").mkdir()
    run = make_run(Path("outputs/run/1"), "dataset=voc", "dataset.root=set", "dataset.classes=[a,b]", "dataset.size=96")
    cfg = evaluated(f"run={run}", "dataset=voc", "dataset.root=set", "dataset.classes=[a,b]", "dataset.test_split=new")
    assert (cfg.dataset.size, cfg.dataset.test_split) == (96, "new")
    with pytest.raises(
        ConfigError, match=r"dataset\.classes: found 6 classes \(circle, .*trained on 2 classes \(a, b\)"
    ):
        evaluated(f"run={run}", "dataset=shapes")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "run: missing; vjo-eval run=DIR needs the folder of a run (or model=FILE). Runs here: outputs/run/1."),
        ("run=nowhere", "run: found 'nowhere', which does not exist; it must be the folder of a run. Runs nearby: out"),
        ("run=outputs/run", "holds no .hydra/config.yaml; it must be the folder of a run. Runs nearby: outputs/run/1."),
        ("run=outputs/run/1/checkpoints/last.ckpt", "which is a file; it must be the folder of a run."),
        ("run=outputs/run/1 checkpoint=best", "no best checkpoint in 'outputs/run/1' (found: last.ckpt)."),
        ("run=outputs/run/1 checkpoint=x.ckpt", "found 'x.ckpt', which is no file; must be best, last or a file."),
        ("run=outputs/run/1 checkpont=last", "Key 'checkpont' is not in the config; did you mean 'checkpoint'?"),
        ("run=outputs/run/1 experiment=voc_dwa", "experiment: vjo-eval takes the run's own config"),
        ("run=outputs/run/1 dataset=vok", "dataset=vok: no such choice; did you mean 'voc'?"),
        ("run=a,b", "'run=a,b' gives several values; vjo-eval tests one run at a time."),
        ("-m run=outputs/run/1", "-m: vjo-eval tests one run at a time."),
    ],
)
def test_mistakes_of_eval(command: Callable[..., Answer], words: str, message: str) -> None:
    make_run(Path("outputs/run/1"))
    status, _, err = command("vjo-eval", *words.split())
    assert message in err
    assert len(err.splitlines()) == 1
    assert status == 2
    assert not Path("outputs/run/1/eval").exists()


def test_checkpoint_prefers_the_best(here: Path) -> None:
    run = make_run(Path("r"))
    assert run_folder.checkpoint(run, None).name == "last.ckpt"
    (run / "checkpoints" / "best.ckpt").touch()
    assert run_folder.checkpoint(run, None).name == "best.ckpt"
    assert run_folder.checkpoint(run, "last").name == "last.ckpt"
    assert run_folder.checkpoint(run, str(run / "checkpoints" / "last.ckpt")).name == "last.ckpt"
    with pytest.raises(CheckpointError, match="which is no file"):
        run_folder.checkpoint(run, "newest")


def test_warnings_of_libraries_stand_in_the_run_s_log(
    command: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vjo_train.config import jobs
    from vjo_train.pages.folder import RunFolder

    monkeypatch.setattr(jobs, "train", lambda cfg, output: warnings.warn("an odd thing", UserWarning, stacklevel=2))
    status, out, _ = command("vjo-train", "hydra.run.dir=run")
    assert status == 0
    assert "UserWarning: an odd thing" in out
    (message,) = RunFolder(Path("run")).messages
    assert (message.level, message.source) == ("WARNING", "py.warnings")
    assert "UserWarning: an odd thing" in message.text
