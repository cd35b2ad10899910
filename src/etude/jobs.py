"""From a command's words to the jobs that they stand for, each composed, checked and named."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from etude.config import Config, check, describe, fingerprint, results
from etude.config.schema import GROUPS
from etude.errors import UserError
from etude.runs.names import COMPOSED, CONFIG, HYDRA, OVERRIDES
from etude.study import KEYS, Study, read

CONFIG_NAME = "config"
Flat = dict[str, Any]
# The launchers whose jobs find the data, the weights and the devices that this process finds.
_HERE = (".BasicLauncher", ".LocalLauncher")

_KNOWN: dict[Any, tuple[Flat, dict[str, str]]] = {}  # by the arguments of `_compose`


@dataclass(frozen=True)
class Job:
    """One run to be made.

    Args:
        config: What to train.
        folder: Where it is recorded.
        arm: What it shares with the runs that differ only in their seed.
        documented: Whether nothing that counts was changed in its experiment's file.
        local: Whether it is trained on this machine.
        words: What Hydra composed it from.
        label: Its arm, as its study calls it.
    """

    config: Config
    folder: Path
    arm: str
    documented: bool
    local: bool
    words: tuple[str, ...] = ()
    label: str = ""


def register_resolvers() -> None:
    """Make Étude's own interpolations known; a process that composes a job needs them."""
    register = OmegaConf.register_new_resolver
    register("etude.outputs", outputs, replace=True)
    register("etude.absolute", _absolute, replace=True)
    register("etude.basename", _basename, replace=True)
    register("etude.folder", _folder_text, replace=True)
    register("etude.subfolder", _subfolder, replace=True)


def outputs() -> str:
    """Name the folder that all results go below."""
    return os.environ.get("ETUDE_OUTPUTS") or "outputs"


def plan(hydra: Hydra, overrides: list[str], mode: RunMode) -> list[Job]:
    """Compose and check every job of a command.

    Raises:
        UserError: A job's configuration is not valid; all of its problems are told.
        HydraException: A job cannot be composed.
    """
    composed = hydra.compose_config(
        CONFIG_NAME, list(overrides), run_mode=mode, with_log_configuration=False
    )
    if mode == RunMode.RUN:
        return [_job(composed, "hydra.run.dir")]
    params: Mapping[str, Any] = OmegaConf.select(composed, "hydra.sweeper.params") or {}
    words = [*(f"{key}={value}" for key, value in params.items()), *composed.hydra.overrides.task]
    return [_of_sweep(hydra, composed, job) for job in _product(hydra, words)]


def compose(hydra: Hydra, overrides: list[str]) -> DictConfig:
    """Compose the one job of a command and check it, as `plan` does, without naming it.

    Raises:
        UserError: Its configuration is not valid.
        HydraException: It cannot be composed.
    """
    composed = hydra.compose_config(
        CONFIG_NAME, list(overrides), run_mode=RunMode.RUN, with_log_configuration=False
    )
    HydraConfig.instance().set_config(composed)  # `name` and others interpolate from it
    check(_task(composed))
    return composed


def plan_study(hydra: Hydra, overrides: list[str]) -> tuple[Study, DictConfig, list[Job]]:
    """Compose and check every run of a study.

    Args:
        hydra: Composes.
        overrides: The command's words: the study's, and others that go to all of its runs.

    Returns:
        The study, the configuration that a launcher is made from, and the runs.

    Raises:
        UserError: The study or a run's configuration is not valid.
        HydraException: A run cannot be composed.
    """
    own = [word for word in overrides if word.partition("=")[0].split(".")[0] in KEYS]
    mode = f"hydra.mode={RunMode.MULTIRUN.name}"
    chosen = hydra.compose_config(CONFIG_NAME, [*own, mode], RunMode.MULTIRUN)
    node = cast("Flat", OmegaConf.to_container(chosen.study, resolve=True))
    name = str(chosen.hydra.runtime.choices.study)
    study = read(name, node, size=chosen.size, pretrained=chosen.pretrained)
    hydras = [word for word in overrides if word.startswith("hydra")]
    words = [*own, *hydras, mode, f"name={study.name}"]
    composed = hydra.compose_config(CONFIG_NAME, words, RunMode.MULTIRUN)
    others = [word for word in overrides if word not in {*own, *hydras}]
    runs: dict[Path, Job] = {}
    for arm, run in study.runs():
        for expanded in _product(hydra, _last_of_each(run, others)):
            job_words = [_with_run_of_arm(word, expanded, runs.values()) for word in expanded]
            job = replace(_of_sweep(hydra, composed, job_words), label=arm.name)
            runs.setdefault(job.folder, job)
    return study, composed, list(runs.values())


def of_words(hydra: Hydra, master: DictConfig, words: Iterable[list[str]]) -> list[Job]:
    """Compose and check the jobs of a sweep that have these words.

    Raises:
        UserError: A job's configuration is not valid; all of its problems are told.
        HydraException: A job cannot be composed.
    """
    return [_of_sweep(hydra, master, own) for own in words]


def _with_run_of_arm(word: str, words: Sequence[str], earlier: Iterable[Job]) -> str:
    """Put the folder of an earlier arm's run with the same seed in the place of `@<arm>`."""
    key, at, label = word.partition("=@")
    if not at:
        return word
    for job in earlier:
        if job.label == label and f"seed={job.config.seed}" in words:
            return f"{key}='{job.folder}'"
    raise UserError(f"{word}: no arm called {label} comes before")


def launch(hydra: Hydra, composed: DictConfig, task: TaskFunction, runs: Sequence[Job]) -> None:
    """Hand a study's runs to the launcher that its configuration names."""
    callbacks = Callbacks(composed)
    context = HydraContext(config_loader=hydra.config_loader, callbacks=callbacks)
    launcher = Plugins.instance().instantiate_launcher(
        config=composed, hydra_context=context, task_function=task
    )
    callbacks.on_multirun_start(config=composed, config_name=CONFIG_NAME)
    launcher.launch([list(job.words) for job in runs], initial_job_idx=0)
    callbacks.on_multirun_end(config=composed, config_name=CONFIG_NAME)


def _product(hydra: Hydra, words: Sequence[str]) -> list[list[str]]:
    """Expand words with commas as Hydra's basic sweeper does."""
    parsed = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides(list(words))
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return batch


def _last_of_each(words: Sequence[str], others: Sequence[str]) -> list[str]:
    """Let a later word for a key take the place of an earlier one; the user's come last."""
    return list({word.partition("=")[0]: word for word in (*words, *others)}.values())


def _of_sweep(hydra: Hydra, master: DictConfig, words: list[str]) -> Job:
    composed = hydra.config_loader.load_sweep_config(master, list(words))
    job = _job(composed, "hydra.sweep.dir", "hydra.sweep.subdir")
    return replace(job, words=tuple(words))


def make(task: DictConfig, hydra: DictConfig, folder: Path) -> Job:
    """Check and name a job that Hydra has composed.

    Args:
        task: Its configuration without Hydra's own.
        hydra: The node `hydra`.
        folder: Where it is recorded.

    Raises:
        UserError: Its configuration is not valid.
    """
    return _made(check(_task(task)), hydra, folder)


def _made(config: Config, hydra: DictConfig, folder: Path) -> Job:
    choices = _choices(hydra)
    as_documented, its_choices = _experiment(hydra)
    changed = _differs(results(config), as_documented)
    return Job(
        config=config,
        folder=folder,
        arm=_name(config, hydra).rpartition("_seed=")[0] or "as configured",
        documented=choices == its_choices and not changed - {"seed", "precision"},
        local=str(OmegaConf.select(hydra, "launcher._target_")).endswith(_HERE),
    )


def composed_config(composed: DictConfig) -> tuple[Config, Path]:
    """Give the typed configuration of a job of a sweep, and the folder that a launcher chose.

    Raises:
        UserError: Its configuration is not valid.
    """
    return check(_task(composed)), Path(composed.hydra.runtime.output_dir)


def texts(task: DictConfig, hydra: DictConfig) -> dict[str, str]:
    """Give what a run's folder says of its configuration: as resolved, and as composed."""
    overrides = OmegaConf.select(hydra, "overrides.task") or OmegaConf.create([])
    return {
        CONFIG: OmegaConf.to_yaml(task, resolve=True),
        COMPOSED: OmegaConf.to_yaml(task),
        HYDRA: OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
        OVERRIDES: OmegaConf.to_yaml(overrides),
    }


def _job(composed: DictConfig, *folder_keys: str) -> Job:
    HydraConfig.instance().set_config(composed)  # `name` and others interpolate from it
    task, hydra = _split(composed)
    config = check(task)  # before the folder's name is asked for, which would wrap what it raises
    folder = Path(*(str(OmegaConf.select(composed, key)) for key in folder_keys))
    return _made(config, hydra, folder)


def _split(composed: DictConfig) -> tuple[DictConfig, DictConfig]:
    task = _task(composed)
    return task, cast("DictConfig", composed["hydra"])


def _absolute(variable: str, usual: str) -> str:
    """Give the folder that a variable of the environment names, or the usual one, from the root."""
    return str(Path(os.environ.get(variable) or usual).absolute())


def _basename(path: str) -> str:
    return Path(path).absolute().name


def _folder_text(*, _root_: DictConfig) -> str:
    return str(_folder(_root_))


def _subfolder(*, _root_: DictConfig) -> str:
    return _folder(_root_).name


def _task(composed: DictConfig) -> DictConfig:
    """Leave out what a single run knows nothing of."""
    others = {"hydra", *KEYS}
    return OmegaConf.masked_copy(composed, [str(key) for key in composed if key not in others])


def _folder(composed: DictConfig) -> Path:
    task, hydra = _split(composed)
    config = check(task)
    return Path(outputs(), config.name, _name(config, hydra) + "-" + fingerprint(config))


def _name(config: Config, hydra: DictConfig) -> str:
    """Name what differs from the experiment's file, first by choices, then within them."""
    choices, (values, usual) = _choices(hydra), _experiment(hydra)
    other = {group: choice for group, choice in choices.items() if usual[group] != choice}
    if other:
        words = tuple(f"{group}={choice}" for group, choice in choices.items())
        values, _ = _compose(_sources(hydra), _experiment_name(hydra), words)
    return describe(config, other, values)


def _choices(hydra: DictConfig) -> dict[str, str]:
    made: Mapping[str, Any] = hydra.runtime.choices
    return {group: str(made.get(group)) for group in GROUPS}


def _experiment_name(hydra: DictConfig) -> str | None:
    return hydra.runtime.choices.get("experiment")


def _experiment(hydra: DictConfig) -> tuple[Flat, dict[str, str]]:
    return _compose(_sources(hydra), _experiment_name(hydra), ())


def _sources(hydra: DictConfig) -> tuple[tuple[str, str], ...]:
    sources = hydra.runtime.config_sources
    return tuple((source.provider, f"{source.schema}://{source.path}") for source in sources)


def known() -> dict[Any, Any]:
    """Give what has been composed to name jobs by, for a process that will name some of them."""
    return _KNOWN


def remember(composed: Mapping[Any, Any]) -> None:
    """Take what another process has composed, which spares the quarter of a second to do so."""
    _KNOWN.update(composed)


def _compose(
    sources: tuple[tuple[str, str], ...], experiment: str | None, overrides: tuple[str, ...]
) -> tuple[Flat, dict[str, str]]:
    """Compose an experiment's file with nothing but other choices; give its values and choices."""
    key = (sources, experiment, overrides)
    if key not in _KNOWN:
        _KNOWN[key] = _composed(*key)
    return _KNOWN[key]


def _composed(
    sources: tuple[tuple[str, str], ...], experiment: str | None, overrides: tuple[str, ...]
) -> tuple[Flat, dict[str, str]]:
    search_path = ConfigSearchPathImpl()
    for provider, path in sources:
        search_path.append(provider, path)
    loader = ConfigLoaderImpl(search_path)
    words = [*([f"experiment={experiment}"] if experiment else []), *overrides]
    composed = loader.load_configuration(CONFIG_NAME, words, RunMode.RUN)
    task, hydra = _split(composed)
    plain = cast("Flat", OmegaConf.to_container(task, resolve=False))
    return dict(_flatten(plain, "")), _choices(hydra)


def _flatten(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(cast("Flat", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _differs(values: Flat, usual: Flat) -> set[str]:
    return {key for key, value in values.items() if usual.get(key) != value}
