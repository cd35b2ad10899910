"""Whether a study's file says what a study's file must say."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from etude.base.errors import UserError

_ALWAYS, _TWIN = ("question", "seeds"), ("experiment", "baseline", "axes")


def check_file(name: str, node: object, size: str) -> Mapping[str, Any]:
    """Refuse a file of another shape than a study's; give what it says.

    Args:
        name: The file's.
        node: Its content.
        size: Of the twin that is wanted.

    Raises:
        UserError: Something in it is of another kind, or empty; where and what is told.
    """
    whole = _mapping(f"study={name}", node)
    if size not in whole:
        sizes = [key for key, twin in whole.items() if isinstance(twin, Mapping) and "axes" in twin]
        raise UserError(f"study={name} has no {size} for size={size}; it has {', '.join(sizes)}")
    twin = _mapping(f"study={name}: {size}", whole[size])
    lacking = [key for key in _ALWAYS if key not in whole]
    lacking += [f"{size}.{key}" for key in _TWIN if key not in twin]
    if lacking:
        raise UserError("\n".join(f"study={name} has no {key}" for key in lacking))
    margin: object = whole.get("margin")
    if margin is not None and not (isinstance(margin, int | float) and margin > 0):
        raise UserError(
            f"study={name}: margin={margin} must be a number above 0, in the metric's unit: 0.005 "
            "is half a point of accuracy"
        )
    _check_words(f"study={name}: {size}.words", twin.get("words", []))
    _check_tuned(f"study={name}: {size}.tune", twin.get("tune", []))
    axes = _mapping(f"study={name}: {size}.axes", twin.get("axes", {}))
    for axis, levels in axes.items():
        named = _mapping(f"study={name}: {size}.axes.{axis}", levels)
        for level, words in named.items():
            _check_words(f"study={name}: {size}.axes.{axis}.{level}", words)
    if "axes" in twin and not axes:
        raise UserError(f"study={name}: {size}.axes is empty; give an axis with two levels")
    return whole


def _mapping(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{where} is {value!r}; it must be a mapping of names, as name: …")
    return cast("Mapping[str, Any]", value)


def _check_tuned(where: str, value: object) -> None:
    """Refuse anything but a list of words, or one for each of some levels."""
    if isinstance(value, Mapping):
        for level, words in cast("Mapping[str, object]", value).items():
            _check_words(f"{where}.{level}", words)
    else:
        _check_words(where, value)


def _check_words(where: str, value: object) -> None:
    words = cast("Sequence[object]", value) if isinstance(value, list | tuple) else None
    if words is None or not all(isinstance(word, str) and "=" in word for word in words):
        raise UserError(f"{where} is {value!r}; it must be a list of words, as [key=value, …]")
