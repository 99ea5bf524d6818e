"""`vjo-report`: compares or lists runs, or writes the page of one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

from vjo_train.cli import help_page
from vjo_train.cli.answer import guard
from vjo_train.cli.start import composer_of, parse_flags, run_hydra
from vjo_train.errors import ConfigError


def report() -> NoReturn:
    """`vjo-report runs=GLOB` compares runs or lists them, `run=DIR` and `study=DIR` write the page of one.

    The arguments are those of the process.
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
    from vjo_train.config.checks.report import check_report, condition_words, listed

    if args.multirun:
        raise ConfigError("-m: vjo-report writes one report; several patterns of runs are given as runs=[a,b].")
    cfg = check_report(composer_of("report", args), condition_words(args.overrides))
    if listed(cfg):
        _list(cfg)
        return
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


def _list(cfg: Any) -> None:
    """Prints the runs of a checked config, best first; what could not be read is said beside them."""
    from rich.console import Console

    from vjo_train.report import listing
    from vjo_train.runs.finding import find_folders

    patterns = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    where = [] if cfg.where is None else [cfg.where] if isinstance(cfg.where, str) else list(cfg.where)
    found = listing.list_runs(find_folders(patterns), cfg.sort or "date", where, cfg.top)
    if cfg.format == "json":
        print(listing.as_json(found), end="")
    elif cfg.format == "csv":
        print(listing.as_csv(found), end="")
    else:
        console = Console()
        console.print(listing.terminal(found, console.width))
        shown = f"{len(found.runs)} of " if len(found.runs) < found.found else ""
        console.print(f"{shown}{found.found} {'run' if found.found == 1 else 'runs'}", highlight=False)
    if found.skipped:
        print(f"Skipped {len(found.skipped)}, which cannot be read: {'; '.join(found.skipped)}", file=sys.stderr)
