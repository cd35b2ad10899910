"""Whether what a file holds is what it should hold: JSON against the types that code counts on."""

import types
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def misfit(value: Any, kind: Any, *, whole: bool = False, key: str = "") -> str | None:
    """Say where a value is not of a kind; None if it is.

    Args:
        value: As JSON gives it.
        kind: A type, a union, a list or mapping of them, or a `TypedDict`.
        whole: Whether the outermost `TypedDict` must have all of its keys; those inside must. A
            file of another version may lack some.
        key: The value's, for the text.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        found = [misfit(value, one, whole=True, key=key) for one in inner]
        return None if None in found else found[0]
    if is_typeddict(kind):
        return _of_keys(value, kind, whole=whole, key=key)
    if origin in {dict, Mapping}:
        items = value.items() if isinstance(value, dict) else None
        return _of_items(items, inner[1], f"{key or 'it'} is no object", key)
    if origin in {list, Sequence}:
        pairs = enumerate(value) if isinstance(value, list) else None
        return _of_items(pairs, inner[0], f"{key or 'it'} is no list", key)
    return None if _is_plain(value, kind) else f"{key or 'it'} is not {_WORDS.get(kind, 'null')}"


def _is_plain(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind in {None, type(None)}:
        return value is None
    accepted = (int, float) if kind is float else kind
    return isinstance(value, accepted) and isinstance(value, bool) == (kind is bool)


def _of_keys(value: Any, kind: Any, *, whole: bool, key: str) -> str | None:
    if not isinstance(value, dict):
        return f"{key or 'it'} is no object"
    if whole and (lacking := sorted(kind.__required_keys__ - value.keys())):
        return f"{_joined(key, lacking[0])} is missing"
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name in value}
    items = (misfit(value[k], hint, whole=True, key=_joined(key, k)) for k, hint in hints.items())
    return next((problem for problem in items if problem), None)


def _of_items(items: Any, kind: Any, otherwise: str, key: str) -> str | None:
    if items is None:
        return otherwise
    found = (misfit(one, kind, whole=True, key=_joined(key, str(name))) for name, one in items)
    return next((problem for problem in found if problem), None)


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
