"""A trial's job and what it came to, or a whole search; free of Optuna, which takes its time."""

import errno
import math
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, NamedTuple

from etude.base.atomic import is_full
from etude.base.text import first_line

ERROR, FOLDER = "error", "folder"  # a trial's notes


class NothingFound(Exception):  # noqa: N818 (a result, not a mistake)
    """There are as many trials as wanted, and none of them is complete."""


class Unfinished(Exception):  # noqa: N818
    """A job has not been done, and is to be done later; its text is why, if that is news."""


class DiskFull(Unfinished):
    """A job has not been done because the disk is full, as the next one would find it."""


# What a job came to: what it returned, or what it raised.
Outcome = Any


class TrialJob(NamedTuple):
    """A job that a search asks for: its number, its words, and what people call it."""

    number: int
    words: list[str]
    label: str


def has_folder(notes: Mapping[str, Any]) -> bool:
    """Say whether the folder that a trial's notes name, of the first of its seeds, is there."""
    return Path(str(notes[FOLDER])).is_dir()


def numbers(outcome: Outcome, count: int) -> list[float] | None:
    """Read a number for each objective; None where they are not."""
    try:
        values = [float(outcome)] if count == 1 else [float(value) for value in outcome]
    except (TypeError, ValueError):
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def unfinished(outcome: Outcome) -> Unfinished | None:
    """Say why a job is to be done later; None if what it came to is its own, or its settings'.

    That is where its process was killed, or the machine's memory or disk was full: another day it
    comes to its end. A launcher's own errors say so by their attribute `unfinished`.
    """
    if isinstance(outcome, Unfinished) or not isinstance(outcome, BaseException):
        return outcome if isinstance(outcome, Unfinished) else None
    if is_full(outcome):
        return DiskFull(told(outcome))
    killed = isinstance(outcome, BrokenExecutor) or getattr(outcome, "unfinished", False)
    return Unfinished(told(outcome)) if killed or _lacked_memory(outcome) else None


def _lacked_memory(error: BaseException) -> bool:
    """Say whether memory was full, or had a process that decodes images killed."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = first_line(error)
    # PyTorch has one class for all but the memory of GPUs, and that class is one of these.
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (
            "out of memory" in said
            or "can't allocate memory" in said
            or said.startswith("DataLoader worker")  # one that raised is "Caught … in DataLoader …"
        )
    )


def told(error: BaseException) -> str:
    """Put an error into a line; the name of a class of Étude's own says nothing to people."""
    own = type(error).__module__.startswith(("etude.", "hydra_plugins.etude_"))
    return first_line(error) if own else f"{type(error).__name__}: {first_line(error)}"
