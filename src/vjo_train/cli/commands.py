"""The commands: Hydra parses and composes, mistakes are answered in a line or two, then a run starts.

Nothing here imports torch before a run starts, so help and every mistake in the config are answered at once.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vjo_train.cli import help_page
from vjo_train.config import plugins
from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError, VjoError
from vjo_train.files import NO_SPACE
from vjo_train.runs import run_folder
from vjo_train.runs.reservation import Place, reserved

if TYPE_CHECKING:
    from vjo_train.config.checks import OfRun

ACTIONS = ("summary", "check", "download")
"""What `vjo-data` does."""
INCOMPLETE = 3
"""The exit status of a command that did its work, but not for everything that it was given."""


def train() -> NoReturn:
    """`vjo-train`: trains and tests; the arguments are those of the process."""
    sys.exit(_guard("vjo-train", _train_command))


def evaluate() -> NoReturn:
    """`vjo-eval run=DIR`: tests a finished run; the arguments are those of the process."""
    sys.exit(_guard("vjo-eval", _eval_command))


def predict() -> NoReturn:
    """`vjo-predict run=DIR source=.. output=DIR`: predicts on image files; the arguments are those of the process.

    The exit status is `INCOMPLETE` where some files could not be read.
    """
    sys.exit(_guard("vjo-predict", _predict_command))


def export() -> NoReturn:
    """`vjo-export run=DIR`: writes an ONNX file; the arguments are those of the process."""
    sys.exit(_guard("vjo-export", _export_command))


def data() -> NoReturn:
    """`vjo-data ACTION dataset=..`: looks at a data set; the arguments are those of the process.

    The exit status of `check` is `INCOMPLETE` where it has found faults that a run would stop with.
    """
    sys.exit(_guard("vjo-data", _data_command))


def report() -> NoReturn:
    """`vjo-report runs=GLOB` compares runs, `run=DIR` and `study=DIR` write the page of one; the arguments are those of
    the process.
    """
    sys.exit(_guard("vjo-report", _report_command))


def tune() -> NoReturn:
    """`vjo-tune tune.space={..}`: searches for good settings; the arguments are those of the process."""
    sys.exit(_guard("vjo-tune", _tune_command))


def _guard(command: str, run: Callable[[], None]) -> int:
    """Runs a command; returns its exit status. `HYDRA_FULL_ERROR=1` keeps the traceback of a user's mistake."""
    try:
        run()
    except VjoError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"{command}: error: {error}", file=sys.stderr)
        _note(logging.ERROR, str(error))
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        _note(logging.WARNING, "interrupted")
        return 130
    except BrokenPipeError:  # as of `| head`: who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        _note(logging.ERROR, traceback.format_exc())
        if error.errno not in NO_SPACE or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"{command}: error: {error.filename or 'A file'}: could not be written ({error.strerror}). Make room.",
              file=sys.stderr)  # fmt: skip
        return 2
    except Exception:
        _note(logging.ERROR, traceback.format_exc())
        raise
    return 0


def _note(level: int, text: str) -> None:
    """Puts into the run's log file what the console is told by other ways."""
    record = logging.LogRecord("vjo_train", level, __file__, 0, text, None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def _train_command() -> None:
    args = _parse_flags()
    if args.help:
        print(help_page.train_page(args.config_dir))
        return
    config = args.config_name or "train"
    comparison: list[Any] = []
    sweep: Path | None = None

    def job(cfg: Any) -> None:
        if _train_job(cfg) and comparison:
            from vjo_train.comparison import plan

            print(plan.time_left(comparison), flush=True)

    with ExitStack() as stack:
        if _runs(args):
            from vjo_train.comparison import plan
            from vjo_train.config import checks

            composer = _composer(config, args)
            checked = checks.training(composer, args.overrides, args.multirun)
            folder = None if checked.place is None else stack.enter_context(reserved(checked.place))
            if checked.trials:
                from vjo_train.comparison import choosing
                from vjo_train.tuning.trial import run_trial

                choosing.run(composer, checked.trials, run_trial)
                checked = checks.training(composer, args.overrides, args.multirun)
            sys.argv += [*checked.added, *_named(checked.place, folder)]
            # Jobs may run in other processes, by a launcher's choice: where they write is known before.
            sweep = folder if checked.place is not None and checked.place.key == "hydra.sweep.dir" else None
            comparison.extend(checked.comparison)
            if comparison:
                print(plan.announcement(comparison), flush=True)
        elif args.cfg or args.info:
            _composer(config, args).compose(args.overrides)
        try:
            _hydra(config, job)
        finally:
            if sweep is not None:
                _summarise(sweep)
        if sweep is not None and any(run.finished for run in comparison):
            _answer(sweep)


def _reserve(stack: ExitStack, place: Place | None) -> list[str]:
    """Reserves the run's folder until the stack is closed; returns the override that names it."""
    return _named(place, None if place is None else stack.enter_context(reserved(place)))


def _named(place: Place | None, folder: Path | None) -> list[str]:
    """The override that names the folder reserved for `place`."""
    from vjo_train.config.compose import quoted

    return [] if place is None else [f"{place.key}={quoted(str(folder))}"]


def _summarise(folder: Path) -> None:
    """Prints and writes the summary of the runs in a sweep's folder, finished or not."""
    from rich.console import Console

    from vjo_train.report.sweep import find_runs, sweep_table, write_sweep

    found = find_runs(folder)
    if not found:
        return
    Console().print(sweep_table(found))
    write_sweep(folder, found)


def _answer(folder: Path) -> None:
    """Prints and writes the report of a comparison's finished runs."""
    from vjo_train.comparison import command
    from vjo_train.config import checks
    from vjo_train.config.compose import Composer, quoted

    command.write_report(checks.reporting(Composer("report"), [f"runs={quoted(str(folder))}"]))


def _eval_command() -> None:
    from vjo_train.config import checks

    _of_run(checks.EVAL, checks.evaluation, _eval_job)


def _predict_command() -> None:
    from vjo_train.config import checks

    _of_run(checks.PREDICT, checks.prediction, _predict_job)


def _export_command() -> None:
    from vjo_train.config import checks

    _of_run(checks.EXPORT, checks.export, _export_job)


def _data_command() -> None:
    args = _parse_flags()
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
    if _runs(args):
        from vjo_train.config import checks

        checks.dataset(_composer("data", args), [word for word in args.overrides if word != action])
    sys.argv = [word for word in sys.argv if word != action]
    _hydra("data", functools.partial(_data_job, action))


def _of_run(own: OfRun, prepare: Callable[..., tuple[list[str], Place | None]], job: Callable[[Any], None]) -> None:
    """Answers a command that works on a finished run: `prepare` checks it, `job` does it."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_page.of_run_page(own.command, own.root))
        return
    args = _parse_flags()
    if args.shell_completion or args.hydra_help:
        _hydra("train", job)
        return
    if args.multirun:
        raise ConfigError(f"-m: {own.command} {own.does} one run at a time.")
    rest, place = prepare(_composer("train", args), args.overrides, args.config_dir, check_run=_runs(args))
    flags = [word for word in sys.argv[1:] if word not in args.overrides]
    with ExitStack() as stack:
        sys.argv[1:] = [*flags, *rest, *_reserve(stack, place)]
        _hydra(own.config_name, job)


def _report_command() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_page.report_page())
        return
    args = _parse_flags()
    if args.shell_completion or args.hydra_help or args.cfg or args.info:
        _hydra("report", lambda cfg: None)
        return
    from vjo_train.config import checks

    if args.multirun:
        raise ConfigError("-m: vjo-report writes one report; several patterns of runs are given as runs=[a,b].")
    cfg = checks.reporting(_composer("report", args), args.overrides)
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


def _tune_command() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_page.tune_page())
        return
    args = _parse_flags()
    if args.multirun:
        raise ConfigError("-m: vjo-tune makes the runs of its study itself; leave it out.")
    if not _runs(args):
        sys.argv = [word for word in sys.argv if word not in args.overrides or word.startswith("tune.")]
        _hydra("tune", lambda cfg: None)
        return
    from vjo_train.tuning import plan

    made = plan.plan(_composer("tune", args), _composer("train", args), args.overrides)
    from vjo_train.tuning import command

    logging.raiseExceptions = False
    command.tune(made)


def _train_job(cfg: Any) -> bool:
    """Runs one job; whether it was run, or finished before."""
    from hydra.core.hydra_config import HydraConfig

    output = Path(HydraConfig.get().runtime.output_dir)
    if cfg.get("compare") is not None and (output / run_folder.RESULTS).is_file():
        print(f"Finished already: {output}.")
        return False

    def job() -> None:
        from vjo_train.config import build

        build.train(cfg, output)

    _leave(_guard("vjo-train", job))
    return True


def _eval_job(cfg: Any) -> None:
    from hydra.core.hydra_config import HydraConfig

    def job() -> None:
        from vjo_train.config import build

        path = run_folder.checkpoint(Path(cfg.run), cfg.checkpoint)
        build.evaluate(cfg, Path(HydraConfig.get().runtime.output_dir), path)

    _leave(_guard("vjo-eval", job))


def _predict_job(cfg: Any) -> None:
    def job() -> None:
        from vjo_train.config import build

        if build.predict(cfg):
            raise SystemExit(INCOMPLETE)

    _leave(_guard("vjo-predict", job))


def _export_job(cfg: Any) -> None:
    def job() -> None:
        from vjo_train.config import build

        build.export(cfg)

    _leave(_guard("vjo-export", job))


def _data_job(action: str, cfg: Any) -> None:
    def job() -> None:
        from vjo_train.config import build

        if build.inspect(cfg, action):
            raise SystemExit(INCOMPLETE)

    _leave(_guard("vjo-data", job))


def _leave(status: int) -> None:
    """Ends the process where a job failed. Hydra lets SystemExit pass without a traceback."""
    if status:
        raise SystemExit(status)


def _hydra(config_name: str, job: Callable[[Any], None]) -> None:
    import hydra

    logging.raiseExceptions = False  # a log that cannot be written to, on a full disk, is no reason for tracebacks
    logging.captureWarnings(True)  # so that they stand in the run's log file too
    try:
        hydra.main(config_path="pkg://vjo_train.conf", config_name=config_name, version_base="1.3")(job)()
    finally:
        logging.captureWarnings(False)


def _parse_flags() -> argparse.Namespace:
    """The process's arguments as Hydra's own parser reads them.

    Raises:
        ConfigError: an unknown flag, or two that contradict each other.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        raise ConfigError(f"{message}. Settings are given as key=value, after flags such as -m; see --help.")

    parser.error = fail  # type: ignore[method-assign]
    args = parser.parse_args()
    kinds = {"-m": args.multirun, "--run": args.run, "--cfg": args.cfg, "--info": args.info}
    if len(asked := [flag for flag, given in kinds.items() if given]) > 1:
        raise ConfigError(f"{' and '.join(asked)}: found together; only one of {', '.join(kinds)} is allowed.")
    if args.config_dir is not None:
        plugins.make_importable(Path(args.config_dir))
    return args


def _runs(args: argparse.Namespace) -> bool:
    """Whether the command line asks for a run, not for information."""
    return not (args.cfg or args.info or args.hydra_help or args.shell_completion or args.experimental_rerun)


def _composer(config_name: str, args: argparse.Namespace) -> Any:
    from vjo_train.config.compose import Composer

    return Composer(config_name, args.config_dir)
