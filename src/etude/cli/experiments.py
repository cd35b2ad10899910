"""Which choices an experiment's file makes, by itself and by the files that it builds on."""

from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.default_element import ConfigDefault, GroupDefault

CONFIG_NAME = "config"
EXPERIMENT = "experiment"


def named_choices(repository: Any, path: str) -> dict[str, str]:
    """Give the choice that a file names for each group; the default recipe's where it names none.

    Args:
        repository: Hydra's, which loads files by their paths.
        path: The file's, without its ending.
    """
    found, own = default_choices(repository), dict[str, str]()
    for item in _items(repository, path):
        if isinstance(item, GroupDefault) and item.override:
            own[str(item.group).strip("/")] = str(item.value)
        elif isinstance(item, ConfigDefault) and not item.is_self():
            child = str(item.path)
            below = child.strip("/") if child.startswith("/") else f"{EXPERIMENT}/{child}"
            found |= named_choices(repository, below)
        elif isinstance(item, GroupDefault) and str(item.group).strip("/") == EXPERIMENT:
            found |= named_choices(repository, f"{EXPERIMENT}/{item.value}")
    return {**found, **own}


def default_choices(repository: Any) -> dict[str, str]:
    """Give the choices of the default recipe."""
    return {
        str(item.group).strip("/"): str(item.value)
        for item in _items(repository, CONFIG_NAME)
        if isinstance(item, GroupDefault) and not item.override
    }


def whole_choices(repository: Any, experiment: str | None) -> dict[str, str]:
    """Give the choices that an experiment names with all that it builds on; None: the default's."""
    if experiment is None:
        return default_choices(repository)
    return named_choices(repository, f"{EXPERIMENT}/{experiment}")


def final_choices(defaults: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Give each group's choice; of a file that builds on others, Hydra lists itself among them."""
    for default in defaults:
        group, _, choice = str(default.config_path).partition("/")
        if default.override_key is not None:
            yield str(default.override_key), choice
        elif default.is_self and default.parent == CONFIG_NAME:
            yield group, choice


def _items(repository: Any, path: str) -> list[Any]:
    loaded = repository.load_config(path)
    return [] if loaded is None else list(loaded.defaults_list or [])
