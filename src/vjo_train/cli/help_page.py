"""The pages that `--help` shows, made from the comments of the YAML files."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from vjo_train.config import built_in

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

_OF_RUN = {
    "eval": """\
vjo-eval tests a finished run, or a file that vjo-export made of one.

  vjo-eval run=outputs/voc_dwa/2030-01-31_12-00-00
  vjo-eval run=DIR checkpoint=last dataset.split=trainval
  vjo-eval run=DIR dataset=voc2007 dataset.root=VOCdevkit
  vjo-eval run=DIR sequences=MOT17/train
  vjo-eval model=DIR/model.onnx

The run's own config holds; any of its keys and groups can be set anew. Of
another data set the run keeps dataset.size, and the classes must be the same.
With sequences=DIR, objects are followed through annotated sequences in
MOTChallenge's layout: IDF1, MOTA, switches.
Results go to <run>/eval/<time>; hydra.run.dir=DIR sets another folder.
""",
    "predict": """\
vjo-predict says what a run's network sees in image files and videos.

  vjo-predict run=DIR source=photo.jpg output=found
  vjo-predict run=DIR source=photos output=found checkpoint=last
  vjo-predict run=DIR source='photos/*.png' output=found threshold=0.6
  vjo-predict model=model.onnx source=photos output=found
  vjo-predict run=DIR source=clip.mp4 output=found track=true
  vjo-predict run=DIR source=0 output=found

Written to the output folder: pictures/ (drawn), images.json (images and
categories), <task>.json (COCO results, or class scores), <task>/*.png (maps of
categories). Of a video: <name>.mp4 (drawn), <name>.jsonl (a line for each
frame), <name>.<task>.txt (tracks), videos.json. No source is ever overwritten.
Files that cannot be read are named and left out; the exit status is then 3.
Boxes and maps belong to the picture as viewers show it, turned by its EXIF
orientation. The run's own keys can be set anew, such as
heads.detection.score_threshold=0.2.
""",
    "export": """\
vjo-export writes a run's network as a file for another runtime: ONNX, OpenVINO
or a program of torch.export.

  vjo-export run=DIR
  vjo-export run=DIR format=openvino precision=int8 decoded=true
  vjo-export run=DIR checkpoint=last output=net.onnx tasks=[detection]
  vjo-export run=DIR decoded=true

The input `images` is uint8 RGB [B, 3, H, W], H and W by dataset.size, any B:
pictures scaled to fit on the canvas, at the top left, the rest of colour
(124, 116, 104). The outputs are the heads' raw ones, which vjo-predict
model=FILE decodes. With decoded=true boxes, scores, classes, masks and maps are
in the file too, and `sizes`, int64 [B, 2], is a second input: height and width
of the picture files.
The file is run before it is kept: in float32 it must give the figures of
PyTorch; float16 and int8 are measured on the validation images, with int8
calibrated on them. The figures stand beside the file: model.onnx.json.
vjo-predict model=FILE and vjo-eval model=FILE run it.
""",
}

_DATA = """\
vjo-data looks at a data set.

  vjo-data summary dataset=voc2007 dataset.root=VOCdevkit output=seen
  vjo-data check dataset=voc dataset.root=DIR 'dataset.classes=[a,b]'
  vjo-data guess DIR
  vjo-data download dataset=voc2007 dataset.root=data

summary   counts by split and class, sizes, what the images are labelled for;
          writes summary.json, and some pictures as <split>.png
check     decodes every file: broken annotations, images, masks and lists,
          suspicious boxes, images that are there twice, within a split or
          between two; writes check.json; the exit status is 3 if a fault
          would stop a run
show      writes show.html: pictures of each split with all their labels
guess     says what a folder looks like, and the overrides that read it
download  fetches or draws the data set, and says where it lies
"""

_REPORT = """\
vjo-report compares finished runs: does joint training win? Or it writes the page
of one run, or of a study of vjo-tune, finished or not.

  vjo-report runs=multirun/compare
  vjo-report runs='multirun/compare/*/seed1' interval=images
  vjo-report runs=[outputs/joint,outputs/alone] metrics={detection:map_voc07}
  vjo-report runs=outputs sort=detection/map_area where='weighting=adatask' top=10
  vjo-report run=outputs/voc_dwa/2026-01-31_12-00-00
  vjo-report study=tune/shapes_demo

Prints the tables and writes report.md, report.csv and report.html (one file,
readable without a network). Runs of one task are what the others are measured
against, seed by seed; what makes a comparison unfair is said.
With sort, where, top or format it lists runs, finished or not, and compares
nothing.
"""

_TUNE = """\
vjo-tune searches for good settings, trial by trial, judged on val.

  vjo-tune experiment=shapes_demo tune.trials=20 \\
    'tune.space={optimizer.lr: {low: 1e-4, high: 0.1, log: true}}'
  vjo-tune tune.metric=tasks 'tune.space={weighting: [equal, dwa]}'
  vjo-tune experiment=shapes_everything grouping=true

All settings of vjo-train can be given; each trial is a run of it that leaves
the test alone. The same command goes on with a study that was stopped, and
several processes may work on one. The study's folder holds study.md,
report.html, trials.csv, a folder per trial, and for several metrics front.svg.

grouping=true trains all heads together once, measures how their steps help each
other, and proposes which to train together: grouping.md in tune/<name>.
"""


def train_page(config_dir: str | None = None) -> str:
    """The page of `vjo-train`: usage, groups with their choices, the most used keys, flags.

    Args:
        config_dir: the user's own configs (`-cd`), whose choices are listed too.
    """
    conf = built_in.folder()
    groups = [d.name for d in sorted(conf.iterdir()) if d.is_dir() and d.name != "hydra" and list(d.glob("*.yaml"))]
    lines = [_TRAIN, "Groups and their choices (* default)"]
    defaults = _defaults(conf / "train.yaml")
    for group in groups:
        lines.append(f"  {group}")
        for file in _choices(group, config_dir):
            lines += _choice(file, defaults)
    lines += ["", "Keys that are often set"]
    for key in KEYS:
        if text := _key_help(conf, key, defaults):
            lines += _entry(f"  {key}", text)
    return "\n".join([*lines, "", _FLAGS.format(command="vjo-train")])


def data_page(config_dir: str | None = None) -> str:
    """The page of `vjo-data`; `config_dir` as in `train_page`."""
    conf = built_in.folder()
    defaults = _defaults(conf / "data.yaml")
    lines = [_DATA, "Data sets (* default)"]
    for file in _choices("dataset", config_dir):
        lines += _choice(file, defaults)
    lines += ["", "Keys", *_own_keys(conf / "data.yaml")]
    return "\n".join([*lines, "", _FLAGS.format(command="vjo-data").replace(_sweep_line(), "")])


def of_run_page(command: str, root: str) -> str:
    """The page of a command that works on a finished run and whose own keys are in `conf/<root>.yaml`."""
    lines = [_OF_RUN[root], "Keys", *_own_keys(built_in.folder() / f"{root}.yaml")]
    return "\n".join([*lines, "", _FLAGS.format(command=command).replace(_sweep_line(), "")])


def _choices(group: str, config_dir: str | None) -> list[Path]:
    """The config files of a group by name; of two with one name, the built-in one, which is what counts."""
    folders = [*([] if config_dir is None else [Path(config_dir)]), built_in.folder()]
    files = {file.stem: file for folder in folders for file in (folder / group).glob("*.yaml")}
    return [files[name] for name in sorted(files)]


def _choice(file: Path, defaults: dict[str, list[str]]) -> list[str]:
    """An entry for a choice of a group, with a star if it is a default."""
    mark = "*" if file.stem in defaults.get(file.parent.name, []) else " "
    return _entry(f"  {mark} {file.stem}", summary(file))


def _own_keys(file: Path) -> list[str]:
    """An entry for each key at the root of a config file."""
    keys = re.findall(r"^(\w+):.*? # ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [line for key in keys for line in _entry(f"  {key}", _key_help(file.parent, key, {}, root=file.name))]


def report_page() -> str:
    """The page of `vjo-report`."""
    lines = [_REPORT, "Keys"]
    for key in (
        "runs",
        "run",
        "study",
        "output",
        "metrics",
        "delta",
        "interval",
        "level",
        "resamples",
        "sort",
        "where",
        "top",
        "format",
    ):
        lines += _entry(f"  {key}", _key_help(built_in.folder(), key, {}, root="report.yaml"))
    return "\n".join([*lines, "", _FLAGS.format(command="vjo-report").replace(_sweep_line(), "")])


def tune_page() -> str:
    """The page of `vjo-tune`."""
    keys = re.findall(
        r"^  (\w+):.*? # (.+)$", (built_in.folder() / "tune.yaml").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    lines = [_TUNE, "Keys", *(line for key, text in keys for line in _entry(f"  tune.{key}", text))]
    return "\n".join([*lines, "", _FLAGS.format(command="vjo-tune").replace(_sweep_line(), "")])


def summary(file: Path) -> str:
    """The line of help of a config file: its first comment that is no `@package`."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @"):
            return line.lstrip("# ")
    return ""


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
