"""What the door relies on in Hydra's internals: a new Hydra fails here first, by name."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import Overrides
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.default_element import ConfigDefault, GroupDefault, ResultDefault
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from etude.cli import hydra_door

SOURCE = Path(hydra_door.__file__).parents[2]

# Each is called, or replaced by a method of these parameters, at least.
PARAMETERS: dict[Callable[..., Any], list[str]] = {
    ConfigLoaderImpl.__init__: ["config_search_path"],
    ConfigLoaderImpl.load_configuration: ["config_name", "overrides", "run_mode"],
    ConfigLoaderImpl._load_configuration_impl: [
        "config_name", "overrides", "run_mode", "from_shell", "validate_sweep_overrides",
    ],
    ConfigLoaderImpl._compose_config_from_defaults_list: ["defaults", "repo"],
    ConfigLoaderImpl._load_single_config: ["default", "repo"],
    ConfigLoaderImpl._apply_overrides_to_config: ["overrides", "cfg"],
    ConfigLoaderImpl.validate_sweep_overrides_legal: ["overrides", "run_mode", "from_shell"],
    ConfigLoaderImpl.load_sweep_config: ["master_config", "sweep_overrides"],
    ConfigLoaderImpl.get_group_options: ["group_name", "results_filter"],
    ConfigRepository.__init__: ["config_search_path"],
    ConfigRepository.load_config: ["config_path"],
    ConfigRepository.group_exists: ["config_path"],
    ConfigRepository.get_group_options: ["group_name", "results_filter"],
    Overrides.__init__: ["repo", "overrides_list"],
    Callbacks.__init__: ["config"],
    Callbacks.on_run_start: ["config"],
    Callbacks.on_run_end: ["config"],
    Callbacks.on_multirun_start: ["config"],
    Callbacks.on_multirun_end: ["config"],
    Hydra.__init__: ["task_name", "config_loader"],
    Hydra.app_help: ["config_name", "args_parser", "args"],
    Hydra.hydra_help: ["config_name", "args_parser", "args"],
    Hydra.shell_completion: ["config_name", "overrides"],
    Hydra.show_info: ["info", "config_name", "overrides"],
    Hydra.show_cfg: ["config_name", "overrides", "cfg_type", "package", "resolve"],
    Hydra.list_all_config_groups: [],
    create_config_search_path: ["search_path_dir"],
}  # fmt: skip

FIELDS: dict[type, set[str]] = {
    ResultDefault: {"config_path", "parent", "package", "is_self", "override_key"},
    GroupDefault: {"group", "value", "override"},
    ConfigDefault: {"path"},
    Override: {"key_or_group", "input_line"},
}


@pytest.mark.parametrize("function", PARAMETERS, ids=lambda f: f.__qualname__)
def test_hydra_has_each_function_with_the_parameters_that_are_given(function: Callable[..., Any]):
    parameters = inspect.signature(function).parameters
    missing = [name for name in PARAMETERS[function] if name not in parameters]
    assert not missing, f"{function.__qualname__} has no {', '.join(missing)}"


@pytest.mark.parametrize("owner", FIELDS, ids=lambda owner: owner.__name__)
def test_hydra_has_each_field_that_is_read(owner: type):
    missing = FIELDS[owner] - {field.name for field in dataclasses.fields(owner)}
    assert not missing, f"{owner.__name__} has no {', '.join(sorted(missing))}"


def test_nothing_needed_is_new_where_a_method_is_replaced():
    """What Hydra calls the door's methods with, the door's methods must take."""
    for name in ("_compose_config_from_defaults_list", "_load_single_config", "load_sweep_config"):
        theirs = inspect.signature(getattr(ConfigLoaderImpl, name)).parameters
        ours = inspect.signature(getattr(hydra_door.Loader, name)).parameters
        assert list(ours) == list(theirs), f"{name} takes {', '.join(theirs)} in this Hydra"


@pytest.fixture
def loader() -> hydra_door.Loader:
    return hydra_door.make_loader()


def test_words_that_are_no_choices_are_told_apart(loader: hydra_door.Loader):
    parsed = loader._parse(["optimizer=sgd", "seed=1", "hydra/launcher=basic"])
    found = Overrides(repo=loader.repository, overrides_list=parsed)
    assert [word.input_line for word in found.config_overrides] == ["seed=1"]


def test_what_is_loaded_has_its_defaults_its_header_and_where_it_is(loader: hydra_door.Loader):
    loaded = loader.repository.load_config("experiment/lenet5_digits")
    assert {"config", "defaults_list", "header"} <= vars(loaded).keys()
    assert loader.repository.load_config("experiment/nothing") is None
    assert all(source.path is not None and source.scheme() for source in loader.repository.sources)


def test_a_composed_configuration_has_the_places_that_are_written_to(loader: hydra_door.Loader):
    composed, _ = loader.compose(["seed=1"])
    places = ("overrides.hydra", "overrides.task", "job.override_dirname", "job.num", "job.id",
              "job.config.override_dirname.kv_sep", "job.config.override_dirname.item_sep",
              "job.config.override_dirname.exclude_keys", "job.env_copy", "job.env_set",
              "runtime.choices", "runtime.output_dir", "mode", "sweep.dir", "sweep.subdir",
              "run.dir", "launcher._target_", "sweeper._target_", "hydra_logging",
              "verbose")  # fmt: skip
    node = OmegaConf.to_container(composed.hydra, resolve=False)
    for place in places:
        found: Any = node
        for name in place.split("."):
            assert name in found, f"hydra.{place} is gone: there is no {name}"
            found = found[name]
    assert composed.hydra.overrides.task == ["seed=1"]


def test_hydras_parser_has_the_options_that_are_read_and_refused():
    options = {action.dest for action in get_args_parser()._actions}
    wanted = {"overrides", "help", "hydra_help", "version", "cfg", "resolve", "package", "run",
              "multirun", "shell_completion", "config_path", "config_name", "config_dir",
              "experimental_rerun", "info"}  # fmt: skip
    assert not wanted - options, f"there is no {', '.join(sorted(wanted - options))}"


def test_no_other_file_knows_hydras_internals():
    knowing = [
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*.py"))
        if "hydra._internal" in path.read_text(encoding="utf-8")
    ]
    assert knowing == ["etude/cli/hydra_door.py"]
