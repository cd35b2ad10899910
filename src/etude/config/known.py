"""The keys there are, and what is wrong with one."""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
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
