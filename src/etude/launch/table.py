"""What people see of jobs: a live table in a terminal, lines elsewhere, a table at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from etude.base.duration import duration
from etude.base.text import near
from etude.launch.expected import left, seconds_left
from etude.launch.job import Entry, JobState

_OTHERS = 62  # characters that the columns besides the job's name take
_EVERY = 0.5  # seconds between two drawings
_STYLES = {
    JobState.WAITING: "dim",
    JobState.RUNNING: "cyan",
    JobState.FINISHED: "green",
    JobState.BEFORE: "green",
    JobState.FAILED: "red",
    JobState.PREEMPTED: "yellow",
    JobState.CUT_OFF: "yellow",
}
# Running first, then what ended last: a study may be longer than the terminal is high.
_ORDER = (
    JobState.RUNNING,
    JobState.FAILED,
    JobState.CUT_OFF,
    JobState.PREEMPTED,
    JobState.FINISHED,
    JobState.BEFORE,
    JobState.WAITING,
)


class LiveTable:
    """A table that is drawn again and again in the same place.

    Args:
        console: A terminal.
        places: How many jobs run at the same time.
    """

    def __init__(self, console: Console, *, places: int) -> None:
        self._console, self._places = console, places
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._live.stop()

    def changed(self, entry: Entry) -> None:  # noqa: ARG002 (the next look shows it)
        """Have the next look draw at once."""
        self._drawn = 0.0

    def look(self, entries: Sequence[Entry], *, stopping: bool) -> None:
        """Draw, unless it was done just now."""
        if time.monotonic() - self._drawn >= _EVERY:
            self._drawn = time.monotonic()
            self._live.update(self._draw(entries, stopping=stopping), refresh=True)

    def _draw(self, entries: Sequence[Entry], *, stopping: bool) -> Group:
        table = _table(
            "job", "state", "progress", "score", "time", "left", width=self._console.width
        )
        shown = sorted(entries, key=lambda entry: _ORDER.index(entry.state))
        shown = shown[: max(3, self._console.height - 6)]
        for entry in sorted(shown, key=lambda entry: entry.job.number):
            table.add_row(*_cells(entry), style=_STYLES[entry.state])
        return Group(table, Text(_total(entries, places=self._places, stopping=stopping)))


class PlainLines:
    """A line for each job that begins or ends.

    Args:
        console: Anything that is no terminal.
        places: How many jobs run at the same time.
    """

    def __init__(self, console: Console, *, places: int) -> None:  # noqa: ARG002 (as LiveTable)
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        pass

    def changed(self, entry: Entry) -> None:
        """Print what has become of a job, but for what the table at the end says as well."""
        if entry.state is JobState.BEFORE:
            return
        parts = [f"{entry.state.value:<9}", entry.job.label]
        if entry.over:
            parts += [part for part in (entry.progress.score, _spent(entry), entry.error) if part]
        elif entry.tries > 1:
            parts.append(f"try {entry.tries}")
        self._console.print("  ".join(parts), markup=False)

    def look(self, entries: Sequence[Entry], *, stopping: bool) -> None:
        """Leave the file alone: what has not changed needs no line."""


def show_all(console: Console, entries: Sequence[Entry]) -> None:
    """Print what became of each job, the failed ones with their error and their log."""
    table = _table("job", "state", "progress", "score", "time", width=console.width)
    for entry in entries:
        table.add_row(*_cells(entry)[:5], style=_STYLES[entry.state])
    console.print(table)
    for entry in entries:
        if entry.over and not entry.done:
            style = _STYLES[entry.state]
            label, error = escape(entry.job.label), escape(entry.error)
            console.print(f"[{style}]{entry.state.value}[/] {label}: {error}")
            if entry.job.log.exists():
                console.print(f"  log: {near(entry.job.log)}", markup=False)
    console.print(_total(entries, places=1, stopping=False), markup=False)


def _table(*columns: str, width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column in {"time", "left"}
        table.add_column(
            column,
            justify="right" if right else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=max(20, width - _OTHERS) if column == "job" else None,
        )
    return table


def _cells(entry: Entry) -> list[str]:
    remaining = left(entry) if entry.state is JobState.RUNNING else None
    state = entry.state.value if entry.tries < 2 else f"{entry.state.value}, try {entry.tries}"
    return [
        escape(entry.job.label),
        state,
        escape(entry.progress.text),
        escape(entry.progress.score),
        _spent(entry),
        "" if remaining is None else duration(remaining),
    ]


def _spent(entry: Entry) -> str:
    seconds = entry.seconds
    if entry.state is JobState.RUNNING:
        seconds += time.monotonic() - entry.since
    return duration(seconds) if entry.tries else ""


def _total(entries: Sequence[Entry], *, places: int, stopping: bool) -> str:
    counts = Counter(entry.state for entry in entries)
    parts = [f"{counts[state]} {state.value}" for state in _STYLES if counts[state]]
    text = f"{len(entries)} {'job' if len(entries) == 1 else 'jobs'}: {', '.join(parts)}"
    if stopping:
        return f"{text}; they save and stop, Ctrl-C ends them at once"
    if counts[JobState.RUNNING] and (remaining := seconds_left(entries, places=places)) is not None:
        text += f"; about {duration(remaining)} left"
    return text
