"""The commands: Hydra parses and composes, mistakes are answered in a line or two, then a run starts.

Nothing here imports torch before a run starts, so help and every mistake in the config are answered at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from vjo_train import helppage
from vjo_train.errors import ConfigError, VjoError


def train() -> NoReturn:
    """`vjo-train`: trains and tests; the arguments are those of the process."""
    sys.exit(_guard("vjo-train", _train_command))


def evaluate() -> NoReturn:
    """`vjo-eval run=DIR`: tests a finished run; the arguments are those of the process."""
    sys.exit(_guard("vjo-eval", _eval_command))


def _guard(command: str, run: Callable[[], None]) -> int:
    """Runs a command; returns its exit status. `HYDRA_FULL_ERROR=1` keeps the traceback of a user's mistake."""
    try:
        run()
    except VjoError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"{command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _train_command() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(helppage.train_page())
        return
    args = _parse_flags()
    config = args.config_name or "train"
    if _runs(args):
        from vjo_train import preflight

        sys.argv += preflight.training(_composer(config, args), args.overrides, args.multirun)
    elif args.cfg or args.info:
        _composer(config, args).compose(args.overrides)
    sweeps: set[Path] = set()

    def job(cfg: Any) -> None:
        _train_job(sweeps, cfg)

    try:
        _hydra(config, job)
    finally:
        for folder in sweeps:
            _summarise(folder)


def _summarise(folder: Path) -> None:
    """Prints and writes the summary of the runs in a sweep's folder, finished or not."""
    from rich.console import Console

    from vjo_train.report.sweep import find_runs, sweep_table, write_sweep

    found = find_runs(folder)
    Console().print(sweep_table(found))
    write_sweep(folder, found)


def _eval_command() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(helppage.eval_page())
        return
    args = _parse_flags()
    if args.shell_completion or args.hydra_help:
        _hydra("train", _eval_job)
        return
    from vjo_train import preflight

    if args.multirun:
        raise ConfigError("-m: vjo-eval tests one run at a time.")
    rest = preflight.evaluation(_composer("train", args), args.overrides, args.config_dir, check_run=_runs(args))
    flags = [word for word in sys.argv[1:] if word not in args.overrides]
    sys.argv[1:] = [*flags, *rest]
    _hydra(preflight.EVAL, _eval_job)


def _train_job(sweeps: set[Path], cfg: Any) -> None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.get().mode == RunMode.MULTIRUN:
        sweeps.add(Path(HydraConfig.get().sweep.dir))

    def job() -> None:
        from vjo_train import build

        build.train(cfg, Path(HydraConfig.get().runtime.output_dir))

    _leave(_guard("vjo-train", job))


def _eval_job(cfg: Any) -> None:
    from hydra.core.hydra_config import HydraConfig

    def job() -> None:
        from vjo_train import build, runs

        path = runs.checkpoint(Path(cfg.run), cfg.checkpoint)
        build.evaluate(cfg, Path(HydraConfig.get().runtime.output_dir), path)

    _leave(_guard("vjo-eval", job))


def _leave(status: int) -> None:
    """Ends the process where a job failed. Hydra lets SystemExit pass without a traceback."""
    if status:
        raise SystemExit(status)


def _hydra(config_name: str, job: Callable[[Any], None]) -> None:
    import hydra

    hydra.main(config_path="pkg://vjo_train.conf", config_name=config_name, version_base="1.3")(job)()


def _parse_flags() -> argparse.Namespace:
    """The process's arguments as Hydra's own parser reads them.

    Raises:
        ConfigError: an unknown flag.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        raise ConfigError(f"{message}. Settings are given as key=value, after flags such as -m; see --help.")

    parser.error = fail  # type: ignore[method-assign]
    return parser.parse_args()


def _runs(args: argparse.Namespace) -> bool:
    """Whether the command line asks for a run, not for information."""
    return not (args.cfg or args.info or args.hydra_help or args.shell_completion or args.experimental_rerun)


def _composer(config_name: str, args: argparse.Namespace) -> Any:
    from vjo_train.composing import Composer

    return Composer(config_name, args.config_dir)


if __name__ == "__main__":
    train()
