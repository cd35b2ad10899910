"""Plain values into the types that the schema declares: every misfit, each in one line.

A word of a command or a file may hold a number ("3") or a switch ("yes"), and a whole number may
stand for a fraction; 1.5 is no whole number. That is OmegaConf's reading, at a fraction of its
time: `OmegaConf.structured` takes 21 ms for a configuration, this 0.3 ms. But a fraction is no
text, as it is not known how it was written: 1e5 would be called 100000.0.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, cast, get_args, get_origin

from etude.config.known import Problem
from etude.config.schema.rules import Rule

MISSING = "???"  # what YAML holds where a value must be given
UNRESOLVED = object()  # a value that is made from others, of which one is wrong and told of

_IN_QUOTES = "; text that could be a number stands in quotes, '1e5', on a command line \"'1e5'\""
_SWITCHES = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}


def section(
    values: Mapping[str, Any], schema: type, prefix: str, problems: list[Problem]
) -> Mapping[str, Any]:
    """Convert a node of keys, key by key.

    Args:
        values: What was given.
        schema: The dataclass that declares the keys.
        prefix: What stands before its keys, with the dot.
        problems: Takes every key that is unknown, missing, or not as declared.

    Returns:
        What the schema is made from; of use if no problem was added.
    """
    fields = {field.name: field.type for field in dataclasses.fields(schema)}
    strangers = [f"{prefix}{key}" for key in values if key not in fields]
    problems += [Problem(key, f"{key}: there is no such key", unknown=True) for key in strangers]
    typed: dict[str, object] = {}
    for name, kind in fields.items():
        if values.get(name, MISSING) == MISSING:
            key = f"{prefix}{name}"
            problems.append(Problem(key, f"{key} must be given: {key}=<value>"))
        else:
            typed[name] = convert(values[name], kind, f"{prefix}{name}", problems)
    return typed


def convert(value: Any, kind: Any, key: str, problems: list[Problem]) -> Any:
    """Give a value as its declared type has it.

    Args:
        value: What was given.
        kind: The type, with its rule.
        key: What it is called.
        problems: Takes it if it does not fit; what is returned is then of no use.
    """
    declared = _read(kind)
    if value is UNRESOLVED or (value is None and declared.optional):
        return value
    if isinstance(value, str) and value in declared.or_words:
        return value
    if declared.base is Any and declared.rule is None:
        return value
    try:
        taken = _taken(value, declared, key, problems)
    except (TypeError, ValueError):
        hint = _IN_QUOTES if isinstance(value, float) and declared.base is str else ""
        if value == "auto" and declared.rule is not None:
            hint = declared.rule.auto
        problems.append(Problem(key, f"{key}={shown(value)} must be {declared.words}{hint}"))
        return None
    if isinstance(taken, float) and not math.isfinite(taken):
        problems.append(Problem(key, f"{key}={taken} must be finite"))
    elif declared.rule is not None and not declared.rule.holds(taken):
        problems.append(Problem(key, f"{key}={shown(value)} must be {declared.words}"))
    return taken


def shown(value: Any) -> str:
    """Write a value as a command or a file has it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{','.join(shown(item) for item in cast('list[Any]', value))}]"
    return str(value)


class _Declared(NamedTuple):
    base: Any  # bool, int, float, str, list, dict, a dataclass, or Any
    item: Any  # of a list or a dict
    optional: bool
    or_words: tuple[str, ...]  # that may stand in the place of a value
    rule: Rule | None
    words: str


@cache
def _read(kind: Any) -> _Declared:
    """Take a declared type apart."""
    inner, *others = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    optional = NoneType in others
    or_words = tuple(word for other in others for word in get_args(other))
    rule: Rule | None = None
    if get_origin(inner) is Annotated:
        inner, rule = get_args(inner)
    if get_origin(inner) is Literal:
        choices = get_args(inner)
        rule = Rule(f"one of {', '.join(map(str, choices))}", choices.__contains__)
        inner = type(choices[0])
    base = get_origin(inner) or inner
    item = get_args(inner)[-1] if get_args(inner) else None
    words = rule.words if rule is not None else _in_words(base, item)
    words = ", or ".join([words, *or_words, *(["null"] if optional else [])])
    return _Declared(base, item, optional, or_words, rule, words)


def _in_words(base: Any, item: Any) -> str:
    if base is list:
        each = "with keys" if dataclasses.is_dataclass(item) else _read(item).words
        return f"a list in brackets, each item {each}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return words.get(base, "keys with values")


def _taken(value: Any, declared: _Declared, key: str, problems: list[Problem]) -> Any:
    """Read a value as its base type.

    Raises:
        TypeError: It is of another.
        ValueError: Its text does not hold one.
    """
    if dataclasses.is_dataclass(declared.base):
        return _section_of(value, cast("type[Any]", declared.base), key, problems)
    if declared.base is Any:
        return value
    if declared.base is list:
        return [convert(item, declared.item, key, problems) for item in _instance(value, list)]
    if declared.base is dict:
        items: Mapping[str, Any] = _instance(value, dict)
        return {str(k): convert(v, declared.item, f"{key}.{k}", problems) for k, v in items.items()}
    return _SCALARS[declared.base](value)


def _section_of(value: Any, schema: type, key: str, problems: list[Problem]) -> Any:
    if not isinstance(value, dict):
        problems.append(Problem(key, f"{key} is a group of keys; set {key}.<key>=<value>"))
        return None
    told = len(problems)
    typed = section(cast("Mapping[str, object]", value), schema, f"{key}.", problems)
    return schema(**typed) if len(problems) == told else None


def _instance(value: Any, *kinds: type) -> Any:
    # Not isinstance: true is no number, for all that Python says.
    if type(value) not in kinds:
        raise TypeError
    return value


def _switch(value: Any) -> bool:
    if isinstance(value, str):
        return _SWITCHES[value.lower()] if value.lower() in _SWITCHES else bool(int(value))
    return bool(_instance(value, bool, int))


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    bool: _switch,
    int: lambda value: int(_instance(value, int, str)),
    float: lambda value: float(_instance(value, float, int, str)),
    str: lambda value: str(_instance(value, str, int, bool)),
}
