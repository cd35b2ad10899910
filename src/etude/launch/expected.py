"""How long all jobs will still take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from etude.launch.job import Entry
from etude.runs.state import RunState


def seconds_left(entries: Sequence[Entry], *, places: int, to_come: int = 0) -> float | None:
    """Estimate the seconds until all jobs are done; None before anything can be told.

    Args:
        entries: All jobs.
        places: How many run at the same time.
        to_come: Jobs that nobody knows yet.
    """
    pace = _seconds_per_cost(entries)
    if pace is None:
        return None
    running = [entry for entry in entries if entry.state is RunState.RUNNING]
    lefts = [_left(entry, pace) for entry in running]
    known = [entry for entry in entries if entry.state is RunState.NOT_STARTED]
    usual = sum(_cost(entry) for entry in entries) / len(entries)
    waiting = pace * (sum(_cost(entry) for entry in known) + to_come * usual)
    return max([(waiting + sum(lefts)) / places, *lefts])


def left(entry: Entry) -> float | None:
    """Estimate the seconds until a running job's end from its own progress."""
    progress = entry.progress
    if progress.seconds_left is not None or not progress.done:
        return progress.seconds_left
    return (time.monotonic() - entry.since) * (1 / progress.done - 1)


def _left(entry: Entry, pace: float) -> float:
    own = left(entry)
    spent = time.monotonic() - entry.since
    return max(0.0, pace * _cost(entry) - spent) if own is None else own


def _seconds_per_cost(entries: Sequence[Entry]) -> float | None:
    """Learn from the jobs that are finished, else from those that are on their way."""
    finished = [e for e in entries if e.state is RunState.FINISHED and not e.before]
    seconds = sum(entry.seconds for entry in finished)
    cost = sum(_cost(entry) for entry in finished)
    if not finished:
        going = [(entry, left(entry)) for entry in entries if entry.state is RunState.RUNNING]
        known = [(entry, own) for entry, own in going if own is not None]
        seconds = sum(time.monotonic() - entry.since + own for entry, own in known)
        cost = sum(_cost(entry) for entry, _ in known)
    return seconds / cost if cost else None


def _cost(entry: Entry) -> float:
    return entry.job.about.cost or 1.0
