"""Telling runs apart: the fingerprint of a configuration, and what is special about one."""

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, cast

from etude.base.identity import Identity, mark_of, short_target
from etude.base.text import exact
from etude.config.schema import Config

_LONGEST = 120  # of the 255 bytes that file systems take for a name
_UNNAMED = (".content", ".code")  # digests tell people nothing


def identify(config: Config, contents: Mapping[str, str]) -> Identity:
    """Hash everything that can change a run's result into 8 hexadecimal digits.

    Args:
        config: The run.
        contents: Digests of what it reads besides, by key; one stands in the place of a path.
    """
    decisive = {**results(config), **contents}
    return Identity(mark_of(decisive), dict(contents), decisive)


def results(config: Config, *, later: bool = False) -> Mapping[str, Any]:
    """Give the keys, dotted, that can change a run's result, with their values.

    Args:
        config: The run.
        later: Whether to give those as well that were added to Étude later, at their defaults.
    """
    return {key: short_target(key, value) for key, value in _leaves(config, "", later=later)}


def describe(
    identity: Identity,
    choices: Mapping[str, str],
    usual: Mapping[str, Any],
    swept: Mapping[str, Any] | None = None,
) -> str:
    """Put what is special about a run into a few characters that any file system takes.

    Args:
        identity: The run's.
        choices: The choices, by group, that its experiment makes otherwise.
        usual: The values, by dotted key, of its experiment's file with these choices.
        swept: Keys that its sweep varies, which are named with their values whatever these are.
    """
    parts = [f"{group}={choice}" for group, choice in choices.items()]
    named = swept or {}
    for key, value in {**identity.decisive, **named}.items():
        if key == "seed" or key.endswith(_UNNAMED):
            continue
        if key in named or short_target(key, usual.get(key)) != value:
            parts.append(f"{key.rpartition('.')[2]}={_short(value)}")
    readable = re.sub(r"[^A-Za-z0-9.=+-]+", "_", "_".join(parts))[:_LONGEST]
    return f"{readable}_seed={identity.decisive['seed']}".lstrip("_")


def _leaves(value: Any, key: str, *, later: bool) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if not field.metadata.get("result", True):
                continue
            if not later and "since" in field.metadata and field.metadata["since"] == inner:
                continue
            yield from _leaves(inner, f"{key}.{field.name}".lstrip("."), later=later)
    elif isinstance(value, dict) and value:
        for name, inner in cast("dict[str, object]", value).items():
            yield from _leaves(inner, f"{key}.{name}", later=later)
    else:
        yield key, value


def _listed(item: Any) -> str:
    """Write a list's item; of a pattern of names, as `classifier.*`, what it is about."""
    short = _short(item)
    if re.search("[A-Za-z0-9]", short):
        return short
    letters = unicodedata.normalize("NFKD", str(item))
    whole = re.sub("[^A-Za-z0-9.]+", "_", letters).strip("._")
    return whole or ("all" if "*" in short else "other")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return exact(value)
    if isinstance(value, list):
        return "+".join(map(_listed, cast("list[Any]", value))) or "empty"
    return str(value).rpartition(".")[2] if isinstance(value, str) else str(value)
