"""The command line of `vjo-report`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, open_dict

from vjo_train.config.compose import Composer
from vjo_train.config.conformity import check
from vjo_train.config.schema import ReportConfig
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder


def check_report(composer: Composer, overrides: list[str]) -> DictConfig:
    """The checked config of `vjo-report`.

    Raises:
        ConfigError: a mistake in the overrides.
    """
    cfg = composer.compose(overrides)
    with open_dict(cfg):
        del cfg["hydra"]
    check(cfg, ReportConfig)
    given = [key for key in ("runs", "run", "study") if cfg[key] is not None]
    if not given:
        near = run_folder.nearby(Path("multirun"))
        shown = f" Runs here: {', '.join(map(str, near))}." if near else ""
        raise ConfigError(
            "runs: missing; vjo-report runs=GLOB needs the folders of runs, or one above them; run=DIR one, study=DIR "
            f"a study of vjo-tune.{shown}"
        )
    if len(given) > 1:
        raise ConfigError(
            f"{given[1]}: given next to {given[0]}; one run's own page is run=DIR, a study's study=DIR, a comparison "
            "runs=GLOB."
        )
    (key,) = given
    if key == "study":
        return cfg
    for folder in [cfg[key]] if isinstance(cfg[key], str) else cfg[key]:
        if (Path(folder) / run_folder.STUDY).is_file():
            raise ConfigError(f"{key}: found '{folder}', which is a study of vjo-tune; its page is study={folder}.")
    if key == "run":
        run_folder.load_config(Path(cfg.run))
    return cfg
