"""`compare.budget=compute`: for how long each method trains, at the arithmetic of the tasks' own trainings together.

A joint network costs less than the networks of its tasks together, so that it trains longer; a weighting with many
backward passes trains shorter. What a case costs is counted in a short training of its own, before the first run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig

from vjo_train.comparison.plan import Case, groups, seed_left_out
from vjo_train.config.compose import Composer, quoted
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.files import replacing
from vjo_train.runs import run_folder

FILE = "arithmetic.json"
"""The file in a comparison's folder that says what an epoch of each case costs."""
KEY = "trainer.max_epochs"


@dataclass(frozen=True)
class Count:
    """A case whose arithmetic is counted.

    Attributes:
        case: its name.
        words: all overrides of its runs but the seed.
        seed: of the short training.
    """

    case: str
    words: tuple[str, ...]
    seed: int


def counts(composer: Composer, cases: Sequence[Case], overrides: Sequence[str], seed: int) -> list[Count]:
    """What is to be counted for the cases of a comparison.

    Raises:
        ConfigError: the length of a run is not `trainer.max_epochs` of all cases.
    """
    common = seed_left_out(composer, overrides)
    for case in cases:
        if {KEY, "trainer.max_steps"} & {word.key_or_group for word in composer.parse(list(case.words))}:
            raise ConfigError(f"compare.methods: {case.name} sets a length, which compare.budget=compute decides.")
    found = [Count(case.name, (*common, *case.words), seed) for case in cases]
    if any(composer.compose(list(count.words)).get("distill") is not None for count in found):
        raise ConfigError("compare.budget: found compute, which counts before there are teachers for distill.")
    if composer.compose(list(found[0].words)).trainer.max_steps is not None:
        raise ConfigError(f"trainer.max_steps: must be null under compare.budget=compute, which changes {KEY}.")
    return found


def read(folder: Path, wanted: Sequence[Count]) -> dict[str, float]:
    """Case -> floating-point operations of an epoch, for those that were counted with the same words.

    Raises:
        CheckpointError: a damaged file.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {
            count.case: float(known[count.case]["flops"])
            for count in wanted
            if known.get(count.case, {}).get("words") == list(count.words)
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); remove it to count again.") from error


def measure(composer: Composer, wanted: Sequence[Count], folder: Path, count: Callable[[DictConfig], float]) -> None:
    """Counts what was not counted yet, and writes it down case by case.

    Args:
        composer: of the comparison's config.
        wanted: of all cases.
        folder: of the comparison.
        count: the config -> floating-point operations of an epoch; `config.jobs.count_arithmetic`.
    """
    known = read(folder, wanted)
    for place, own in enumerate(wanted, start=1):
        if own.case in known:
            continue
        print(f"Arithmetic of case {place} of {len(wanted)}: {own.case}", flush=True)
        place_of_run = folder / run_folder.TUNED / "arithmetic" / own.case
        words = [*own.words, f"seed={own.seed}", f"hydra.run.dir={quoted(str(place_of_run))}"]
        known[own.case] = composer.run(words, count)
        counted = [one for one in wanted if one.case in known]
        content = {one.case: {"words": list(one.words), "flops": known[one.case]} for one in counted}
        with replacing(folder / FILE) as file:
            file.write(json.dumps(content, indent=1).encode())


def lengthened(cases: Sequence[Case], flops: Mapping[str, float], base: int) -> list[Case]:
    """The cases, each with its number of epochs.

    Args:
        cases: of the comparison.
        flops: case -> operations of an epoch.
        base: epochs of the tasks alone.
    """
    length = {
        method: epochs(flops[method], [flops[name] for name in alone], base)
        for alone, methods in groups(cases)
        for method in methods
    }
    return [replace(case, words=(*case.words, f"{KEY}={length.get(case.name, base)}")) for case in cases]


def epochs(method: float, alone: Sequence[float], base: int) -> int:
    """Whole epochs in which a method spends what the tasks alone spend together in `base` of theirs; at least one.

    Args:
        method: operations of its epoch.
        alone: of an epoch of each task.
        base: epochs.
    """
    return max(1, round(base * sum(alone) / method))
