"""How a field of the schema is declared: with the rule that its value must pass, and no value.

A field's metadata holds its rule. `result=False` marks what cannot change a run's result and so
stays out of its fingerprint. A field that is added later says `since=<default>`: at that value it
is left out of the fingerprint, so that older runs keep theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

_REQUIRED = object()


def setting(
    rule: str = "",
    test: Callable[[Any], bool] | None = None,
    *,
    result: bool = True,
    since: object = _REQUIRED,
) -> Any:
    """Declare a field without a value, with the rule that its value (or each item) must pass."""
    metadata: dict[str, Any] = {"rule": rule, "test": test, "result": result}
    if since is not _REQUIRED:
        metadata["since"] = since
    return field(default=MISSING, metadata=metadata)


def one_of(*choices: str, result: bool = True, since: object = _REQUIRED) -> Any:
    """Declare a field that takes one of a few words."""
    rule = f"one of {', '.join(choices)}"
    return setting(rule, lambda value: value in choices, result=result, since=since)


def positive(*, result: bool = True, since: object = _REQUIRED) -> Any:
    """Declare a number above 0."""
    return setting("a number above 0", lambda value: value > 0, result=result, since=since)


def at_least(limit: float, *, result: bool = True) -> Any:
    """Declare a number that is not below `limit`."""
    return setting(f"a number of at least {limit:g}", lambda v: v >= limit, result=result)


def fraction(*, zero: bool = True, one: bool = False, since: object = _REQUIRED) -> Any:
    """Declare a part of a whole; `zero` and `one` say whether the ends are allowed."""
    rule = f"at least 0 and {'at most' if one else 'below'} 1" if zero else "between 0 and 1"
    return setting(
        f"a fraction {rule}",
        lambda v: (v >= 0 if zero else v > 0) and (v <= 1 if one else v < 1),
        since=since,
    )


def counting(*, result: bool = True, since: object = _REQUIRED) -> Any:
    """Declare a whole number above 0."""
    return setting("a whole number above 0", lambda v: v > 0, result=result, since=since)


def seeding() -> Any:
    """Declare a seed: what NumPy's generators take, the narrowest of those in use."""
    return setting("a whole number from 0 to 2³²-1", lambda v: 0 <= v < 2**32)


@dataclass
class Plain:
    """A part without settings of its own."""

    _target_: str = MISSING
