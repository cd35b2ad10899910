"""Hydra's and OmegaConf's errors in one line, with the nearest right spelling."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, cast

from hydra.core.object_type import ObjectType
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from etude.base.errors import UserError
from etude.base.nearest import did_you_mean, unknown
from etude.cli.hydra_door import Hydra
from etude.config import ConfigError
from etude.config.check import with_origin
from etude.config.known import declared
from etude.config.schema import GROUPS

_CHOSEN = (*GROUPS, "experiment", "study")  # what stands in the defaults of conf/config.yaml


# What says that a command's words, or the files that they choose, are wrong.
REFUSALS = (UserError, HydraException, OmegaConfBaseException, YAMLError)


def meant(words: Sequence[str]) -> list[str]:
    """Give a command's words as Hydra is to be told them.

    Raises:
        UserError: Hydra would take one otherwise than it is meant.
    """
    given = [_quoted(word) for word in words]
    _refuse(given)
    return given


def _quoted(word: str) -> str:
    """Put a value that holds a = into the quotes that Hydra wants, as in a run's folder."""
    key, _, value = word.partition("=")
    if key.startswith("zip("):
        return word
    plain = "=" in value and not set(value) & set("'\"[]{}(),")
    return f"{key}='{value}'" if plain else word


def _refuse(words: Sequence[str]) -> None:
    for word in words:
        key, _, value = word.partition("=")
        group = key.lstrip("+")
        if group != key and group in _CHOSEN:
            raise UserError(f"{word}: {group} has its place already; write {group}={value}")
        if key in {"experiment", "study"} and value in {"", "null"}:
            raise UserError(f"{word}: leave it out for the default recipe")
        if key in _CHOSEN and (way_out := _no_choice(key, value)):
            raise UserError(f"{word}: {way_out}")
        if value.startswith("glob(") and key not in _CHOSEN and "/" not in key:
            raise UserError(f"{word}: glob is for the choices of a group; give values: {key}=0,1,2")


def _no_choice(group: str, value: str) -> str | None:
    """Say what to write instead of a value that cannot be a group's choice."""
    if value.startswith("["):
        return f"a group takes one choice: {group}={value.strip('[]').partition(',')[0]}"
    if value.startswith("{"):
        return f"set its keys one by one: {group}.<key>=<value>"
    if group in GROUPS and value in {"", "null"}:
        return f"a choice is needed: {group}=<choice>"
    if group == "study" and "," in value:
        return "a command runs one study; give one command for each"
    return None


def explain(error: Exception, hydra: Hydra | None, words: Sequence[str]) -> str:
    """Say what is wrong with a command.

    Args:
        error: What composing or checking its configuration raised.
        hydra: Knows the right keys, groups and choices; None if it could not be set up.
        words: The command's arguments.
    """
    text = str(error)
    if isinstance(error, UserError):
        if isinstance(error, ConfigError) and error.problems and hydra is not None:
            return "\n".join(_problems(error, hydra, words))
        return text
    if (missing := missing_extra(text)) is not None:
        return missing
    if hydra is not None:
        if isinstance(error, MissingConfigException) and "'" in text:
            return _unknown_choice(text, hydra)
        key = re.search(r"Could not (?:override|append|delete)[^']*'([^']+)'", text)
        if key:
            return _unknown_key(key[1], text, hydra, words)
    told = _no_override(error) or _several(text) or "; ".join(_lines(text))
    return told or "a value cannot be read: a ${ needs a name and its }"


def missing_extra(text: str) -> str | None:
    """Say what to install, if an error is about a launcher's plugin that is not there."""
    if "submitit_" in text and find_spec("hydra_plugins.hydra_submitit_launcher") is None:
        return "this launcher needs hydra-submitit-launcher; pip install 'etude[slurm]' brings it"
    return None


def _lines(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not set(line) <= set("^~ ")]


def _no_override(error: Exception) -> str | None:
    if not isinstance(error, OverrideParseException):
        return None
    way_out = "write key=value without spaces, in quotes where need be"
    return f"{error.override}: this is no override; {way_out}"


def _several(text: str) -> str | None:
    """Say how several values are given, if that is what an error is about."""
    word = re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'(?:\n| req)", text)
    if word is None:
        return None
    key, _, value = word[1].partition("=")
    as_list = "" if "(" in value or key in _CHOSEN else f", or write {key}=[{value}] for one list"
    return f"{word[1]} stands for several values; add -m for a run with each{as_list}"


def _problems(error: ConfigError, hydra: Hydra, words: Sequence[str]) -> Iterator[str]:
    """Give each problem in one line, with who has the key and which file wrote it."""
    origins = _origins([problem.key for problem in error.problems], hydra, words)
    for problem in error.problems:
        if problem.unknown:
            text = _no_such(problem.key, error.keys, hydra, words)
            yield with_origin(problem._replace(text=text), origins)
        else:
            yield with_origin(problem, origins)


def _origins(keys: Sequence[str], hydra: Hydra, words: Sequence[str]) -> dict[str, str]:
    """Give the experiment that writes a key, for keys that no word does."""
    written = {word.partition("=")[0].lstrip("+") for word in words}
    experiments = [word for word in words if word.startswith("experiment=") and "," not in word]
    return {
        key: word
        for word in experiments
        for key in keys
        if key not in written and _writes(hydra, word.replace("=", "/"), key)
    }


def _no_such(key: str, keys: Sequence[str], hydra: Hydra, words: Sequence[str]) -> str:
    """Say that there is no such key, and where there is one."""
    if key in _CHOSEN:
        return f"{key}: no place for a group; a file in experiment/ begins '# @package _global_'"
    head, *deeper = key.split(".")
    if head in _CHOSEN and deeper and deeper[0] in _choices(hydra, head):
        return f"{key}: {deeper[0]} is a choice, not a key; write {head}={deeper[0]}"
    text = f"{key}: {unknown(key, keys)}"
    name = deeper[-1] if deeper else head
    if not deeper and any(other.rpartition(".")[2] == name for other in keys):
        return text  # which names them
    having = {g: _having(hydra, g, name) for g in ([head] if deeper else GROUPS) if g in GROUPS}
    others = [f"{group}={_few(choices)}" for group, choices in having.items() if choices]
    if not others:
        return text
    if not deeper:
        return f"{key}: there is no such key; {' and '.join(others)} have one of that name"
    own = {other for other in keys if other.startswith(f"{head}.") and "_target_" not in other}
    return (
        f"{key}: there is no such key with {head}={_choice(hydra, head, words)}, which has "
        f"{', '.join(sorted(own)) or 'none'}; {others[0]} have it"
    )


def _few(words: Sequence[str]) -> str:
    more = f" and {len(words) - 5} more" if len(words) > 6 else ""
    return ", ".join(words[:5] if more else words) + more


def _choices(hydra: Hydra, group: str) -> list[str]:
    return sorted(hydra.config_loader.get_group_options(group, ObjectType.CONFIG))


def _having(hydra: Hydra, group: str, name: str) -> list[str]:
    """List the choices of a group that have a key."""
    choices = _choices(hydra, group)
    parts = {choice: {group: _file(hydra, f"{group}/{choice}")} for choice in choices}
    return [choice for choice, part in parts.items() if f"{group}.{name}" in declared(part)]


def _file(hydra: Hydra, path: str) -> dict[str, object]:
    """Read a file of a group, over the one that it begins with."""
    loader = cast("Any", hydra.config_loader)
    found = loader.repository.load_config(path)
    if found is None:
        return {}
    values: dict[str, object] = {}
    for default in found.defaults_list or []:
        base = getattr(default, "path", None)
        if isinstance(base, str) and base != "_self_":
            values |= _file(hydra, f"{path.rpartition('/')[0]}/{base}")
    return values | cast("dict[str, object]", OmegaConf.to_container(found.config, resolve=False))


def _writes(hydra: Hydra, path: str, key: str) -> bool:
    """Tell whether an experiment's file, or one that it begins with, writes a key."""
    node: object = _file(hydra, path)
    for name in key.split("."):
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True


def _choice(hydra: Hydra, group: str, words: Sequence[str]) -> str:
    composed = _composed(hydra, words)
    return "?" if composed is None else str(composed.hydra.runtime.choices.get(group))


def _unknown_choice(text: str, hydra: Hydra) -> str:
    missing = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if missing is None:
        return text.partition("\n")[0]
    group, _, choice = missing[1].rpartition("/")
    said = unknown(choice, _choices(hydra, group), "choice")
    others = [other for other in _CHOSEN if choice in _choices(hydra, other)]
    if others and "did you mean" not in said:
        said = f"there is no such choice; {did_you_mean([f'{others[0]}={choice}'])}"
    return f"{group}={choice}: {said}"


def _unknown_key(key: str, text: str, hydra: Hydra, words: Sequence[str]) -> str:
    groups = [g for g in hydra.list_all_config_groups() if not g.startswith("hydra")]
    composed = _composed(hydra, words)
    if composed is None:
        return f"{key}: {unknown(key, groups)}"
    keys = [*groups, *_flat(composed, "")]
    if key in keys:  # it is there, but not like this
        return "; ".join(_lines(text)[:2])
    may = declared(_plain(composed))
    if key in may:
        return f"{key}: no file holds this key, though its part takes it; write +{key}=<value>"
    return _no_such(key, [*keys, *may], hydra, words)


def _composed(hydra: Hydra, words: Sequence[str]) -> DictConfig | None:
    """Compose what the command's choices alone make, or else the defaults."""
    groups = hydra.list_all_config_groups()
    choices = [
        word
        for word in words
        if word.partition("=")[0] in {*groups, "packages"} and "," not in word
    ]
    for overrides in (choices, []):
        try:
            return hydra.config_loader.load_configuration("config", overrides, RunMode.RUN)
        except Exception:  # noqa: BLE001, S112 (one of the choices may be the mistake)
            continue
    return None


def _plain(composed: DictConfig) -> Mapping[str, object]:
    task = OmegaConf.masked_copy(composed, [str(name) for name in composed if name != "hydra"])
    return cast("Mapping[str, object]", OmegaConf.to_container(task, resolve=False))


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
