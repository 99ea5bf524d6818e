"""`vjo-eval`, `vjo-predict` and `vjo-export`: commands that work on a finished run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vjo_train.cli import help_page
from vjo_train.cli.answer import INCOMPLETE, guard, leave
from vjo_train.cli.start import asks_for_a_run, composer_of, parse_flags, run_hydra, run_once
from vjo_train.cli.train import reserve
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder
from vjo_train.runs.reservation import Place

if TYPE_CHECKING:
    from vjo_train.config.checks.finished_run import OfRun


def evaluate() -> NoReturn:
    """`vjo-eval run=DIR|model=FILE`: tests a finished run or a file; the arguments are those of the process."""
    sys.exit(guard("vjo-eval", _eval_command))


def predict() -> NoReturn:
    """`vjo-predict run=DIR source=.. output=DIR`: predicts on image files; the arguments are those of the process.

    The exit status is `INCOMPLETE` where some files could not be read.
    """
    sys.exit(guard("vjo-predict", _predict_command))


def export() -> NoReturn:
    """`vjo-export run=DIR`: writes a file for another runtime; the arguments are those of the process."""
    sys.exit(guard("vjo-export", _export_command))


def _eval_command() -> None:
    from vjo_train.config.checks.finished_run import EVAL, check_evaluation

    _of_run(EVAL, check_evaluation, _eval_job)


def _predict_command() -> None:
    from vjo_train.config.checks.finished_run import PREDICT, check_prediction

    _of_run(PREDICT, check_prediction, _predict_job)


def _export_command() -> None:
    from vjo_train.config.checks.finished_run import EXPORT, check_export

    _of_run(EXPORT, check_export, _export_job)


def _of_run(own: OfRun, prepare: Callable[..., tuple[list[str], Place | None]], job: Callable[[Any], None]) -> None:
    """Answers a command that works on a finished run: `prepare` checks it, `job` does it."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_page.of_run_page(own.command, own.root))
        return
    args = parse_flags()
    if args.shell_completion or args.hydra_help:
        run_hydra("train", job)
        return
    if args.multirun:
        raise ConfigError(f"-m: {own.command} {own.does} one run at a time.")
    rest, place = prepare(composer_of("train", args), args.overrides, args.config_dir, check_run=asks_for_a_run(args))
    flags = [word for word in sys.argv[1:] if word not in args.overrides]
    with ExitStack() as stack:
        words = [*rest, *reserve(stack, place)]
        if asks_for_a_run(args):
            run_once(composer_of(own.config_name, args), words, job)
        else:
            sys.argv[1:] = [*flags, *words]
            run_hydra(own.config_name, job)


def _eval_job(cfg: Any) -> None:
    from hydra.core.hydra_config import HydraConfig

    def job() -> None:
        from vjo_train.config import jobs

        output = Path(HydraConfig.get().runtime.output_dir)
        if cfg.sequences is not None:
            jobs.follow(cfg, output)
        elif cfg.tile is not None:
            jobs.evaluate_tiled(cfg, output)
        elif cfg.model is not None:
            jobs.evaluate_file(cfg, output)
        else:
            jobs.evaluate(cfg, output, run_folder.checkpoint(Path(cfg.run), cfg.checkpoint))

    leave(guard("vjo-eval", job))


def _predict_job(cfg: Any) -> None:
    def job() -> None:
        from vjo_train.config import predicting

        if predicting.predict(cfg):
            raise SystemExit(INCOMPLETE)

    leave(guard("vjo-predict", job))


def _export_job(cfg: Any) -> None:
    def job() -> None:
        from vjo_train.config import jobs

        jobs.export(cfg)

    leave(guard("vjo-export", job))
