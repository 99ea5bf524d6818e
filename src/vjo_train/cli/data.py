"""`vjo-data`: looks at a data set."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any, NoReturn

from vjo_train.cli import help_page
from vjo_train.cli.answer import INCOMPLETE, guard, leave
from vjo_train.cli.start import asks_for_a_run, composer_of, parse_flags, run_hydra
from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError

ACTIONS = ("summary", "check", "show", "guess", "download")
"""What `vjo-data` does."""
MOST = 12
"""Guesses that are printed."""


def data() -> NoReturn:
    """`vjo-data ACTION dataset=..`: looks at a data set; the arguments are those of the process.

    The exit status of `check` is `INCOMPLETE` where it has found faults that a run would stop with.
    """
    sys.exit(guard("vjo-data", _data_command))


def _data_command() -> None:
    args = parse_flags()
    if args.help:
        print(help_page.data_page(args.config_dir))
        return
    action = next((word for word in args.overrides if "=" not in word), None)
    if args.shell_completion or args.hydra_help:
        action = "summary"
    if action not in ACTIONS:
        found = f"found the action '{action}'{nearest(action, ACTIONS) or '.'}" if action else "no action given."
        raise ConfigError(f"{found} It must be {', '.join(ACTIONS)}, such as: vjo-data summary dataset=shapes")
    if action == "guess":
        _guess([word for word in args.overrides if word != action])
        return
    if args.multirun:
        raise ConfigError("-m: vjo-data looks at one data set at a time.")
    if asks_for_a_run(args):
        from vjo_train.config.checks.data_set import check_data_set

        sys.argv += check_data_set(composer_of("data", args), [word for word in args.overrides if word != action])
    sys.argv = [word for word in sys.argv if word != action]
    run_hydra("data", functools.partial(_data_job, action))


def _guess(places: list[str]) -> None:
    """Prints the overrides that read what lies in a folder.

    Raises:
        ConfigError: there is not one folder, or nothing in it is recognised.
    """
    from vjo_train.data.sources.guess.folders import HEADS, guesses

    if len(places) != 1:
        said = f"found {', '.join(places)}" if places else "found none"
        raise ConfigError(f"guess: takes one folder or file, such as: vjo-data guess DIR; {said}.")
    place = Path(places[0]).expanduser()
    if not place.exists():
        raise ConfigError(f"guess: found '{places[0]}', which does not exist.")
    found = guesses(place)
    if not found:
        raise ConfigError(f"guess: {place} looks like no layout that is known; docs/data.md describes them.")
    for guess in found[:MOST]:
        print(f"{guess.place} looks like {guess.what}, by {guess.seen}:")
        if guess.choice:
            print(f"  vjo-data summary {guess.overrides}")
            if heads := HEADS.get(guess.choice):
                print(f"  vjo-train {guess.overrides} heads={heads}")
        if guess.note:
            print(f"  {guess.note}")
    if len(found) > MOST:
        print(f"And {len(found) - MOST} folders more.")
    if sum(bool(guess.choice) for guess in found) > 1:
        print("If they annotate the same pictures, dataset=join trains on all of them at once (docs/data/join.md);")
        print("if each has its own, dataset=mixture does (docs/data/mixture.md).")


def _data_job(action: str, cfg: Any) -> None:
    def job() -> None:
        from vjo_train.config import inspecting

        if inspecting.inspect(cfg, action):
            raise SystemExit(INCOMPLETE)

    leave(guard("vjo-data", job))
