"""The keys there are, the nearest right word for a wrong one, and what is wrong with a key."""

import dataclasses
import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from etude.base.errors import UserError
from etude.config.build import locate
from etude.config.schema import GROUPS, SCHEMAS, Config


class Problem(NamedTuple):
    """What is wrong with a key of a configuration.

    Args:
        key: Its dotted name.
        text: One line.
        unknown: Whether nothing declares it.
    """

    key: str
    text: str
    unknown: bool = False


def unknown(word: str, words: Iterable[str], what: str = "key") -> str:
    """Say that there is no such key or choice, with the nearest right ones, or else all of them.

    Args:
        word: What was given.
        words: What there is, written alike.
        what: What it is called.
    """
    words = sorted(set(words) - {word})
    parent = word.rpartition(".")[0]
    siblings = [other for other in words if other.rpartition(".")[0] == parent]
    if meant := _meant(word, words, siblings):
        return f"there is no such {what}; did you mean {' or '.join(map(repr, meant))}?"
    siblings = [other for other in siblings if not other.endswith("_target_")]
    return f"there is no such {what}; " + (
        f"there are {', '.join(siblings)}" if siblings else "see etude --help"
    )


def declared(values: Mapping[str, Any]) -> list[str]:
    """List every key, dotted, that a configuration with these parts may have."""
    packages = cast("object", values.get("packages"))
    packages = cast("list[str]", packages) if isinstance(packages, list) else []
    keys = list(_fields(Config, ""))
    for group in GROUPS:
        part = values.get(group)
        if isinstance(part, dict):
            keys += [
                f"{group}.{key}" for key in _of_part(cast("Mapping[str, object]", part), packages)
            ]
    return keys


def _meant(word: str, words: Sequence[str], siblings: Sequence[str]) -> list[str]:
    """Find the words that are nearest: by the same name elsewhere, then by its spelling."""
    name = word.rpartition(".")[2]
    if elsewhere := [other for other in words if other.rpartition(".")[2] == name]:
        return elsewhere
    # Compared by their last part: a long path that is right would make any name look near.
    names = {other.rpartition(".")[2]: other for other in siblings}
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return [names[near[0]]]
    if longer := [other for other in siblings if other.startswith(word)]:
        return longer[:1]
    if not siblings:  # what stands before the dot is wrong
        return difflib.get_close_matches(word, words, n=1, cutoff=0.75)
    last = [other.rpartition(".")[2] for other in words]
    near = difflib.get_close_matches(name, last, n=1, cutoff=0.8)
    return [other for other in words if other.rpartition(".")[2] in near]


def _fields(schema: type, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(schema):
        yield f"{prefix}{field.name}"
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            yield from _fields(field.type, f"{prefix}{field.name}.")


def _of_part(part: Mapping[str, Any], packages: Sequence[str]) -> list[str]:
    """List what a part's schema declares, or else what its target takes."""
    target = str(part.get("_target_"))
    if target in SCHEMAS:
        return list(_fields(SCHEMAS[target], ""))
    try:
        parameters = inspect.signature(locate(target, packages)).parameters
    except (UserError, ValueError):
        return list(part)
    kinds = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    taken = [name for name, parameter in parameters.items() if parameter.kind not in kinds]
    return taken if len(taken) == len(parameters) else list(dict.fromkeys([*taken, *part]))
