"""Every use of Hydra's internals and every change to its objects; a test names what they rely on.

Hydra reads all files anew for each job of a sweep. Here each set of choices is composed once, and a
job is its copy with the job's own values.
"""

import copy
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.defaults_list import Overrides
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.default_element import ConfigDefault, GroupDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, configure_log, run_job
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

import etude
from etude.config.schema import GROUPS

CONFIG_NAME = "config"
_EXPERIMENT = "experiment"
Flat = dict[str, Any]


class Fallen(NamedTuple):
    """What an experiment's file sets for a choice that was replaced, and that so does not hold.

    Args:
        group: The group, such as `optimizer`.
        named: The choice that the experiment names.
        chosen: The choice in its place.
        settings: The keys within the group, dotted, with their values.
    """

    group: str
    named: str
    chosen: str
    settings: Flat


@dataclass(frozen=True)
class Base:
    """What a command's choices alone compose to; its jobs differ from it in values.

    Args:
        pickled: The configuration, which is copied five times faster so than by `deepcopy`.
        experiment: The experiment's name; None without one.
        chosen: The choice in each group of parts.
        named: The choices that the experiment's file, or the default recipe, makes.
        fallen: What the experiment sets for other choices than these.
    """

    pickled: bytes
    experiment: str | None
    chosen: dict[str, str]
    named: dict[str, str]
    fallen: tuple[Fallen, ...]

    def copy(self) -> DictConfig:
        """Give the configuration, to be changed."""
        return pickle.loads(self.pickled)  # noqa: S301 (our own, made in this process)

    @cached_property
    def usual(self) -> Flat:
        """Give its values by dotted key, as written."""
        composed = self.copy()
        plain = cast("Flat", OmegaConf.to_container(composed, resolve=False))
        del plain["hydra"]
        return dict(flatten(plain))


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give the values of nested mappings by dotted key."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(cast("Flat", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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
        places = tuple((source.scheme(), source.path) for source in self.sources)
        key = (places, config_path)
        if key not in self._read:
            self._read[key] = pickle.dumps(super().load_config(config_path))
        return pickle.loads(self._read[key])  # noqa: S301 (our own, made in this process)


class Loader(ConfigLoaderImpl):
    """Hydra's loader, which composes each set of choices once.

    What an experiment's file sets for a part holds for the choice that the file names; where
    another is chosen, it falls away.

    `job` gives a launcher the configuration of a job, which was composed when it was planned.
    """

    job: Callable[[DictConfig, Sequence[str]], DictConfig]

    def __init__(self, config_search_path: Any) -> None:
        self._forget()
        super().__init__(config_search_path)

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        """Give the configuration of a job that a launcher is about to start."""
        return self.job(master_config, sweep_overrides)

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what can be read again."""
        return {"config_search_path": self.config_search_path, "job": self.job}

    def __setstate__(self, state: dict[str, Any]) -> None:
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

    def compose(
        self, words: Sequence[str], run_mode: RunMode = RunMode.RUN
    ) -> tuple[DictConfig, Base]:
        """Compose a configuration; give it, and what its choices alone compose to.

        Raises:
            HydraException: It cannot be composed.
        """
        composed = self.load_configuration(CONFIG_NAME, list(words), run_mode)
        return composed, self.base(words, run_mode)

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
    ) -> DictConfig:
        parsed = self._parse(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode=run_mode, from_shell=from_shell)
        values = self._values(parsed)
        composed = self._base(config_name, self._choices(parsed, values), run_mode).copy()
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
        values = Overrides(repo=self.repository, overrides_list=parsed).config_overrides
        return [word for word in values if word.key_or_group != "hydra.searchpath"]

    @staticmethod
    def _choices(parsed: list[Override], values: list[Override]) -> tuple[str, ...]:
        known = {id(word) for word in values}
        return tuple(str(word.input_line) for word in parsed if id(word) not in known)

    def _base(self, config_name: str | None, choices: tuple[str, ...], run_mode: RunMode) -> Base:
        key = (config_name, choices, run_mode)
        if key not in self._bases:
            self._chosen, self._fallen = {}, []
            composed = super()._load_configuration_impl(
                config_name, list(choices), run_mode, validate_sweep_overrides=False
            )
            self._bases[key] = self._made(composed)
        return self._bases[key]

    def _made(self, composed: DictConfig) -> Base:
        experiment = self._experiment
        named = self._named(f"{_EXPERIMENT}/{experiment}") if experiment else self._defaults()
        replaced = {group for group in GROUPS if named.get(group) != self._chosen.get(group)}
        # What falls away within the shipped files, where one builds on another, concerns nobody.
        fallen = [
            fell
            for fell in self._fallen
            if fell.group in replaced and fell.named == str(named.get(fell.group))
        ]
        return Base(
            pickled=pickle.dumps(composed),
            experiment=experiment,
            chosen={group: str(self._chosen.get(group)) for group in GROUPS},
            named={group: str(named.get(group)) for group in GROUPS},
            fallen=tuple(_merged(fallen)),
        )

    @property
    def _experiment(self) -> str | None:
        return self._chosen.get(_EXPERIMENT)

    def _compose_config_from_defaults_list(self, defaults: Any, repo: Any) -> DictConfig:
        self._chosen = dict(_choices_of(defaults))
        own = list(dropwhile(_is_hydras, defaults))
        hydras = _Composed(self._hydras(defaults[: len(defaults) - len(own)], repo))
        return super()._compose_config_from_defaults_list([hydras, *own], repo)

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
        if path.startswith(f"{_EXPERIMENT}/") and isinstance(loaded.config, DictConfig):
            named, whole = self._named(path), self._named(f"{_EXPERIMENT}/{self._experiment}")
            for group in GROUPS:
                chosen, own = str(self._chosen.get(group)), str(named.get(group))
                if group in loaded.config and {own, str(whole.get(group))} != {chosen}:
                    with open_dict(loaded.config):
                        node = loaded.config.pop(group)
                    self._fallen.append(Fallen(group, own, chosen, _settings(node)))
        return loaded

    def _named(self, path: str) -> dict[str, str]:
        """Give the choices that an experiment's file makes, by itself and by those it builds on."""
        named, own = self._defaults(), dict[str, str]()
        for item in self._items(path):
            if isinstance(item, GroupDefault) and item.override:
                own[str(item.group).strip("/")] = str(item.value)
            elif isinstance(item, ConfigDefault) and not item.is_self():
                child = str(item.path)
                below = child.strip("/") if child.startswith("/") else f"{_EXPERIMENT}/{child}"
                named |= self._named(below)
        return {**named, **own}

    def _defaults(self) -> dict[str, str]:
        """Give the choices of the default recipe."""
        items = self._items(CONFIG_NAME)
        return {
            str(item.group).strip("/"): str(item.value)
            for item in items
            if isinstance(item, GroupDefault) and not item.override
        }

    def _items(self, path: str) -> list[Any]:
        loaded = self.repository.load_config(path)
        return [] if loaded is None else list(loaded.defaults_list or [])


class _Composed(NamedTuple):
    """What stands for a file that has been loaded: a configuration that is composed already."""

    config: DictConfig
    config_path: str = "hydra"


def _is_hydras(default: Any) -> bool:
    return str(default.config_path).startswith("hydra/")


def _choices_of(defaults: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Give each group's choice; of a file that builds on others, Hydra lists itself among them."""
    for default in defaults:
        group, _, choice = str(default.config_path).partition("/")
        if default.override_key is not None:
            yield str(default.override_key), choice
        elif default.is_self and default.parent == CONFIG_NAME:
            yield group, choice


def _settings(node: Any) -> Flat:
    plain = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node
    return dict(flatten(cast("Flat", plain))) if isinstance(plain, dict) else {"": plain}


def _merged(fallen: Sequence[Fallen]) -> Iterator[Fallen]:
    """Join what several files of one experiment set for a group; the last word for a key holds."""
    for group in dict.fromkeys(fell.group for fell in fallen):
        own = [fell for fell in fallen if fell.group == group]
        settings = {key: value for fell in own for key, value in fell.settings.items()}
        yield own[-1]._replace(settings=settings)


def _note_overrides(composed: DictConfig, parsed: Sequence[Override]) -> None:
    """Write a command's words where Hydra writes them."""
    hydra = composed.hydra
    own = [word for word in parsed if word.is_hydra_override()]
    task = [word for word in parsed if not word.is_hydra_override()]
    hydra.overrides.hydra = [word.input_line for word in own]
    hydra.overrides.task = [word.input_line for word in task]
    names = hydra.job.config.override_dirname
    hydra.job.override_dirname = get_overrides_dirname(
        overrides=task,
        kv_sep=names.kv_sep,
        item_sep=names.item_sep,
        exclude_keys=names.exclude_keys,
    )
    with open_dict(hydra):
        for key in hydra.job.env_copy:
            hydra.job.env_set[key] = os.environ[key]


def make_loader(own: Path | None = None) -> Loader:
    """Make a loader over the shipped files, with a user's own before them."""
    # Our preset lies over the plugin's own node on purpose.
    warnings.filterwarnings("ignore", message=r"\n'hydra/launcher/ray' is validated against")
    search_path = create_config_search_path(str(_shipped()))
    if own is not None:
        search_path.prepend("command-line", f"file://{own}", SearchPathQuery(provider="main"))
    return Loader(search_path)


def _shipped() -> Path:
    """Find `conf/`: inside the package in a wheel, at the top of the checkout otherwise."""
    package = Path(etude.__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


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


def list_groups_from_one_repository(hydra: Hydra) -> None:
    """Spare `--help` most of its time: Hydra builds a repository anew for every group it lists."""
    loader: Any = hydra.config_loader
    _, repository = loader._parse_overrides_and_create_caching_repo(None, [])

    def options(group_name: str, results_filter: Any = ObjectType.CONFIG, **_: Any) -> list[str]:
        return repository.get_group_options(group_name, results_filter)

    loader.get_group_options = options


def is_choice(loader: Loader, word: Override) -> bool:
    """Say whether a word chooses in a group."""
    return loader.repository.group_exists(word.key_or_group)


def parse(loader: Loader, words: Sequence[str]) -> list[Override]:
    """Read a command's words.

    Raises:
        HydraException: One is no override.
    """
    return OverridesParser.create(config_loader=loader).parse_overrides(list(words))


def product(loader: Loader, words: Sequence[str]) -> list[list[str]]:
    """Expand words with several values as Hydra's basic sweeper does: all with all."""
    (batch,) = BasicSweeper.split_arguments(parse(loader, words), max_batch_size=None)
    return batch


def run(loader: Loader, composed: DictConfig, task: TaskFunction) -> JobReturn:
    """Call the task with one composed configuration, as `hydra.run` does once it has composed."""
    context = _context(loader, composed)
    configure_log(composed.hydra.hydra_logging, composed.hydra.verbose)
    composed.hydra.mode = RunMode.RUN
    context.callbacks.on_run_start(config=composed, config_name=CONFIG_NAME)
    returned = run_job(
        hydra_context=context,
        task_function=task,
        config=composed,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
    )
    context.callbacks.on_run_end(config=composed, config_name=CONFIG_NAME, job_return=returned)
    return returned


def launch(
    loader: Loader, master: DictConfig, task: TaskFunction, words: Sequence[Sequence[str]]
) -> None:
    """Hand jobs to the launcher that a configuration names, in batches where it asks for them.

    Args:
        loader: Gives each job's configuration by its words.
        master: What the launcher is made from.
        task: What it calls for each job.
        words: Of each job.
    """
    context = _context(loader, master)
    configure_log(master.hydra.hydra_logging, master.hydra.verbose)
    launcher = Plugins.instance().instantiate_launcher(
        config=master, hydra_context=context, task_function=task
    )
    context.callbacks.on_multirun_start(config=master, config_name=CONFIG_NAME)
    size = master.hydra.sweeper.get("max_batch_size") or len(words) or 1
    for first in range(0, len(words), size):
        batch = [list(own) for own in words[first : first + size]]
        launcher.launch(batch, initial_job_idx=first)
    context.callbacks.on_multirun_end(config=master, config_name=CONFIG_NAME)


def sweep(loader: Loader, master: DictConfig, task: TaskFunction, words: Sequence[str]) -> None:
    """Hand a command to the sweeper that a configuration names, which finds its jobs by itself."""
    context = _context(loader, master)
    configure_log(master.hydra.hydra_logging, master.hydra.verbose)
    context.callbacks.on_multirun_start(config=master, config_name=CONFIG_NAME)
    sweeper = Plugins.instance().instantiate_sweeper(
        config=master, hydra_context=context, task_function=task
    )
    sweeper.sweep(arguments=list(words))
    context.callbacks.on_multirun_end(config=master, config_name=CONFIG_NAME)


def _context(loader: Loader, composed: DictConfig) -> HydraContext:
    return HydraContext(config_loader=loader, callbacks=Callbacks(composed))


def make_current(composed: DictConfig) -> None:
    """Let `${hydra:…}` mean this configuration; its own setter would copy all of the node."""
    HydraConfig.instance().cfg = cast("Any", composed)
