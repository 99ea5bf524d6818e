"""The command line of `vjo-report`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, open_dict

from vjo_train.config.checks.effects import REPORT, say_without_effect
from vjo_train.config.compose import Composer, quoted
from vjo_train.config.conformity import check
from vjo_train.config.schema import ReportConfig
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder

LISTS = ("sort", "where", "top", "format")
"""The keys that ask for a list of runs in the place of a comparison."""


def listed(cfg: DictConfig) -> bool:
    """Whether the runs of a checked config are listed, not compared."""
    return any(cfg[key] is not None for key in LISTS)


def condition_words(overrides: list[str]) -> list[str]:
    """The same overrides with all `where=` as one, quoted: conditions hold signs that Hydra's grammar does not know."""
    texts = [value for key, _, value in (word.partition("=") for word in overrides) if key == "where"]
    plain = [text for text in texts if text not in ("", "null")]
    others = [word for word in overrides if word.partition("=")[0] != "where"]
    return [*others, f"where={quoted(' '.join(plain))}"] if plain else others


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
    asked = [key for key in LISTS if cfg[key] is not None]
    if asked and "runs" not in given:
        raise ConfigError(f"{asked[0]}: is for lists of runs; give it with runs=GLOB, not {given[0]}=.")
    if asked and cfg.output is not None:
        raise ConfigError(f"output: found '{cfg.output}' next to {asked[0]}; a list is printed: add > FILE.")
    if len(given) > 1:
        raise ConfigError(
            f"{given[1]}: given next to {given[0]}; one run's own page is run=DIR, a study's study=DIR, a comparison "
            "runs=GLOB."
        )
    (key,) = given
    say_without_effect(cfg, composer, overrides, REPORT)
    if asked or key == "study":
        return cfg
    for folder in [cfg[key]] if isinstance(cfg[key], str) else cfg[key]:
        if (Path(folder) / run_folder.STUDY).is_file():
            raise ConfigError(f"{key}: found '{folder}', which is a study of vjo-tune; its page is study={folder}.")
    if key == "run":
        run_folder.load_config(Path(cfg.run))
    return cfg
