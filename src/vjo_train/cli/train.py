"""`vjo-train`: one run, a sweep, or a comparison."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vjo_train.cli import help_page
from vjo_train.cli.answer import guard, keep_to_file, leave, say_it
from vjo_train.cli.start import asks_for_a_run, composer_of, parse_flags, run_hydra
from vjo_train.errors import ConfigError, VjoError
from vjo_train.runs import run_folder
from vjo_train.runs.launch import outside, own_rank
from vjo_train.runs.reservation import Place, reserved

if TYPE_CHECKING:
    from vjo_train.config.checks.training import Checked


def train() -> NoReturn:
    """`vjo-train`: trains and tests; the arguments are those of the process."""
    sys.exit(guard("vjo-train", _train_command))


def _train_command() -> None:
    args = parse_flags()
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
        if asks_for_a_run(args):
            from vjo_train.comparison import plan
            from vjo_train.config.checks.training import check_training
            from vjo_train.config.compose import quoted

            composer = composer_of(config, args)
            try:
                checked = check_training(composer, args.overrides, args.multirun)
            except VjoError as error:
                _refuse(error)
                raise
            folder = _folder(checked, stack)
            if checked.counts:
                from vjo_train.comparison import budget
                from vjo_train.config.jobs import count_arithmetic

                assert folder is not None
                budget.measure(composer, checked.counts, folder, count_arithmetic)
                checked = check_training(composer, args.overrides, args.multirun)
            if checked.trials:
                from vjo_train.comparison import choosing
                from vjo_train.tuning.trial import run_trial

                choosing.run(composer, checked.trials, run_trial)
                checked = check_training(composer, args.overrides, args.multirun)
            kept = [word for word in sys.argv if word not in checked.dropped]
            sys.argv = [*kept, *checked.added, *named(checked.place, folder)]
            if checked.started is not None and checked.started.rank:
                sys.argv += [f"hydra.run.dir={quoted(str(folder))}", "hydra.output_subdir=null"]  # rank 0 writes it
            # Jobs may run in other processes, by a launcher's choice: where they write is known before.
            sweep = folder if checked.place is not None and checked.place.key == "hydra.sweep.dir" else None
            comparison.extend(checked.comparison)
            if comparison:
                print(plan.announcement(comparison), flush=True)
        elif args.cfg or args.info:
            composer_of(config, args).compose(args.overrides)
        try:
            run_hydra(config, job)
        finally:
            if sweep is not None:
                _summarise(sweep)
        if sweep is not None and any(run.finished for run in comparison):
            _answer(sweep)


def _folder(checked: Checked, stack: ExitStack) -> Path | None:
    """The folder to write to, reserved until the stack is closed; None where the words name it already."""
    if checked.started is None:
        return None if checked.place is None else stack.enter_context(reserved(checked.place))
    from vjo_train.cli import together

    def decide() -> Path:
        assert checked.place is not None
        return stack.enter_context(reserved(checked.place))

    folder, board = together.agree(checked.started, checked.config, decide)
    stack.callback(board.close)
    return folder


def _refuse(error: VjoError) -> None:
    """Tells the run's other processes of a mistake, if torchrun or SLURM has started them; rank 0 says it for all."""
    with suppress(ConfigError):  # what they say of themselves is the mistake
        if (started := outside()) is not None:
            from vjo_train.cli import together

            together.refuse(started, error)


def reserve(stack: ExitStack, place: Place | None) -> list[str]:
    """Reserves the run's folder until the stack is closed; returns the override that names it."""
    return named(place, None if place is None else stack.enter_context(reserved(place)))


def named(place: Place | None, folder: Path | None) -> list[str]:
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
    from vjo_train.config.checks.report import check_report
    from vjo_train.config.compose import Composer, quoted

    command.write_report(check_report(Composer("report"), [f"runs={quoted(str(folder))}"]))


def _train_job(cfg: Any) -> bool:
    """Runs one job; whether it was run, or finished before."""
    from hydra.core.hydra_config import HydraConfig

    output = Path(HydraConfig.get().runtime.output_dir)
    if cfg.get("compare") is not None and (output / run_folder.RESULTS).is_file():
        print(f"Finished already: {output}.")
        return False

    def job() -> None:
        from vjo_train.config import jobs

        jobs.train(cfg, output)

    from vjo_train.cli import together

    rank = own_rank(cfg.trainer.devices, cfg.trainer.num_nodes)
    if rank:
        keep_to_file(output / f"train.rank{rank}.log")
    processes = int(cfg.trainer.devices * cfg.trainer.num_nodes)
    leave(guard("vjo-train", job, partial(together.say, rank, processes) if processes > 1 else say_it))
    return True
