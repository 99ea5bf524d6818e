"""The keys that belong to no part of the network: their types, ranges and meaning. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Gt, Interval, Len, MinLen

from vjo_train.config.signatures import Node

TileSide: TypeAlias = Annotated[int, Interval(ge=32, le=16384)]
Tile: TypeAlias = Literal["auto"] | TileSide | tuple[TileSide, TileSide]
"""What large pictures are cut into: windows of this side, or [height, width], in the picture's own pixels; `auto`: as
large as the network's canvas."""
Overlap: TypeAlias = Annotated[float, Interval(ge=0, le=0.9)]
"""Share of a window that its neighbours see too."""


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How long, on what and how exactly to train: the group `trainer`.

    Attributes:
        max_epochs: passes over the training split.
        max_steps: optimizer steps after which training ends early; None: no limit.
        accelerator: `auto` takes a GPU where there is one.
        devices: processes per machine, one per device.
        num_nodes: machines.
        strategy: how several processes share a step: `ddp`, each with the whole network and its share of the images.
        precision: `auto` is bf16-mixed on a GPU or CPU with fast bfloat16, else 32-true.
        accumulate_grad_batches: batches per optimizer step.
        gradient_clip_val: greatest norm of the gradient of each head and of the shared part, each clipped by itself, so
            that a large gradient of one task shortens no other head's step; None: no clipping.
        early_stopping: epochs without a better monitor after which training ends; None: never.
        monitor: metric that picks the best checkpoint, or a loss; None: mean of the heads' own.
        ema: decay of the averaged weights that are validated and tested; None: no averaging.
        resume: `auto`, a run's folder, a checkpoint, or None.
        resume_lr: the learning rate where a resumed run has more steps than it was planned for: `stay` at what the
            schedule ended with, or `stretch` the schedule over all steps.
        check_val_every_n_epoch: epochs between validations.
        drawn_images: validation images whose predictions are drawn at each validation; 0: none.
        channels_last: memory layout of images and convolutions.
        compile: backbone, neck and heads by torch.compile; needs a C++ compiler, and pays in long runs only.
        activation_checkpointing: keep the inputs of blocks and towers only, and compute what lies between again in
            backward: less than half of the memory for about a third more time; not with `compile`.
        profile: write where the time of training goes into the run's folder.
        deterministic: refuse operations whose result differs from run to run.
        progress: show the progress bar.
        log_every_n_steps: steps between records of the training metrics.
    """

    max_epochs: Annotated[int, Ge(1)] = 30
    max_steps: Annotated[int, Ge(1)] | None = None
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Annotated[int, Ge(1)] = 1
    num_nodes: Annotated[int, Ge(1)] = 1
    strategy: Literal["ddp"] = "ddp"
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    accumulate_grad_batches: Annotated[int, Ge(1)] = 1
    gradient_clip_val: Annotated[float, Gt(0)] | None = None
    early_stopping: Annotated[int, Ge(1)] | None = None
    monitor: str | None = None
    ema: Annotated[float, Interval(gt=0, lt=1)] | None = None
    resume: str | None = None
    resume_lr: Literal["stay", "stretch"] = "stay"
    check_val_every_n_epoch: Annotated[int, Ge(1)] = 1
    drawn_images: Annotated[int, Ge(0)] = 4
    channels_last: bool = True
    compile: bool = False
    activation_checkpointing: bool = False
    profile: bool = False
    deterministic: bool = False
    progress: bool = True
    log_every_n_steps: Annotated[int, Ge(1)] = 20


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What is compared with the single-task runs: the group `compare`.

    Attributes:
        methods: each a choice of `weighting`, or overrides with blanks between them, such as
            `weighting=dwa weighting.temperature=1`; a word without `=` is a weighting.
        tune: trials by which the learning rate of every case, single tasks included, and the weights of `fixed` are
            chosen on val, all on the first seed; None: every case is trained with what the config says.
        budget: what is equal between a method and the single-task runs. `steps`: each task sees as many images as
            alone, in as many steps. `epochs`: as many images, in any number of steps. `compute`: the arithmetic of
            training; a method has as many whole epochs of `trainer.max_epochs` as cost what all tasks alone cost
            together (see `comparison.budget`).
        delta: what delta_m counts of each task: the metric that stands for it, the mean of all that the field reports,
            or `pooled`, those of all tasks alike.
        labels: shares of every task's labels; all is compared at each of them, and the report is a label curve. None:
            with all labels alone.
    """

    methods: Annotated[Sequence[str], Len(1)] = ("equal", "balanced", "adatask", "aligned", "dbmtl")
    tune: Annotated[int, Ge(2)] | None = None
    budget: Literal["steps", "epochs", "compute"] = "steps"
    delta: Literal["monitor", "metrics", "pooled"] = "monitor"
    labels: Annotated[Sequence[Annotated[float, Interval(gt=0, le=1)]], Len(1)] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The keys at the root of `vjo-train`'s config: one node per group, a seed and a name.

    `single` names a head that is trained alone, on the images that it would see among all the heads. `reference` are
    test figures of the tasks alone, such as `detection/map_area`, with which the last lines of a run compare its own.
    `helpers` is whether the self-supervised heads are trained too.
    `start_from` is a run's folder, a checkpoint or a file of torchvision's, whose weights are taken where they fit.
    """

    dataset: Node
    backbone: Node
    neck: Node
    heads: Annotated[Mapping[str, Node], MinLen(1)]
    sharing: Node
    weighting: Node
    schedule: Node
    optimizer: Node
    lr_schedule: Node
    trainer: Node
    seed: Annotated[int, Interval(ge=0, lt=2**32)]
    name: Annotated[str, MinLen(1)]
    logger: Mapping[str, Any] = field(default_factory=dict)
    start_from: str | None = None
    single: str | None = None
    reference: Mapping[str, Annotated[float, Gt(0)]] | None = None
    compare: Node | None = None
    insight: Mapping[str, Node] = field(default_factory=dict)
    merge: Mapping[str, Node] = field(default_factory=dict)
    semi: Node | None = None
    distill: Node | None = None
    helpers: bool = True


@dataclass(frozen=True, kw_only=True)
class EvalConfig(TrainConfig):
    """The keys at the root of `vjo-eval`'s config."""

    run: str | None
    model: str | None
    checkpoint: str | None
    split: str | None
    sequences: str | None
    tracker: Node
    tile: Tile | None
    overlap: Overlap


@dataclass(frozen=True, kw_only=True)
class LoadConfig(TrainConfig):
    """The keys at the root of `vjo_train.load`'s config: what predicts."""

    run: str | None
    model: str | None
    tasks: Annotated[Sequence[str], MinLen(1)] | None
    checkpoint: str | None
    batch_size: Annotated[int, Ge(1)] | None


@dataclass(frozen=True, kw_only=True)
class PredictConfig(LoadConfig):
    """The keys at the root of `vjo-predict`'s config."""

    source: Annotated[str, MinLen(1)] | Annotated[int, Ge(0)]
    output: Annotated[str, MinLen(1)]
    accelerator: Literal["auto", "cpu", "gpu"] | None
    threshold: Annotated[float, Interval(ge=0, le=1)]
    pictures: bool
    track: bool
    tracker: Node
    tile: Tile | None
    overlap: Overlap


@dataclass(frozen=True, kw_only=True)
class ExportConfig(TrainConfig):
    """The keys at the root of `vjo-export`'s config."""

    run: str
    checkpoint: str | None
    format: Literal["onnx", "openvino", "torch"]
    precision: Literal["float32", "float16", "int8"]
    calibration: Annotated[int, Ge(1)]
    decoded: bool
    resize: bool
    output: Annotated[str, MinLen(1)] | None
    tasks: Annotated[Sequence[str], MinLen(1)] | None
    tolerance: Annotated[float, Gt(0)]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The keys at the root of `vjo-data`'s config."""

    dataset: Node
    output: Annotated[str, MinLen(1)]
    seed: Annotated[int, Interval(ge=0, lt=2**32)]


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """The keys of `vjo-report`.

    Attributes:
        runs: glob patterns of run folders, or of folders above them, to compare.
        run: one run's folder, whose own page is written.
        study: the folder of a study of `vjo-tune`, whose page is written; one of `runs`, `run` and this.
        output: where the report is written; None: the run's or the study's folder, or the one that holds all runs.
        metrics: task -> the metric that stands for it in delta_m; None: the heads' own.
        delta: what delta_m counts of the other tasks, as `compare.delta`; None: as that said when the runs were made,
            else `monitor`.
        interval: what intervals are over; `auto` takes seeds where there are several, else images.
        level: how often intervals hold the truth.
        resamples: samples of the test images in a bootstrap.
        sort: lists the runs in the terminal by a figure, `date` or `name`; this and the next three ask for a list.
        where: conditions that the listed runs fulfil, such as `weighting=adatask detection/map_area>0.5`.
        top: how many are listed at most.
        format: of the list; None: a table.
    """

    runs: str | Annotated[Sequence[str], Len(1)] | None = None
    run: str | None = None
    study: str | None = None
    output: str | None = None
    metrics: Mapping[str, str] | None = None
    delta: Literal["monitor", "metrics", "pooled"] | None = None
    interval: Literal["auto", "seeds", "images"] = "auto"
    level: Annotated[float, Interval(gt=0, lt=1)] = 0.95
    resamples: Annotated[int, Interval(ge=100, le=100_000)] = 2000
    sort: Annotated[str, MinLen(1)] | None = None
    where: str | Sequence[str] | None = None
    top: Annotated[int, Ge(1)] | None = None
    format: Literal["table", "json", "csv"] | None = None


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """How `vjo-tune` searches.

    Attributes:
        space: config key or group -> a list of choices, or a mapping with `low`, `high` and, if wanted, `log` and
            `step`.
        trials: of the study, those of earlier starts included.
        metric: what is made best on val: a metric, several, `tasks` for each head's own, or None: the monitor.
        sampler: `tpe` learns from the trials so far.
        pruner: `median` stops a trial behind the median of the others; `auto` is that where there is one metric.
        startup: trials before sampler and pruner do more than guess.
        output: the study's folder; None: `tune/<name>`.
        networks: with `grouping=true`, how many networks it may propose at most; None: one for each task.
    """

    space: Annotated[Mapping[str, Any], MinLen(1)]
    trials: Annotated[int, Ge(1)] = 20
    metric: str | Annotated[Sequence[str], MinLen(1)] | None = None
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["auto", "median", "none"] = "auto"
    startup: Annotated[int, Ge(0)] = 5
    output: str | None = None
    networks: Annotated[int, Ge(1)] | None = None


@dataclass(frozen=True, kw_only=True)
class TuneRoot:
    """The keys that `vjo-tune` has beside those of `vjo-train`."""

    tune: Node
    grouping: bool = False
