"""Every use of Hydra's internals and every change to its objects; a test names what they rely on.

Each set of choices is composed once, not anew for each job of a sweep; a job is a copy of it.
"""

import argparse
import copy
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import Overrides
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict

from etude.base.errors import UserError
from etude.base.places import shipped_conf
from etude.cli.choices import Base, Fallen, make_base, settings
from etude.cli.experiments import (
    CONFIG_NAME,
    EXPERIMENT,
    final_choices,
    named_choices,
    whole_choices,
)
from etude.cli.old_numbers import as_meant
from etude.cli.parser import unread_help
from etude.config.schema import GROUPS


class _Repository(ConfigRepository):
    """Hydra's files, each read once; what is given out is a copy, as composing changes it."""

    def __init__(self, config_search_path: Any) -> None:
        super().__init__(config_search_path)
        self._read: dict[Any, bytes] = {}

    def __deepcopy__(self, memo: Any) -> "_Repository":
        """Share what was read; the places to read from are the copy's own."""
        twin = copy.copy(self)
        twin.sources = list(self.sources)
        return twin

    def load_config(self, config_path: str) -> Any:
        """Read a file, or give what it held."""
        key = (tuple((source.scheme(), source.path) for source in self.sources), config_path)
        if key not in self._read:
            try:
                self._read[key] = pickle.dumps(as_meant(super().load_config(config_path), key))
            except (ValueError, OSError) as error:  # YAML, but no configuration; or no UTF-8
                raise UserError(f"{config_path}.yaml cannot be read: {error}") from error
        return pickle.loads(self._read[key])  # noqa: S301 (our own, made in this process)


class Loader(ConfigLoaderImpl):
    """Hydra's loader, which composes each set of choices once.

    What an experiment's file sets for a part holds for the choice that the file names; where
    another is chosen, it falls away.

    `job` gives a launcher the configuration of a job, which was composed when it was planned.
    """

    job: Callable[[DictConfig, Sequence[str]], DictConfig]
    _last: Base  # that a configuration was composed from

    def __init__(self, config_search_path: Any) -> None:
        self._forget()
        super().__init__(config_search_path)

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        """Give the configuration of a job that a launcher is about to start."""
        return self.job(master_config, sweep_overrides)

    def __getstate__(self) -> dict[str, object]:
        """Leave behind what can be read again."""
        return {"config_search_path": self.config_search_path, "job": self.job}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._forget()

    def __deepcopy__(self, memo: Any) -> "Loader":
        """Stay one: Hydra copies all it knows of for each launch."""
        return self

    def _forget(self) -> None:
        self._read: _Repository | None = None
        self._words: dict[str, Override] = {}
        self._nodes: dict[Any, bytes] = {}
        self._bases: dict[Any, Base] = {}
        self._chosen: dict[str, str] = {}
        self._fallen: list[Fallen] = []

    @property
    def repository(self) -> Any:
        """Give Hydra's files; only once they are wanted, as a job's process needs none."""
        if self._read is None:
            self._read = _Repository(self.config_search_path)
        return self._read

    @repository.setter
    def repository(self, _: Any) -> None:
        """Leave Hydra's own, which remembers nothing."""

    def get_group_options(self, group_name: str, *given: Any, **more: Any) -> list[str]:
        """List a group's choices; Hydra would build a repository anew for every group."""
        filtered = given[0] if given else more.get("results_filter", ObjectType.CONFIG)
        return self.repository.get_group_options(group_name, filtered)

    def compose(
        self, words: Sequence[str], run_mode: RunMode = RunMode.RUN
    ) -> tuple[DictConfig, Base]:
        """Compose a configuration; give it, and what its choices alone compose to.

        Raises:
            HydraException: It cannot be composed.
        """
        composed = self.load_configuration(CONFIG_NAME, list(words), run_mode)
        return composed, self._last

    def base(self, words: Sequence[str], run_mode: RunMode = RunMode.RUN) -> Base:
        """Compose nothing but the choices among some words.

        Raises:
            HydraException: They cannot be composed.
        """
        parsed = self._parse(words)
        return self._base(CONFIG_NAME, self._choices(parsed, self._values(parsed)), run_mode)

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,  # noqa: FBT001, FBT002 (Hydra's signature)
        validate_sweep_overrides: bool = True,  # noqa: FBT001, FBT002
        **_: Any,  # of Hydra 1.4: its aliases, and what it keeps of a composition
    ) -> DictConfig:
        parsed = self._parse(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode=run_mode, from_shell=from_shell)
        values = self._values(parsed)
        self._last = self._base(config_name, self._choices(parsed, values), run_mode)
        composed = self._last.copy()
        self._apply_overrides_to_config(values, composed)
        _note_overrides(composed, parsed)
        return composed

    def _parse(self, words: Sequence[str]) -> list[Override]:
        """Read words, each once: a sweep's jobs share most of theirs."""
        for word in words:
            if word not in self._words:
                (self._words[word],) = OverridesParser.create().parse_overrides([word])
        return [self._words[word] for word in words]

    def _values(self, parsed: list[Override]) -> list[Override]:
        """Give the words that are no choices in a group, and no places to look for choices."""
        try:
            values = Overrides(repo=self.repository, overrides_list=parsed).config_overrides
        except ValueError as error:
            raise HydraException(str(error)) from error
        return [word for word in values if word.key_or_group != "hydra.searchpath"]

    @staticmethod
    def _choices(parsed: list[Override], values: list[Override]) -> tuple[str, ...]:
        known = {id(word) for word in values}
        return tuple(str(word.input_line) for word in parsed if id(word) not in known)

    def _base(self, config_name: str | None, choices: tuple[str, ...], run_mode: RunMode) -> Base:
        key = (config_name, choices, run_mode)
        if key not in self._bases:
            self._chosen, self._fallen = {}, []
            try:
                composed = super()._load_configuration_impl(
                    config_name, list(choices), run_mode, validate_sweep_overrides=False
                )
            except RecursionError:
                raise UserError("the files of conf/ build on one another in a circle") from None
            except AssertionError:  # Hydra's, of a choice that stands for nothing: model=${study}
                raise UserError(f"{' '.join(choices)}: a choice here stands for nothing") from None
            self._bases[key] = make_base(composed, self._chosen, self._whole(), self._fallen)
        return self._bases[key]

    def _whole(self) -> dict[str, str]:
        """Give the choices that the experiment names with all that it builds on."""
        return whole_choices(self.repository, self._chosen.get(EXPERIMENT))

    def _compose_config_from_defaults_list(self, defaults: Any, repo: Any) -> DictConfig:
        self._chosen = dict(final_choices(defaults))
        are_hydras = [str(default.config_path).startswith("hydra/") for default in defaults]
        first_own = [*are_hydras, False].index(False)
        both: Any = [_Composed(self._hydras(defaults[:first_own], repo)), *defaults[first_own:]]
        return super()._compose_config_from_defaults_list(both, repo)

    def _hydras(self, defaults: Any, repo: Any) -> DictConfig:
        """Compose Hydra's own node, which takes as long as all else and is mostly the same."""
        key = tuple((default.config_path, default.package) for default in defaults)
        if key not in self._nodes:
            composed = super()._compose_config_from_defaults_list(defaults, repo)
            self._nodes[key] = pickle.dumps(composed)
        return pickle.loads(self._nodes[key])  # noqa: S301 (our own, made in this process)

    def _load_single_config(self, default: Any, repo: Any) -> Any:
        if isinstance(default, _Composed):
            return default
        loaded = super()._load_single_config(default, repo)
        path = str(default.config_path)
        if path.startswith(f"{EXPERIMENT}/") and isinstance(loaded.config, DictConfig):
            named, whole = named_choices(self.repository, path), self._whole()
            for group in GROUPS:
                chosen, own = str(self._chosen.get(group)), str(named.get(group))
                if group in loaded.config and {own, str(whole.get(group))} != {chosen}:
                    with open_dict(loaded.config):
                        node = loaded.config.pop(group)
                    self._fallen.append(Fallen(group, own, chosen, settings(node)))
        return loaded


class _Composed(NamedTuple):
    """What stands for a file that has been loaded: a configuration that is composed already."""

    config: DictConfig
    config_path: str = "hydra"


def _note_overrides(composed: DictConfig, parsed: Sequence[Override]) -> None:
    """Write a command's words where Hydra writes them."""
    hydra = composed.hydra
    own = [word for word in parsed if word.is_hydra_override()]
    task = [word for word in parsed if not word.is_hydra_override()]
    hydra.overrides.hydra = [word.input_line for word in own]
    hydra.overrides.task = [word.input_line for word in task]
    hydra.job.override_dirname = _dirname(task, hydra.job.config.override_dirname)
    with open_dict(hydra):
        for key in hydra.job.env_copy:
            hydra.job.env_set[key] = os.environ[key]


def _dirname(words: Sequence[Override], how: Any) -> str:
    lines = sorted(str(w.input_line) for w in words if w.key_or_group not in how.exclude_keys)
    return str(how.item_sep).join(lines).replace("=", how.kv_sep)


def make_loader(own: Path | None = None) -> Loader:
    """Make a loader over the shipped files, with a user's own before them."""
    search_path = create_config_search_path(str(shipped_conf()))
    if own is not None:
        search_path.prepend("command-line", f"file://{own}", SearchPathQuery(provider="main"))
    return Loader(search_path)


def make_hydra(loader: Loader) -> Hydra:
    """Give Hydra's own commands (help, completion, info) over a loader."""
    hydra = Hydra(task_name="etude", config_loader=loader)
    GlobalHydra.instance().initialize(hydra)
    return hydra


def hydra_now() -> Hydra:
    """Give this command's Hydra."""
    return cast("Hydra", GlobalHydra.instance().hydra)


def close() -> None:
    """Forget the command's Hydra, so that another may begin in this process."""
    GlobalHydra.instance().clear()


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of Hydra's command line."""
    with unread_help():
        return get_args_parser()


def context(loader: Loader, composed: DictConfig) -> HydraContext:
    """Give what Hydra hands to launchers and sweepers."""
    return HydraContext(config_loader=loader, callbacks=Callbacks(composed))


def make_current(composed: DictConfig) -> None:
    """Let `${hydra:…}` mean this configuration; its own setter would copy all of the node."""
    HydraConfig.instance().cfg = cast("Any", composed)
