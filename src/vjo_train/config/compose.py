"""Composes and checks configs before Hydra starts a run, and says in a line or two what is wrong with them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import run_job, setup_globals
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from vjo_train.config.built_in import described
from vjo_train.config.plugins import check_names
from vjo_train.config.repository import KeptRepository
from vjo_train.config.signatures import Node, nearest, signature
from vjo_train.errors import ConfigError


class Composer:
    """Composes what Hydra would compose, with errors that name the key or choice and the nearest right one.

    Args:
        config_name: the root config, such as `train`.
        config_dir: a folder with further configs (Hydra's `--config-dir`), or None.

    Raises:
        ConfigError: `config_dir` is no folder, or a file in it has the name of a built-in config.
    """

    def __init__(self, config_name: str, config_dir: str | None = None) -> None:
        setup_globals()
        search_path = create_config_search_path("pkg://vjo_train.conf")
        if config_dir is not None:
            folder = os.path.abspath(config_dir)
            if not os.path.isdir(folder):
                raise ConfigError(f"--config-dir: found '{config_dir}', which is no folder.")
            check_names(Path(folder))
            search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        self._config_name = config_name
        self._loader = ConfigLoaderImpl(search_path)
        self._loader.repository = KeptRepository(search_path)

    @property
    def groups(self) -> list[str]:
        """The config groups of this program, in alphabetical order."""
        # Asking the loader itself would copy all of Hydra's settings each time.
        return [group for group in self._loader.repository.get_group_options("", ObjectType.GROUP) if group != "hydra"]

    def parse(self, overrides: list[str]) -> list[Override]:
        """Overrides as Hydra reads them.

        Raises:
            ConfigError: one that Hydra cannot read.
        """
        parser = OverridesParser.create(config_loader=self._loader)
        parsed = []
        for text in overrides:
            try:
                parsed += parser.parse_overrides([text])
            except OverrideParseException as error:
                if "=" not in text:
                    raise ConfigError(f"'{text}' sets nothing; settings are given as key=value.") from error
                reason = str(error).splitlines()[0].partition(": ")[0]
                raise ConfigError(
                    f"cannot read '{text}': {reason}. Put values with special characters in quotes, here with those of"
                    f" a shell around them: {in_shell(text)}."
                ) from error
        return parsed

    def jobs(self, overrides: list[str], params: Mapping[str, str] | None = None) -> list[list[str]]:
        """The overrides of each run of a sweep, in Hydra's order.

        Args:
            overrides: as on the command line.
            params: what `hydra.sweeper.params` adds.

        Raises:
            ConfigError: an override that cannot be read, or a kind of sweep that the basic sweeper does not have.
        """
        parsed = self.parse([*(f"{key}={value}" for key, value in (params or {}).items()), *overrides])
        try:
            return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
        except HydraException as error:
            raise ConfigError(_first_lines(error)) from error

    def compose(self, overrides: list[str], mode: RunMode = RunMode.RUN) -> DictConfig:
        """The composed config, with Hydra's own settings in `hydra`.

        Raises:
            ConfigError: an unknown group, choice or key, or a YAML file that cannot be read.
        """
        self.check_choices(overrides, mode)
        try:
            return self._loader.load_configuration(self._config_name, list(overrides), run_mode=mode)
        except MissingConfigException as error:
            raise ConfigError(_missing(error)) from error
        except HydraException as error:
            cause = _struct_error(error)
            if cause is not None:
                raise ConfigError(self._unknown_key(cause)) from error
            raise ConfigError(_first_lines(error)) from error
        except yaml.YAMLError as error:
            raise ConfigError(" ".join(str(error).split())) from error
        except OmegaConfBaseException as error:
            raise ConfigError(_first_lines(error)) from error

    def run(self, overrides: list[str], job: Callable[[DictConfig], Any]) -> Any:
        """Runs `job` on the composed config as Hydra does: in its folder lie `.hydra/` and the log; returns its result.

        Raises:
            ConfigError: see `compose`.
            Exception: what the job raises.
        """
        cfg = self.compose(overrides)
        callbacks = Callbacks(cfg)
        callbacks.on_run_start(config=cfg, config_name=self._config_name)
        context = HydraContext(config_loader=self._loader, callbacks=callbacks)
        done = run_job(job, cfg, job_dir_key="hydra.run.dir", job_subdir_key=None, hydra_context=context)
        callbacks.on_run_end(config=cfg, config_name=self._config_name, job_return=done)
        return done.return_value

    def check_choices(self, overrides: list[str], mode: RunMode = RunMode.RUN) -> None:
        """Looks at the overrides alone: far quicker than composing.

        Raises:
            ConfigError: one that cannot be read, or an unknown choice of a group.
        """
        for override in self.parse(overrides):
            if override.is_sweep_override() and mode is RunMode.RUN:
                raise ConfigError(
                    f"'{override.input_line}' gives several values: add -m to run each, or write [...] for a list."
                )
            self._check_choice(override)

    def _check_choice(self, override: Override) -> None:
        """Refuses a choice that its group does not have; overrides of keys pass."""
        if override.is_delete() or override.is_sweep_override():
            return
        group, value = override.key_or_group, override.value()
        choices = self._loader.repository.get_group_options(group, ObjectType.CONFIG)
        if not choices:
            return
        names = value if isinstance(value, list) else [value]
        root = signature("vjo_train.config.schema.TrainConfig")
        if isinstance(value, list) and group in root and root[group].type is Node:
            raise ConfigError(
                f"{group}=[{', '.join(map(str, names))}]: takes one choice. Choices: {', '.join(choices)}."
            )
        for name in names:
            if group == "hydra/launcher" and (extra := _missing_launcher(str(name))):
                raise ConfigError(
                    f"{group}={name}: hydra-{extra}-launcher is not installed; pip install 'vjo-train[{extra}]'."
                )
            if name not in choices:
                shown = "null" if name is None else name
                meant = described(str(name), group, choices)
                hint = f"; did you mean '{meant[0]}'?" if len(meant) == 1 else nearest(str(name), choices) or "."
                raise ConfigError(f"{group}={shown}: no such choice{hint} Choices: {', '.join(choices)}.")

    def _unknown_key(self, error: OmegaConfBaseException) -> str:
        """What to say of a key that the config does not have."""
        path, _, key = str(error.full_key).rpartition(".")
        parent = error.parent_node
        assert isinstance(parent, DictConfig)
        keys = [str(k) for k in parent if k != "hydra"]
        if path and not keys:  # Hydra has put an empty mapping in the place of a value
            return (
                f"Key '{key}' is not in '{path}', which has no keys; a mapping is given whole: {path}={{{key}: ...}}."
            )
        if path:
            hint = nearest(key, keys) or f"; its keys are {', '.join(k for k in keys if k != '_target_')}."
            return f"Key '{key}' is not in '{path}'{hint}"
        elsewhere = [full for full in _paths(parent) if full.rsplit(".", 1)[-1] == key]
        hint = f"; did you mean '{elsewhere[0]}'?" if elsewhere else nearest(key, [*keys, *self.groups])
        return f"Key '{key}' is not in the config{hint or '; see --help.'}"


def _missing_launcher(name: str) -> str | None:
    """The extra of this program that a launcher's choice needs, where it is not installed."""
    extra = "joblib" if name == "joblib" else "submitit" if name == "slurm" or name.startswith("submitit_") else None
    # Plugins lie in a namespace package, which must be there to look into it.
    there = find_spec("hydra_plugins") and extra and find_spec(f"hydra_plugins.hydra_{extra}_launcher")
    return None if there else extra


def in_shell(override: str) -> str:
    """The word for a shell that sets a key to a text with blanks or other signs in it."""
    key, _, value = override.partition("=")
    return shlex.quote(f'{key}="{value.strip(chr(34) + chr(39))}"')


def quoted(text: str) -> str:
    """Text as a quoted value of Hydra's grammar."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _paths(node: DictConfig, path: str = "") -> Iterator[str]:
    """The full names of all keys below `node`, Hydra's own left out."""
    keys: list[Any] = list(node)
    for key in keys:
        full = f"{path}{key}"
        if full == "hydra":
            continue
        yield full
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _paths(child, f"{full}.")


def _missing(error: MissingConfigException) -> str:
    """A config file that a defaults list names and that is not there."""
    where = str(error).splitlines()[0].rstrip(".")
    name = (error.missing_cfg_file or "").rsplit("/", 1)[-1]
    options = error.options or []
    return f"{where}{nearest(name, options) or '.'}" + (f" Choices: {', '.join(options)}." if options else "")


def _struct_error(error: BaseException) -> OmegaConfBaseException | None:
    """OmegaConf's complaint about an unknown key, where that is what lies behind `error`."""
    cause = error.__cause__
    while cause is not None and not isinstance(cause, ConfigAttributeError | ConfigKeyError):
        cause = cause.__cause__
    return cause


def _first_lines(error: BaseException) -> str:
    """The first line of an error and of its cause, as one."""
    lines = [str(e).strip().splitlines()[0] for e in (error, error.__cause__) if e is not None and str(e).strip()]
    return " ".join(line if line.endswith((".", "?", "!")) else f"{line}." for line in dict.fromkeys(lines))
