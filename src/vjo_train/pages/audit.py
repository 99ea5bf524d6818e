"""Sections that say what a run was: its config, and what is needed to trust it or to do it again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vjo_train.pages.blocks import Block, Code, Facts, Note, Section, Table
from vjo_train.pages.folder import Message, RunFolder
from vjo_train.report.text import count_text, duration, figure
from vjo_train.runs import run_folder
from vjo_train.runs.results import Results

UNKNOWN = "not recorded"
PARTS = ("train", "val", "meta", "test")
"""The parts of a data set, as `Results.counts` names them."""


def config(run: RunFolder) -> Section | None:
    """What the command line changed, and the whole config."""
    if not run.config:
        return None
    changed = " ".join(run.overrides)
    blocks: list[Block] = [Code("Command line", changed or "(nothing: the defaults)", open=True)]
    return Section("Config", [*blocks, Code("The whole config", run.config_text)])


def audit(run: RunFolder) -> Section | None:
    """Data, code, seed, device, budget, and every warning."""
    blocks: list[Block] = [Facts(_facts(run))]
    if run.results is not None:
        blocks += _data(run.results, run.tasks)
        versions = ", ".join(f"{name} {version}" for name, version in sorted(run.results.versions.items()))
        blocks.append(Facts([("versions", versions)]))
    return Section("Audit", [*blocks, *_warnings(run)])


def _facts(run: RunFolder) -> list[tuple[str, str]]:
    results = run.results
    if results is None:
        return [("seed", str(run.config.get("seed", UNKNOWN))), ("folder", str(run.path)), ("state", state(run))]
    device = results.device
    room = f", {device['cores']} cores" if "cores" in device else f", {device.get('memory_gib', '?')} GiB"
    return [
        ("seed", str(results.seed)),
        ("code", f"revision {results.git}" if results.git else f"revision {UNKNOWN} (no checkout)"),
        ("device", f"{device.get('devices', 1)} × {device.get('name', UNKNOWN)}{room}"),
        ("precision", results.precision),
        ("checkpoint", results.checkpoint or UNKNOWN),
        ("parameters", count_text(results.parameters)),
        ("trained", f"{results.epochs} epochs, {results.steps} steps, {duration(results.wall_seconds)}"),
        ("training speed", f"{figure(results.images_per_second, 1)} images/s, data wait {_percent(results.data_wait)}"),
        ("tested", f"in {duration(results.test_seconds)}"),
        ("inference", _inference(results)),
        ("folder", str(run.path)),
    ]


def _inference(results: Results) -> str:
    speed = f"{figure(results.inference_images_per_second, 1)} images/s"
    flops = results.inference_flops
    return f"{speed}, {figure(flops / 1e9, 2)} GFLOPs an image" if math.isfinite(flops) else speed


def state(run: RunFolder) -> str:
    """Finished or not, and how to go on."""
    if run.results is not None:
        return "finished"
    if run_folder.stopped(run.path):
        return "not finished; a checkpoint is there: trainer.resume=auto goes on from it"
    return "not finished, and without a checkpoint to go on from"


def _data(results: Results, tasks: Sequence[str]) -> list[Block]:
    prints = results.data.replace(" ", "\n").replace("=", ": ")
    found: list[Block] = [Facts([("data fingerprint", prints)])]
    if results.counts:
        header = ["images", "in all", *(f"labelled for {t}" for t in tasks), *(f"not for {t}" for t in tasks)]
        rows = [
            [
                part,
                str(own["images"]),
                *(str(own.get(t, "")) for t in tasks),
                *(str(own["images"] - own[t]) if t in own else "" for t in tasks),
            ]
            for part, own in ((part, results.counts[part]) for part in PARTS if part in results.counts)
        ]
        found.append(Table("Data", header, rows))
    seen = {task: count for task, count in results.images_seen.items()}
    if seen:
        passes = [figure(results.training.get(f"train/{task}/passes", float("nan")), 1) for task in seen]
        rows = [[task, str(count), times] for (task, count), times in zip(seen.items(), passes, strict=True)]
        found.append(Table("Labelled images seen in training", ["task", "images", "passes"], rows))
    if results.skipped:
        left = ", ".join(f"{count} of {split}" for split, count in results.skipped.items())
        found.append(Note(f"Faulty images were left out: {left}.", "warning"))
    return found


def _warnings(run: RunFolder) -> list[Block]:
    if not run.logs:
        return [Note("There is no log file, so the run's warnings are not known.")]
    if not run.messages:
        return [Note(f"No warnings in {', '.join(file.name for file in run.logs)}.")]
    return [
        Table("Warnings and errors", ["message", "level", "time", "times"], [_row(m) for m in run.messages]),
        *_long(run.messages),
    ]


def _row(message: Message) -> Sequence[str]:
    first = message.text.partition("\n")[0]
    return [first if len(first) <= 110 else first[:109] + "…", message.level, message.time, str(message.times)]


def _long(messages: Sequence[Message]) -> list[Block]:
    """The messages that do not fit into a row, whole."""
    whole = [m.text for m in messages if "\n" in m.text or len(m.text) > 110]
    return [Code("Long messages in full", "\n\n".join(whole))] if whole else []


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share == share else "-"
