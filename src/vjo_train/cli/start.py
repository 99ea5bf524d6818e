"""How a command starts: Hydra's flags, the composer, and Hydra itself."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from vjo_train import __version__
from vjo_train.config import plugins
from vjo_train.errors import ConfigError


def parse_flags() -> argparse.Namespace:
    """The process's arguments as Hydra's own parser reads them, flags first.

    Modules in the user's folder of configs and in the current one can be imported from then on. With `--version`, the
    process ends here.

    Raises:
        ConfigError: an unknown flag, or two that contradict each other.
    """
    from hydra._internal.utils import get_args_parser

    if "--version" in sys.argv[1:]:
        print(f"vjo-train {__version__}")
        sys.exit()
    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        raise ConfigError(f"{message}. Settings are given as key=value, after flags such as -m; see --help.")

    parser.error = fail  # type: ignore[method-assign]
    args = parser.parse_intermixed_args()
    # Hydra parses them again, and takes flags before settings only.
    flags = sys.argv[1:]
    for word in args.overrides:
        flags.remove(word)
    args.overrides = without_nulls(args.overrides)
    sys.argv[1:] = [*flags, *args.overrides]
    kinds = {"-m": args.multirun, "--run": args.run, "--cfg": args.cfg, "--info": args.info}
    if len(asked := [flag for flag, given in kinds.items() if given]) > 1:
        raise ConfigError(f"{' and '.join(asked)}: found together; only one of {', '.join(kinds)} is allowed.")
    for folder in (args.config_dir, os.curdir):
        if folder is not None:
            plugins.make_importable(Path(folder))
    return args


NONE = {
    "experiment": [],
    "compare": ["compare=none"],
    "semi": ["semi=none"],
    "distill": ["distill=none"],
    "logger": ["~logger"],
    "insight": ["insight=[]"],
    "merge": [],
}
"""Group that a run can do without -> the overrides that leave it out, in Hydra's own words."""


def without_nulls(overrides: Sequence[str]) -> list[str]:
    """The same settings where `GROUP=null` undoes what was chosen of the group before, as people expect of Hydra."""
    kept: list[str] = []
    for word in overrides:
        group, _, value = word.partition("=")
        if value == "null" and group in NONE:
            kept = [*(other for other in kept if other.partition("=")[0] != group), *NONE[group]]
        else:
            kept.append(word)
    return kept


def asks_for_a_run(args: argparse.Namespace) -> bool:
    """Whether the command line asks for a run, not for information."""
    return not (args.cfg or args.info or args.hydra_help or args.shell_completion or args.experimental_rerun)


def composer_of(config_name: str, args: argparse.Namespace) -> Any:
    """The composer of a root config, with the user's own configs."""
    from vjo_train.config.compose import Composer

    return Composer(config_name, args.config_dir)


def run_hydra(config_name: str, job: Callable[[Any], None]) -> None:
    """Hands the process's arguments to Hydra, which runs `job` with what they compose to, once or for a sweep."""
    import hydra

    with _logging():
        hydra.main(config_path="pkg://vjo_train.conf", config_name=config_name, version_base="1.3")(job)()


def run_once(composer: Any, overrides: list[str], job: Callable[[Any], None]) -> None:
    """Does the same for a single run without Hydra's own start, which composes the config twice."""
    with _logging():
        composer.run(overrides, job)


@contextmanager
def _logging() -> Iterator[None]:
    logging.raiseExceptions = False  # a log that cannot be written to, on a full disk, is no reason for tracebacks
    logging.captureWarnings(True)  # so that they stand in the run's log file too
    try:
        yield
    finally:
        logging.captureWarnings(False)
