"""Training and evaluation as plain functions of built objects: no Hydra in here."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging
from rich.console import Console

from vjo_train.config import rules
from vjo_train.files import remove_drafts, write_atomically
from vjo_train.pages.diagnosis import sentences
from vjo_train.pages.failures import failure_sentences
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.run import write_run_page
from vjo_train.report.environment import describe_device, git_revision, package_versions
from vjo_train.report.example_pictures import write_examples
from vjo_train.report.examples import SHOWN
from vjo_train.report.history import History
from vjo_train.report.image_weights import ImageWeights
from vjo_train.report.pictures import ValidationPictures, draw_first
from vjo_train.report.profile import Profile
from vjo_train.report.seen import ImagesSeen, images_seen
from vjo_train.report.tables import metrics_table, model_summary, parts_table, per_class_table
from vjo_train.report.throughput import Throughput, inference_flops, inference_speed
from vjo_train.runs import records, run_folder
from vjo_train.runs.results import Results, name_per_class, write_results
from vjo_train.training import checkpoints
from vjo_train.training.activation_checkpointing import checkpoint_activations
from vjo_train.training.agreement import Agreement
from vjo_train.training.best_checkpoint import carry_best, checkpoint_callbacks
from vjo_train.training.class_counts import ClassCounts
from vjo_train.training.compiling import compile_network
from vjo_train.training.data_figures import facts_of_classes, image_counts
from vjo_train.training.early_stopping import Patience
from vjo_train.training.exported import ExportedModule
from vjo_train.training.failures import explained
from vjo_train.training.interruption import Interruption, what_is_left
from vjo_train.training.job import Job, Test
from vjo_train.training.part_figures import part_figures
from vjo_train.training.signals import Listener
from vjo_train.training.trainer import build_trainer, is_validated
from vjo_train.types import Batch

log = logging.getLogger("vjo_train")


def train(job: Job) -> Results:
    """Trains, then tests the checkpoint that was best on val (the last one where there is no val split).

    Raises:
        ConfigError: early stopping or a monitor without a validation split, or a wrong `trainer.resume`.
        CheckpointError: the checkpoint to go on from is damaged or of another network, or none can be written.
        ResourceError: see `faults.explained`.
        VjoError: see the data set and the weighting.
    """
    with Listener(lambda: what_is_left(job.output)) as listener:
        return _train(job, listener)


def _train(job: Job, listener: Listener) -> Results:
    throughput = Throughput()
    trainer = _fit(job, throughput, listener)
    with explained(job.data, job.output):
        seen, tested = images_seen(job.data, job.module.batches), _tested(trainer, job.output)
        checkpoint = checkpoints.read(tested)
        checkpoints.fill(job.module, checkpoint, tested)
        if trainer.is_global_zero:
            checkpoints.write_weights(checkpoint, tested, job.config)
        del checkpoint  # it is as large as the network and its optimizer
        # By the plan: Lightning counts a run that is resumed after its end otherwise.
        epochs = math.ceil(job.module.batches / job.data.plan.steps_per_epoch)
        return _test(job, trainer, tested, throughput, seen, epochs)


def fit(job: Job, throughput: Throughput) -> pl.Trainer:
    """Trains, and leaves the test alone. Raises what `train` does."""
    with Listener(lambda: what_is_left(job.output)) as listener:
        return _fit(job, throughput, listener)


def _fit(job: Job, throughput: Throughput, listener: Listener) -> pl.Trainer:
    going_on = checkpoints.resumed(job.settings.resume, job.output)
    rules.check_memory(compile=job.settings.compile, activation_checkpointing=job.settings.activation_checkpointing)
    if job.settings.compile:
        compile_network(job.module)
    if job.settings.activation_checkpointing:
        checkpoint_activations(job.module)
    job.module.weighting.prepare(job.module.trained_together())
    trainer = build_trainer(job, throughput, _training_callbacks(job, throughput, listener))
    if trainer.is_global_zero:
        Console().print(model_summary(job.module.sharing, dict(job.module.heads.items()), job.module.weighting))
        log.info("Training in %s on %s.", trainer.precision, describe_device(trainer.strategy.root_device)["name"])
    resume = None
    if going_on is not None:
        resume, state = going_on
        checkpoints.compare(job.module, state["state_dict"], resume, way=" start_from takes what fits.")
        job.data.start_step = job.module.batches = state["batches"]
        log.info("Going on from %s.", resume)
        carry_best(trainer.checkpoint_callbacks, resume, job.output, trainer.is_global_zero)
    del going_on  # it is as large as the network
    if trainer.is_global_zero:
        remove_drafts(job.output)
        if resume is not None:
            checkpoints.set_aside_damaged(job.output, resume)
        elif run_folder.forget_results(job.output):
            log.warning("%s holds a finished run, which this one replaces.", job.output)
    before = job.module.batches
    with explained(job.data, job.output):
        trainer.fit(job.module, datamodule=job.data, ckpt_path=resume, weights_only=True)
    if trainer.is_global_zero:
        if resume is not None and job.module.batches == before:
            log.warning(
                "Nothing was left to train: %s has had all of trainer.max_epochs; a higher one goes on.", resume
            )
        _say_unvalidated(job)
    return trainer


def _say_unvalidated(job: Job) -> None:
    """Says so where training ended between two validations: the best checkpoint is not of its last steps."""
    length = job.settings.check_val_every_n_epoch * job.data.plan.steps_per_epoch
    if is_validated(job) and (rest := job.module.batches % length):
        which = "none was" if rest == job.module.batches else f"the last {rest} were not"
        said = "Of %d steps %s validated (trainer.max_steps, trainer.max_epochs, trainer.check_val_every_n_epoch)."
        log.warning(said, job.module.batches, which)


def _tested(trainer: pl.Trainer, output: Path) -> Path:
    """The checkpoint to test, as rank 0 sees it; another machine may see new files of a shared disk later."""
    found = str(run_folder.checkpoint(output, None)) if trainer.is_global_zero else ""
    return Path(trainer.strategy.broadcast(found))


def evaluate(job: Job, checkpoint: Path) -> Results:
    """Tests a checkpoint, exactly as the run that wrote it did.

    Raises:
        CheckpointError: the checkpoint is damaged or of another network.
        DataError: see the data set.
    """
    checkpoints.restore(job.module, checkpoint)
    return evaluate_file(job, checkpoint)


def evaluate_file(test: Test, path: Path) -> Results:
    """Tests a module that has its weights, or has them from the exported file `path`.

    Raises:
        CheckpointError: the file lacks an output.
        DataError: see the data set.
    """
    throughput = Throughput()
    # Lightning would take note of SIGTERM, and go on.
    with Listener(lambda: "."), explained(test.data, test.output):
        return _test(test, build_trainer(test, throughput, [*test.insights]), path, throughput, {}, 0)


def _test(
    job: Test, trainer: pl.Trainer, path: Path, throughput: Throughput, training: Mapping[str, float], epochs: int
) -> Results:
    """The results of the weights in `path`; `training` are figures of the training that go into them."""
    module = job.module
    start = time.perf_counter()
    (metrics,) = trainer.test(module, datamodule=job.data, verbose=False)
    seconds = time.perf_counter() - start
    batch = next(iter(job.data.test_dataloader()))
    module.to(trainer.strategy.root_device).eval()
    figures = {name: value for insight in job.insights for name, value in insight.figures().items()}
    scalars = {name: float(value) for name, value in metrics.items()} | dict(training) | figures
    results = Results(
        metrics={name: value for name, value in scalars.items() if not name.startswith("train/")},
        training={name: value for name, value in scalars.items() if name.startswith("train/")},
        per_class=name_per_class(
            "test",
            {t: {m: v.tolist() for m, v in values.items()} for t, values in module.per_class.items()},
            {task: job.classes(task) for task in module.measured},
        ),
        monitors=[f"test/{task}/{module.measures(task).monitor}" for task in module.measured],
        reported={f"test/{t}/{m}": up for t in module.measured for m, up in module.measures(t).reported.items()},
        config=job.config,
        overrides=job.overrides,
        seed=job.seed,
        versions=package_versions(),
        git=git_revision(),
        device=describe_device(trainer.strategy.root_device, trainer.world_size),
        precision=job.arithmetic or str(trainer.precision),
        data=" ".join(f"{split}={job.data.fingerprint(split)}" for split in (job.data.split, job.data.test_split)),
        checkpoint=_relative(path, job.output),
        epochs=epochs,
        steps=trainer.global_step,
        wall_seconds=throughput.wall_seconds,
        images_per_second=throughput.run.images_per_second,
        data_wait=throughput.run.data_wait,
        parameters=module.size,
        test_seconds=seconds,
        inference_images_per_second=inference_speed(module, batch) if len(batch) else math.nan,
        inference_flops=math.nan if isinstance(module, ExportedModule) else inference_flops(module, batch),
        skipped=job.data.skipped,
        counts=image_counts(job.data, bool(training)),
        classes=facts_of_classes(job.data, bool(training)),
        started_from=job.started if training else {},
        parts=part_figures(module.records, job.data.source.part_of, scalars),
    )
    if trainer.is_global_zero:
        _write(job, results, batch)
    return results


def _write(job: Test, results: Results, batch: Batch) -> None:
    """Writes and prints what a test leaves; pictures are of `batch`, the first one of the test."""
    kept = job.module.records
    if kept:
        write_atomically(job.output / records.FILE, records.to_bytes(kept))
    draw_first(job.output / "predictions.png", job.module, job.data, batch)
    first = job.data.rows(job.data.test_split)[:SHOWN]  # of all ranks' images
    write_examples(job.output, job.module, job.data, job.data.index.ids[first].tolist(), kept)
    write_results(job.output / run_folder.RESULTS, results)  # after the others: a run that has them is finished
    console = Console()
    console.print(per_class_table(results.per_class, width=console.width))
    console.print(metrics_table(results.metrics, results.monitors))
    if results.parts:
        console.print(parts_table(results.parts, results.monitors))
    log.info("Results: %s", job.output / run_folder.RESULTS)
    _report(job.output)
    written = RunFolder(job.output)
    for line in [*(sentences(written) if results.epochs else ()), *failure_sentences(written)]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _training_callbacks(job: Job, throughput: Throughput, listener: Listener) -> list[Callback]:
    settings, validated = job.settings, is_validated(job)
    rules.check_validation(early_stopping=settings.early_stopping, monitor=settings.monitor, validated=validated)
    monitor = settings.monitor or "val/monitor"
    if settings.monitor is not None:
        job.module.check_monitor(settings.monitor)
    higher = job.module.higher_is_better(monitor)
    callbacks: list[Callback] = [
        Agreement(job.data),
        ClassCounts(job.data),
        # What they log stands in the history's row.
        ImagesSeen(job.data),
        History(job.output / "metrics.csv", throughput),
        ImageWeights(job.output / "image_weights.csv"),
    ]
    if settings.drawn_images and validated:
        callbacks.append(ValidationPictures(job.output, job.data.source.kinds, job.data.classes, settings.drawn_images))
    if settings.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=settings.ema))
    if settings.early_stopping is not None:
        callbacks.append(Patience(monitor, settings.early_stopping, higher))
    if settings.profile:
        callbacks.append(Profile(job.output / "profile"))
    # After the average, so that what it saves holds the average of all steps so far.
    callbacks.append(Interruption(job.output / checkpoints.FOLDER / "last.ckpt", listener))
    return [
        *callbacks,
        *job.insights,
        *job.callbacks,
        *checkpoint_callbacks(job.output, monitor if validated else None, higher),
    ]


def _report(output: Path) -> None:
    """Writes the run's page. The run is finished whatever comes of it, so what goes wrong is told, not raised."""
    try:
        log.info("Report: %s", write_run_page(output))
    except Exception:
        log.exception("The run is finished, but its report could not be written; vjo-report run='%s' tries again.",
                      output)  # fmt: skip


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
