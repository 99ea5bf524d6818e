"""`vjo-tune grouping=true`: which tasks to train together, from the affinities that one joint run measures."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vjo_train.config import jobs
from vjo_train.config.checks.class_names import class_names
from vjo_train.config.checks.config import unchosen_heads
from vjo_train.config.checks.training import check_training
from vjo_train.config.compose import Composer, quoted
from vjo_train.config.schema import TuneConfig
from vjo_train.errors import ConfigError
from vjo_train.files import write_atomically
from vjo_train.insight.affinity import MEANS
from vjo_train.insight.grouping import Gains, Groups, best_grouping, branches, gain, of_heads, score
from vjo_train.report.text import figure
from vjo_train.runs import run_folder
from vjo_train.tuning.plan import own_keys, tune_settings

FILE = "grouping"
RUN = "joint"


@dataclass(frozen=True)
class Grouping:
    """What is asked for, checked.

    Attributes:
        folder: of the answer, and of the joint run that it comes from.
        settings: the keys of `tune`.
        overrides: of the joint run, as they were written.
        words: with what is added to them.
        base: the config of the joint run.
        composer: of its config.
    """

    folder: Path
    settings: TuneConfig
    overrides: list[str]
    words: list[str]
    base: DictConfig
    composer: Composer


def plan(tune: Composer, train: Composer, overrides: Sequence[str]) -> Grouping:
    """Composes and checks the joint run.

    Raises:
        ConfigError: a mistake in it, fewer than three heads, or a run of another config in the folder.
    """
    own, rest = own_keys(train, overrides)
    settings = tune_settings(tune, own)
    said = [override.key_or_group for override in train.parse(rest)]
    words = [*rest, *([] if "insight" in said else ["insight=[affinity]"])]
    words += unchosen_heads(train.compose(words), train, words)
    words += class_names(train.compose(words))
    cfg = train.compose(words)
    if len(cfg.heads) < 3:
        raise ConfigError(f"heads: found {', '.join(cfg.heads)}; a grouping needs at least three to choose from.")
    if "affinity" not in (cfg.get("insight") or {}):
        raise ConfigError("insight: grouping=true needs affinity among them, such as insight=[affinity].")
    folder = Path(settings.output or f"tune/{cfg.name}")
    words += [f"hydra.run.dir={quoted(str(folder / RUN))}", "trainer.resume=auto"]
    check_training(train, words, multirun=False)
    done = folder / RUN
    if (done / run_folder.RESULTS).is_file() and (difference := run_folder.difference(done, train.compose(words))):
        raise ConfigError(f"'{done}' holds a run of another config ({difference}); give tune.output another folder.")
    return Grouping(folder, settings, rest, words, cfg, train)


def group(made: Grouping) -> None:
    """Trains all tasks together, unless that is done; writes and prints the groupings that the affinities propose.

    Raises:
        VjoError: see the run.
        ConfigError: no affinity of two tasks was measured.
    """
    run = made.folder / RUN
    if not (run / run_folder.RESULTS).is_file():
        made.composer.run(made.words, lambda cfg: jobs.train(cfg, run))
    measured = json.loads((run / MEANS).read_text(encoding="utf-8"))
    tasks, gains = of_heads(measured["tasks"], measured["mean"])
    if not gains:
        raise ConfigError(
            "grouping: no affinity was measured; at each step several tasks must be on (schedule=joint) and have"
            " labelled images, and insight.affinity.every must be less than the run has batches."
        )
    most = made.settings.networks or len(tasks)
    found = proposals(gains, tasks, most)
    write_atomically(made.folder / f"{FILE}.json", to_json(gains, found))
    text = as_markdown(gains, found, tree(gains, tasks), made.overrides)
    write_atomically(made.folder / f"{FILE}.md", text)
    print(f"{text}\nGrouping: {made.folder / f'{FILE}.md'}")


def proposals(gains: Gains, tasks: Sequence[str], most: int) -> list[Groups]:
    """The best grouping into at most 1, 2, .. `most` networks; what more networks do not better is left out."""
    found = [best_grouping(gains, tasks, count) for count in range(1, most + 1)]
    return list(dict.fromkeys(found))


def tree(gains: Gains, tasks: Sequence[str]) -> dict[str, Groups]:
    """Branches for one network: two groups from the third stage on, up to three from the fourth."""
    return branches(gains, tasks, {"c4": 2, "c5": 3})


def to_json(gains: Gains, found: Sequence[Groups]) -> str:
    """The content of `grouping.json`."""
    content: dict[str, Any] = {
        "affinity": [{"source": i, "target": j, "mean": value} for (i, j), value in gains.items()],
        "groupings": [
            {
                "networks": len(groups),
                "groups": groups,
                "gain": score(gains, groups),
                "tasks": {task: gain(gains, task, one) for one in groups for task in one},
            }
            for groups in found
        ],
    }
    return json.dumps(content, indent=1) + "\n"


def as_markdown(gains: Gains, found: Sequence[Groups], tree: dict[str, Groups], overrides: Sequence[str]) -> str:
    """The proposals as a table, with the commands that train the last of them."""
    kept = [word for word in overrides if not re.match(r"[+~]*insight\b", word)]
    command = " ".join(["vjo-train", *(shlex.quote(word) for word in kept if not word.startswith("heads="))])
    whole = " ".join(["vjo-train", *map(shlex.quote, kept)])
    lines = [
        "# Which tasks to train together",
        "",
        "Predicted gain: the mean of what a step of the other tasks of a group takes off a task's loss, in %; 0 for a",
        "task alone. It compares groupings; how much a metric gains only a training can say.",
        "",
        "| networks | groups | predicted gain |",
        "| --- | --- | --- |",
        *(f"| {len(g)} | {_said(g)} | {figure(100 * score(gains, g), 3)} |" for g in found),
        "",
        f"The last, {len(found[-1])} networks:",
        "",
        "```sh",
        *(f"{command} 'heads=[{','.join(one)}]'" for one in found[-1]),
        "```",
        "",
        "As one network with branches:",
        "",
        "```sh",
        f"{whole} sharing=branched 'sharing.branches={written(tree)}'",
        "```",
    ]
    return "\n".join(lines) + "\n"


def written(tree: dict[str, Groups]) -> str:
    """A tree as an override's value: `{c4: [[a], [b, c]]}`."""
    places = {place: ", ".join(f"[{', '.join(one)}]" for one in groups) for place, groups in tree.items()}
    return "{" + ", ".join(f"{place}: [{groups}]" for place, groups in places.items()) + "}"


def _said(groups: Groups) -> str:
    return "; ".join(" + ".join(one) for one in groups)
