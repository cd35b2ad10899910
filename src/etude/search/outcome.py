"""A trial's job and what it came to, or a whole search; free of Optuna, which takes its time."""

import math
from typing import Any, NamedTuple

ERROR, FOLDER = "error", "folder"  # a trial's notes


class NothingFound(Exception):  # noqa: N818 (a result, not a mistake)
    """There are as many trials as wanted, and none of them is complete."""


class Unfinished(Exception):  # noqa: N818
    """A job has not been done, and is to be done later."""


# What a job came to: what it returned, or what it raised.
Outcome = Any


class TrialJob(NamedTuple):
    """A job that a search asks for: its number, its words, and what people call it."""

    number: int
    words: list[str]
    label: str


def numbers(outcome: Outcome, count: int) -> list[float] | None:
    """Read a number for each objective; None where they are not."""
    try:
        values = [float(outcome)] if count == 1 else [float(value) for value in outcome]
    except (TypeError, ValueError):
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None
