"""`vjo-report`: compares runs, or writes the page of one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

from vjo_train.cli import help_page
from vjo_train.cli.answer import guard
from vjo_train.cli.start import composer_of, parse_flags, run_hydra
from vjo_train.errors import ConfigError


def report() -> NoReturn:
    """`vjo-report runs=GLOB` compares runs, `run=DIR` and `study=DIR` write the page of one; the arguments are those of
    the process.
    """
    sys.exit(guard("vjo-report", _report_command))


def _report_command() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_page.report_page())
        return
    args = parse_flags()
    if args.shell_completion or args.hydra_help or args.cfg or args.info:
        run_hydra("report", lambda cfg: None)
        return
    from vjo_train.config.checks.report import check_report

    if args.multirun:
        raise ConfigError("-m: vjo-report writes one report; several patterns of runs are given as runs=[a,b].")
    cfg = check_report(composer_of("report", args), args.overrides)
    from vjo_train.comparison import command
    from vjo_train.pages.run import write_run_page
    from vjo_train.tuning.page import write_study_page

    output = None if cfg.output is None else Path(cfg.output)
    try:
        if cfg.run is not None:
            print(f"Report: {write_run_page(Path(cfg.run), output)}")
        elif cfg.study is not None:
            print(f"Report: {write_study_page(Path(cfg.study), output)}")
        else:
            command.write_report(cfg)
    except OSError as error:
        raise ConfigError(f"The report cannot be written: {error}.") from error
