"""`vjo-data`: looks at a data set."""

from __future__ import annotations

import functools
import sys
from typing import Any, NoReturn

from vjo_train.cli import help_page
from vjo_train.cli.answer import INCOMPLETE, guard, leave
from vjo_train.cli.start import asks_for_a_run, composer_of, parse_flags, run_hydra
from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError

ACTIONS = ("summary", "check", "download")
"""What `vjo-data` does."""


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
    if args.multirun:
        raise ConfigError("-m: vjo-data looks at one data set at a time.")
    if asks_for_a_run(args):
        from vjo_train.config.checks.data_set import check_data_set

        sys.argv += check_data_set(composer_of("data", args), [word for word in args.overrides if word != action])
    sys.argv = [word for word in sys.argv if word != action]
    run_hydra("data", functools.partial(_data_job, action))


def _data_job(action: str, cfg: Any) -> None:
    def job() -> None:
        from vjo_train.config import jobs

        if jobs.inspect(cfg, action):
            raise SystemExit(INCOMPLETE)

    leave(guard("vjo-data", job))
