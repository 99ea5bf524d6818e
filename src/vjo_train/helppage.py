"""The pages that `--help` shows, made from the comments of the YAML files."""

from __future__ import annotations

import importlib
import re
import textwrap
from pathlib import Path

WIDTH = 80
KEYS = (
    "seed",
    "name",
    "dataset.root",
    "dataset.classes",
    "dataset.split",
    "dataset.size",
    "dataset.batch_size",
    "backbone.weights",
    "optimizer.lr",
    "trainer.max_epochs",
    "trainer.precision",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.resume",
    "weighting.lambdas",
)
"""The keys that most users change; all of them: `vjo-train --cfg job`."""

_FLAGS = """\
Flags (before the settings)
  -m                       run every combination, such as -m seed=1,2
  -c job                   show the composed config with every key, and stop
  -i                       show where the config comes from
  -cd DIR                  also find configs in DIR
  -h                       this page
  --hydra-help             all of Hydra's flags
  -sc install=bash         completion (also zsh, fish):
                           eval "$({command} -sc install=bash)"
"""

_TRAIN = """\
vjo-train trains one network for several visual tasks and tests it.

  vjo-train                                  small offline run on drawn shapes
  vjo-train experiment=voc_dwa dataset.root=VOCdevkit
  vjo-train dataset=voc2007 heads=[detection] optimizer.lr=0.005
  vjo-train -m seed=1,2,3 weighting=equal,dwa
  vjo-train experiment=voc_dwa trainer.resume=auto

Settings are given as group=choice or key=value. The run's folder is
outputs/<name>/<time>; hydra.run.dir=DIR sets another.
"""

_EVAL = """\
vjo-eval tests a finished run.

  vjo-eval run=outputs/voc_dwa/2030-01-31_12-00-00
  vjo-eval run=DIR checkpoint=last dataset.split=trainval
  vjo-eval run=DIR dataset=voc2007 dataset.root=VOCdevkit

The run's own config holds; any of its keys and groups can be set anew. Of
another data set the run keeps dataset.size, and the classes must be the same.
Results go to <run>/eval/<time>; hydra.run.dir=DIR sets another folder.
"""


def train_page() -> str:
    """The page of `vjo-train`: usage, groups with their choices, the most used keys, flags."""
    conf = _folder()
    groups = [d for d in sorted(conf.iterdir()) if d.is_dir() and d.name != "hydra" and list(d.glob("*.yaml"))]
    lines = [_TRAIN, "Groups and their choices (* default)"]
    defaults = _defaults(conf / "train.yaml")
    for group in groups:
        lines.append(f"  {group.name}")
        for file in sorted(group.glob("*.yaml")):
            mark = "*" if file.stem in defaults.get(group.name, []) else " "
            lines += _entry(f"  {mark} {file.stem}", summary(file))
    lines += ["", "Keys that are often set"]
    for key in KEYS:
        if text := _key_help(conf, key, defaults):
            lines += _entry(f"  {key}", text)
    return "\n".join([*lines, "", _FLAGS.format(command="vjo-train")])


def eval_page() -> str:
    """The page of `vjo-eval`."""
    lines = [_EVAL, "Keys"]
    for key in ("run", "checkpoint", "split"):
        lines += _entry(f"  {key}", _key_help(_folder(), key, {}, root="eval.yaml"))
    return "\n".join([*lines, "", _FLAGS.format(command="vjo-eval").replace(_sweep_line(), "")])


def summary(file: Path) -> str:
    """The line of help of a config file: its first comment that is no `@package`."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @"):
            return line.lstrip("# ")
    return ""


def _folder() -> Path:
    return Path(next(iter(importlib.import_module("vjo_train.conf").__path__)))


def _sweep_line() -> str:
    return next(line for line in _FLAGS.splitlines(keepends=True) if line.startswith("  -m"))


def _defaults(root: Path) -> dict[str, list[str]]:
    """Group -> the choices that the defaults list of `root` makes."""
    found = re.findall(r"^  - (\w+): (.+)$", root.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {group: re.findall(r"\w+", choices) for group, choices in found}


def _key_help(conf: Path, key: str, defaults: dict[str, list[str]], root: str = "train.yaml") -> str:
    """The comment behind a key in the default choice of its group, or in the first choice that has the key."""
    group, _, name = key.rpartition(".")
    files = [conf / group / f"{choice}.yaml" for choice in defaults.get(group, [])] if group else [conf / root]
    files += sorted((conf / group).glob("*.yaml")) if group else []
    for file in files:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if match := re.search(rf"^{name}:.*? # (.+)$", text, flags=re.MULTILINE):
            return match[1]
    return ""


def _entry(left: str, text: str, column: int = 27) -> list[str]:
    """`left`, then `text` from `column` on, in lines of `WIDTH`."""
    lead = left.ljust(column) if len(left) < column - 1 else f"{left}  "
    return textwrap.wrap(lead + text, WIDTH, subsequent_indent=" " * column, break_on_hyphens=False) or [left]
