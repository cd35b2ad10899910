"""Hydra's and OmegaConf's errors in one line, with the nearest right spelling."""

import re
from collections.abc import Sequence
from importlib.util import find_spec

from hydra._internal.hydra import Hydra
from hydra.core.object_type import ObjectType
from hydra.errors import MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from etude.config.known import unknown


def explain(error: Exception, hydra: Hydra | None, words: Sequence[str]) -> str:
    """Say what is wrong with a command.

    Args:
        error: What composing its configuration raised.
        hydra: Knows the right keys, groups and choices; None if it could not be set up.
        words: The command's arguments.
    """
    text = str(error)
    if (missing := missing_extra(text)) is not None:
        return missing
    if hydra is not None:
        if isinstance(error, MissingConfigException) and "'" in text:
            return _unknown_choice(text, hydra)
        key = re.search(r"Could not (?:override|append|delete)[^']*'([^']+)'", text)
        if key:
            return _unknown_key(key[1], text, hydra, words)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: this is no override; write key=value, in quotes where need be"
    lines = (line.strip() for line in text.splitlines())
    return "; ".join(line for line in lines if line and not set(line) <= set("^~ "))


def missing_extra(text: str) -> str | None:
    """Say what to install, if an error is about a launcher's plugin that is not there."""
    for name, sign, extra in (("submitit", "submitit_", "slurm"), ("ray", "hydra_ray_", "ray")):
        if sign in text and find_spec(f"hydra_plugins.hydra_{name}_launcher") is None:
            plugin = f"hydra-{name}-launcher"
            return f"this launcher needs {plugin}; pip install 'etude[{extra}]' brings it"
    return None


def _unknown_choice(text: str, hydra: Hydra) -> str:
    missing = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if missing is None:
        return text.partition("\n")[0]
    group, _, choice = missing[1].rpartition("/")
    choices = sorted(hydra.config_loader.get_group_options(group, ObjectType.CONFIG))
    return f"{group}={choice}: {unknown(choice, choices, 'choice')}"


def _unknown_key(key: str, text: str, hydra: Hydra, words: Sequence[str]) -> str:
    known = _keys(hydra, words)
    if key in known:  # it is there, but not like this
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "; ".join(lines[:2])
    return f"{key}: {unknown(key, known)}"


def _keys(hydra: Hydra, words: Sequence[str]) -> list[str]:
    """List the groups and dotted keys of the configuration that the command's choices make."""
    groups = [g for g in hydra.list_all_config_groups() if not g.startswith("hydra")]
    choices = [word for word in words if word.partition("=")[0] in groups and "," not in word]
    for overrides in (choices, []):
        try:
            composed = hydra.config_loader.load_configuration("config", overrides, RunMode.RUN)
        except Exception:  # noqa: BLE001, S112 (one of the choices may be the mistake)
            continue
        return [*groups, *_flat(composed, "")]
    return list(groups)


def _flat(node: DictConfig, prefix: str) -> list[str]:
    keys: list[str] = []
    for name in (str(name) for name in node if name != "hydra"):
        keys.append(f"{prefix}{name}")
        # An interpolation is no node of keys, and may not resolve here.
        plain = OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name)
        inner = None if plain else node[name]
        if isinstance(inner, DictConfig):
            keys += _flat(inner, f"{prefix}{name}.")
    return keys
