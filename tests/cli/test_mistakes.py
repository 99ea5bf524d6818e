"""What a user is told of a mistake on the command line. Mistakes in the data are in tests/data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.test_experiments import CONF

Answer = tuple[int, str, str]

KEYS = [
    ("name=../x", "name: found '../x'; runs lie below outputs/ by it. hydra.run.dir says another place."),
    ("trainer.max_epoch=3", "Key 'max_epoch' is not in 'trainer'; did you mean 'max_epochs'?"),
    ("+trainer.max_epoch=3", "Key 'max_epoch' is not in 'trainer'; did you mean 'max_epochs'?"),
    ("trainr.max_epochs=3", "Key 'trainr' is not in the config; did you mean 'trainer'?"),
    ("lr=0.1", "Key 'lr' is not in the config; did you mean 'optimizer.lr'?"),
    ("augment.flip=0", "Key 'augment' is not in the config; did you mean 'dataset.augment'?"),
    ("weightin=dwa", "Key 'weightin' is not in the config; did you mean 'weighting'?"),
    ("optimizer=adamw optimizer.momentum=.9", "Key 'momentum' is not in 'optimizer'; its keys are lr, beta1,"),
    ("trainer.max_epochs.foo=3", "Key 'foo' is not in 'trainer.max_epochs', which has no keys"),
    ("weighting=fixed weighting.lambdas.detection=2", "a mapping is given whole: weighting.lambdas={detection: ...}"),
    ("+weighting.tasks=[a]", "Key 'tasks' is not in 'weighting'"),
    ("+heads.detection.num_classes=3", "Key 'num_classes' is not in 'heads.detection'"),
    ("~seed", "seed: missing; must be a whole number >= 0"),
    ("~foo", "'foo' does not exist"),
    ("dataset=voc", "dataset.root: no value given"),
]
TYPES = [
    ("trainer.max_epochs=ten", "trainer.max_epochs: found 'ten' (text); must be a whole number >= 1."),
    ("trainer.max_epochs=2.5", "trainer.max_epochs: found 2.5 (a number); must be a whole number >= 1."),
    ("trainer.channels_last=1", "trainer.channels_last: found 1 (a whole number); must be true or false."),
    ("heads.detection.levels=p3", "heads.detection.levels: found 'p3' (text); must be a list of text"),
    ("dataset.augment=3", "dataset.augment: found 3 (a whole number); must be a node with _target_."),
    ("schedule=alternating schedule.rounds={detection:1.5}", "must be a mapping of text to a whole number"),
    ("name=7", "name: found 7 (a whole number); must be text of length >= 1."),
    ("seed=", "seed: found '' (text); must be a whole number"),
    ("seed=${nothing}", "seed: Interpolation key 'nothing' not found."),
]
RANGES = [
    ("trainer.max_epochs=0", "trainer.max_epochs: found 0 (a whole number); must be a whole number >= 1."),
    ("seed=-1", "seed: found -1 (a whole number); must be a whole number >= 0"),
    ("optimizer.lr=-1", "optimizer.lr: found -1 (a whole number); must be a number > 0."),
    ("trainer.ema=1.5", "trainer.ema: found 1.5 (a number); must be a number > 0 and < 1 or null."),
    ("dataset.augment.flip=2", "dataset.augment.flip: found 2 (a whole number); must be a number >= 0 and <= 1."),
    ("dataset.size=[256]", "dataset.size: found [256] (a list); must be a whole number >= 32 and <= 4096 or ["),
    ("dataset.batch_size=0", "dataset.batch_size: found 0 (a whole number); must be a whole number >= 1."),
]
NAMES = [
    (
        "dataset.val_split=val dataset.val_fraction=0.1",
        "dataset.val_fraction: found 0.1 next to dataset.val_split=val;",
    ),
    ("dataset.classes=[background,circle]", "dataset.classes: found background, which is there without being named"),
    (
        "dataset=voc dataset.root=/dev/null dataset.classes=[a]",
        "dataset.root: found '/dev/null', which is no folder: it is a file.",
    ),
    ("heads.detection.classes=[circl]", "which dataset.classes does not name; did you mean 'circle'?"),
    ("heads.detection.classes=[star,star]", "heads.detection.classes: found 'star' twice"),
    ("weighting=dva", "weighting=dva: no such choice; did you mean 'dwa'? Choices: "),
    ("heads=[clasification]", "heads=clasification: no such choice; did you mean 'classification'? Choices: "),
    ("experiment=voc_dwaa", "experiment=voc_dwaa: no such choice; did you mean 'voc_dwa'? Choices: "),
    ("sharing=null", "sharing=null: no such choice. Choices: "),
    ("weighting=[equal,dwa]", "weighting=[equal, dwa]: takes one choice. Choices: "),
    ("heads=[]", "heads: missing"),
    ("trainer.accelerator=gpus", "must be one of auto, cpu, gpu; did you mean 'gpu'?"),
    ("trainer.precision=bf16", "must be one of auto, 32-true, bf16-mixed, 16-mixed"),
    ("backbone.norm=batchh", "must be one of batch, frozen, group; did you mean 'batch'?"),
    ("hydra/launcher=slrm", "hydra/launcher=slrm: no such choice; did you mean 'slurm'? Choices: basic"),
    (
        "backbone._target_=vjo_train.backbones.torchvision.TorchvisonBackbone",
        "which does not exist; did you mean 'vjo_train.backbones.torchvision.TorchvisionBackbone'?",
    ),
]
HEADS = [
    ("schedule=alternating schedule.rounds={detection:1}", "schedule.rounds: found tasks ['detection']; it must name"),
    ("schedule=alternating schedule.rounds={detection:0,classification:1}", "schedule.rounds.detection: found 0"),
    ("heads=[rotation]", "heads: found rotation, which is self-supervised and serves other tasks; there must be one"),
    ("heads=[detection,masked] single=masked", "single: found masked, which is self-supervised and serves other"),
    ("heads=[detection,masked] heads.masked.share=1", "heads.masked.share: found 1 (a whole number); must be a"),
    (
        "heads=[detection,rotation] schedule=alternating schedule.rounds={detection:1,rotation:1}",
        "schedule.rounds: found tasks ['detection', 'rotation']; it must name each of ['detection'].",
    ),
]
SYNTAX = [
    ("dwa", "'dwa' sets nothing; settings are given as key=value."),
    ("trainer.max_epochs=[1,", "cannot read 'trainer.max_epochs=[1,'"),
    ("--epochs 3", "unrecognized arguments: --epochs. Settings are given as key=value"),
    ("seed=1,2", "'seed=1,2' gives several values: add -m to run each"),
    ("-cn trian", "Cannot find primary config 'trian'"),
]
PATHS = [
    ("dataset=voc2007 dataset.root=nowhere", "dataset.root: found 'nowhere', which is no folder"),
    (
        "dataset=voc2007 dataset.root=VOCdevki",
        "dataset.root: found 'VOCdevki', which is no folder; did you mean 'VOCde",
    ),
    ("backbone.weights=none.pth", "backbone.weights: found 'none.pth', which is no file"),
    (
        "sharing=cross_stitch sharing.columns_from={detection:nowhere}",
        "sharing.columns_from.detection: found 'nowhere', which does not exist; it must be the folder of a run.",
    ),
    (
        "sharing=cross_stitch sharing.columns_from={detectoin:nowhere}",
        "sharing.columns_from.detectoin: there is no such head; did you mean 'detection'?",
    ),
    ("trainer.resume=nowhere", "trainer.resume: found 'nowhere', which does not exist; must be auto or a path."),
    ("hydra.run.dir=file/run", "hydra.run.dir: 'file/run' cannot be made or written to (Not a directory)."),
    ("hydra.run.dir=${nothing}", "hydra.run.dir: Interpolation key 'nothing' not found."),
    ("-m ~name seed=1,2", "hydra.sweep.dir: Interpolation key 'name' not found."),
    ("hydra.run.dir=/proc/none", "hydra.run.dir: '/proc/none' cannot be made or written to ("),
    ("-cd nowhere", "--config-dir: found 'nowhere', which is no folder."),
]
SWEEPS = [
    ("-m weighting=equal,dva", "weighting=dva: no such choice; did you mean 'dwa'?"),
    ("-m seed=1,x", "seed: found 'x' (text); must be a whole number"),
    ("-m seed=1,2 trainer.devices=2", "trainer.devices=2 with -m: each process would start the whole sweep again."),
    ("-m hydra/launcher=slurm trainer.num_nodes=2 seed=1,2", "found hydra.launcher.nodes=1, which must be the same"),
    ("-m hydra/launcher=slurm hydra.launcher.tasks_per_node=2 seed=1", "trainer.devices=1 with -m: found hydra.launch"),
    ("trainer.num_nodes=2", "trainer.num_nodes: found 2, but nothing tells this process of the other machines."),
    ("trainer.strategy=fsdp", "trainer.strategy: found fsdp; must be ddp. Weightings combine the whole gradients"),
    ("trainer.strategy=dpp", "trainer.strategy: found 'dpp' (text); must be one of ddp"),
    ("-m seed=1,2 --cfg job", "-m and --cfg: found together; only one of -m, --run, --cfg, --info is allowed."),
    ("-m seed=interval(1,2)", "does not support sweep type"),
]
PAIRS = [
    ("dataset.val_split=train", "dataset.val_split: found 'train', which is trained on; must be another split."),
    ("dataset.val_fraction=0.1", "dataset.val_fraction: found 0.1 next to dataset.val_split=val; set val_fraction=0"),
    ("dataset.classes=[a,a]", "dataset.classes: found a twice; each class may be named once."),
    ("dataset=voc2007", "dataset.root: is null; give the folder that holds JPEGImages/"),
    ("dataset.val_split=null trainer.early_stopping=2", "trainer.early_stopping needs a validation split"),
    ("dataset.val_split=null trainer.monitor=val/monitor", "trainer.monitor needs a validation split"),
    (
        "backbone.norm=frozen",
        "backbone.norm=frozen needs backbone.weights or start_from: untrained statistics mean nothing.",
    ),
    ("backbone.norm=group backbone.weights=imagenet", "backbone.norm=group: backbone.weights are made for BatchNorm"),
]
NOT_FINITE = [
    ("optimizer.lr=inf", "optimizer.lr: found inf (not finite); must be a number > 0."),
    ("optimizer.lr=nan", "optimizer.lr: found nan (not finite); must be a number > 0."),
    ("optimizer.lr=1e999", "optimizer.lr: found inf (not finite); must be a number > 0."),
    (f"optimizer.lr={'1' * 400}", "optimizer.lr: found 111"),
    ("trainer.max_epochs=inf", "trainer.max_epochs: found inf (not finite); must be a whole number >= 1."),
]
TARGETS = [
    (
        "weighting._target_=",
        "weighting._target_: found '' (text); must be a class, such as vjo_train.module.Class.",
    ),
    ("backbone._target_=[a]", "backbone._target_: found ['a'] (a list); must be a class"),
    ("weighting._target_=nothing.Here", "weighting._target_: found 'nothing.Here'; there is no module nothing."),
]
TABLE = [*KEYS, *TYPES, *RANGES, *NAMES, *HEADS, *SYNTAX, *PATHS, *PAIRS, *NOT_FINITE, *TARGETS, *SWEEPS]


@pytest.mark.parametrize(("words", "message"), TABLE, ids=[words for words, _ in TABLE])
def test_mistake(command: Callable[..., Answer], tmp_path: Path, words: str, message: str) -> None:
    (tmp_path / "VOCdevkit").mkdir()
    (tmp_path / "file").touch()
    status, out, err = command("vjo-train", *words.split(" "))
    assert message in err
    assert err.startswith("vjo-train: error: ")
    assert len(err.splitlines()) <= 2
    assert "Traceback" not in out + err
    assert status == 2
    assert not (tmp_path / "outputs").exists(), "a mistake leaves no run folder behind"
    assert not (tmp_path / "multirun").exists()


def test_a_mistake_in_the_users_own_yaml(command: Callable[..., Answer], tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "weighting"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text("# mine\n_target_: vjo_train.weighting.dwa.DWA\ntemprature: 2.0\n")
    _, _, err = command("vjo-train", "-cd", "mine", "weighting=own")
    assert "Key 'temprature' is not in 'weighting'; did you mean 'temperature'?" in err
    (folder / "own.yaml").write_text("temperature: [2.0\n")
    status, _, err = command("vjo-train", "-cd", "mine", "weighting=own")
    assert "own.yaml" in err
    assert status == 2


def test_a_yaml_of_the_user_with_the_name_of_a_built_in_choice(command: Callable[..., Answer], tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "weighting"
    folder.mkdir(parents=True)
    (folder / "dwa.yaml").write_text("# mine\n_target_: vjo_train.weighting.dwa.DWA\n")
    for words in (("vjo-train", "-cd", "mine"), ("vjo-data", "check", "-cd", "mine")):
        status, _, err = command(*words)
        assert status == 2
        assert "mine/weighting/dwa.yaml: weighting=dwa is built in and taken in its place" in err
    (folder / "dwa.yaml").write_bytes(Path(CONF / "weighting/dwa.yaml").read_bytes())
    assert "Could not find" not in command("vjo-train", "-cd", "mine", "weighting=dva")[2]
    assert "did you mean 'dwa'" in command("vjo-train", "-cd", "mine", "weighting=dva")[2]


def test_an_experiment_that_names_a_wrong_choice(command: Callable[..., Answer], tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text("# @package _global_\ndefaults:\n  - override /weighting: dva\n")
    _, _, err = command("vjo-train", "-cd", "mine", "experiment=own")
    assert "Could not find 'weighting/dva'; did you mean 'dwa'? Choices: " in err


def test_hydra_full_error_brings_the_traceback_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vjo_train.cli import commands
    from vjo_train.errors import ConfigError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["vjo-train", "weighting=dva"])
    with pytest.raises(ConfigError, match="did you mean 'dwa'"):
        commands.train()


@pytest.mark.parametrize(
    ("choice", "extra"), [("joblib", "joblib"), ("submitit_local", "submitit"), ("slurm", "submitit")]
)
def test_a_launcher_that_is_not_installed(
    command: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, choice: str, extra: str
) -> None:
    monkeypatch.setattr("vjo_train.config.compose.find_spec", lambda name: None)
    status, _, err = command("vjo-train", "-m", f"hydra/launcher={choice}", "seed=1,2")
    assert f"hydra/launcher={choice}: hydra-{extra}-launcher is not installed; pip install 'vjo-train[{extra}]'" in err
    assert status == 2
