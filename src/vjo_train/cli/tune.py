"""`vjo-tune`: searches for good settings."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

from vjo_train.cli import help_page
from vjo_train.cli.answer import guard
from vjo_train.cli.start import asks_for_a_run, composer_of, parse_flags, run_hydra
from vjo_train.errors import ConfigError


def tune() -> NoReturn:
    """`vjo-tune tune.space={..}`: searches for good settings; `grouping=true`: for tasks that help each other.

    The arguments are those of the process.
    """
    sys.exit(guard("vjo-tune", _tune_command))


def _tune_command() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_page.tune_page())
        return
    args = parse_flags()
    if args.multirun:
        raise ConfigError("-m: vjo-tune makes the runs of its study itself; leave it out.")
    if not asks_for_a_run(args):
        sys.argv = [word for word in sys.argv if word not in args.overrides or word.startswith("tune.")]
        run_hydra("tune", lambda cfg: None)
        return
    from vjo_train.tuning import plan

    composers = composer_of("tune", args), composer_of("train", args)
    if plan.asks_for_grouping(*composers, args.overrides):
        from vjo_train.tuning import grouping

        grouping.group(grouping.plan(*composers, args.overrides))
        return
    made = plan.plan(*composers, args.overrides)
    from vjo_train.tuning import command

    logging.raiseExceptions = False
    command.tune(made)
