"""What people see of jobs: a live table in a terminal, lines elsewhere, a table at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from etude.base.duration import duration
from etude.base.startup import UNBEGUN
from etude.base.text import counted, fold, fold_first, near, wrap
from etude.launch.expected import left, seconds_left
from etude.launch.job import Entry
from etude.runs.state import RunState

_EVERY = 0.5  # seconds between two drawings
_STYLES = {
    RunState.NOT_STARTED: "dim",
    RunState.RUNNING: "cyan",
    RunState.FINISHED: "green",
    RunState.PRUNED: "green",
    RunState.DIVERGED: "red",
    RunState.FAILED: "red",
    RunState.PREEMPTED: "yellow",
    RunState.CUT_OFF: "yellow",
}
_NARROWEST = 20  # characters of a job's name beside the other columns
_COUNTED = tuple(_STYLES)
# Running first, then what ended last: a study may be longer than the terminal is high.
_ORDER = (
    RunState.RUNNING,
    RunState.FAILED,
    RunState.DIVERGED,
    RunState.CUT_OFF,
    RunState.PREEMPTED,
    RunState.FINISHED,
    RunState.PRUNED,
    RunState.NOT_STARTED,
)


class LiveTable:
    """A table that is drawn again and again in the same place.

    Args:
        console: A terminal.
        places: How many jobs run at the same time.
        to_come: Counts jobs that nobody knows yet.
    """

    def __init__(
        self, console: Console, *, places: int, to_come: Callable[[], int] = lambda: 0
    ) -> None:
        self._console, self._places, self._to_come = console, places, to_come
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
        first = sorted(entries, key=lambda entry: _ORDER.index(entry.state))
        lines = max(3, self._console.height - 6)
        while True:  # a long name takes more lines than one
            shown = sorted(first[:lines], key=lambda entry: entry.job.number)
            table, taken = _table(shown, self._console.width, left_too=True)
            if taken <= self._console.height - 6 or lines <= 1:
                break
            lines -= 1
        total = _total(entries, places=self._places, stopping=stopping, to_come=self._to_come())
        return Group(table, Text(wrap(total, self._console.width)))


class PlainLines:
    """A line for each job that begins or ends.

    Args:
        console: Anything that is no terminal.
        **_: What a `LiveTable` is made from as well.
    """

    def __init__(self, console: Console, **_: Any) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        pass

    def changed(self, entry: Entry) -> None:
        """Print what has become of a job, but for what the table at the end says as well."""
        if entry.before:
            return
        parts = [f"{entry.state:<9}", entry.job.label]
        if entry.over:
            parts += [part for part in (entry.progress.score, _spent(entry), entry.error) if part]
        elif entry.tries > 1:
            parts.append(f"try {entry.tries}")
        self._console.print("  ".join(parts), markup=False)

    def look(self, entries: Sequence[Entry], *, stopping: bool) -> None:
        """Leave the file alone: what has not changed needs no line."""


def show_all(console: Console, entries: Sequence[Entry]) -> None:
    """Print what became of each job, the failed ones with their error and their log."""
    waiting = [
        entry for entry in entries if entry.state is RunState.NOT_STARTED and not entry.tries
    ]
    if waiting and len(waiting) == sum(not entry.before for entry in entries):
        total = _total(entries, places=1, stopping=False)
        console.print(wrap(f"{UNBEGUN}; {total}", console.width), markup=False)
        return
    console.print(_table(entries, console.width)[0])
    for entry in entries:
        if entry.over and not entry.done:
            style = _STYLES[entry.state]
            label, error = escape(entry.job.label), escape(entry.error)
            console.print(f"[{style}]{entry.state}[/] {label}: {error}")
            if entry.job.log.exists():
                console.print(f"  log: {near(entry.job.log)}", markup=False)
    total = _total(entries, places=1, stopping=False)
    console.print(wrap(total, console.width) if console.is_terminal else total, markup=False)


def _table(entries: Sequence[Entry], width: int, *, left_too: bool = False) -> tuple[Table, int]:
    """Make a table of jobs; give the lines of its rows as well.

    A name that is too long for the terminal goes on in the next line, so that no number is cut.
    """
    heading = ["job", "state", "progress", "score", "time", *(["left"] if left_too else [])]
    columns = list(zip(*([*_cells(entry)][: len(heading)] for entry in entries), strict=True))
    headed = [_headed(*pair) for pair in zip(heading, columns, strict=True)]
    rows = list(zip(*headed, strict=True))
    names = fold_first(rows, width)
    if max(len(line) for name in names for line in name.split("\n")) > _room(rows, width):
        names = [_stacked(row, rows, width) for row in rows]
        rows = [(name,) for name in names]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in rows[0]:
        right = title in {"time", "left"}
        table.add_column(escape(title), justify="right" if right else "left", no_wrap=True)
    for name, row, entry in zip(names[1:], rows[1:], entries, strict=True):
        table.add_row(escape(name), *map(escape, row[1:]), style=_STYLES[entry.state])
    return table, sum(1 + name.count("\n") for name in names[1:])


def _room(rows: Sequence[Sequence[str]], width: int) -> int:
    """Count the characters that a table's other columns leave to jobs' names; 0 if too few."""
    names, *others = ([len(row[n]) for row in rows] for n in range(len(rows[0])))
    room = width - 2 - sum(2 + max(column) for column in others)
    return room if room >= min(_NARROWEST, max(names)) else 0


def _stacked(row: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Put a job's name into lines of its own, above the other columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][1:]
    cells = "  ".join(cell.ljust(one) for cell, one in zip(row[1:], widths, strict=True))
    return f"{fold(row[0], width - 2)}\n  {cells}".rstrip()


def _headed(title: str, cells: Sequence[str]) -> list[str]:
    """Put the heading above cells: the word that all of them begin with, where there is one."""
    words = {cell.partition(" ")[0] for cell in cells if cell}
    if title not in {"progress", "score"} or len(words) != 1:
        return [title, *cells]
    return [*words, *(cell.partition(" ")[2] for cell in cells)]


def _cells(entry: Entry) -> list[str]:
    remaining = left(entry) if entry.state is RunState.RUNNING else None
    state = entry.word if entry.tries < 2 else f"{entry.word}, try {entry.tries}"
    return [
        entry.job.label,
        state,
        entry.progress.text,
        entry.progress.score,
        _spent(entry),
        "" if remaining is None else duration(remaining),
    ]


def _rank(entry: Entry) -> tuple[int, bool]:
    return _COUNTED.index(entry.state), entry.before


def _spent(entry: Entry) -> str:
    seconds = entry.seconds
    if entry.state is RunState.RUNNING:
        seconds += time.monotonic() - entry.since
    return duration(seconds) if entry.tries else ""


def _total(entries: Sequence[Entry], *, places: int, stopping: bool, to_come: int = 0) -> str:
    counts = Counter(entry.word for entry in sorted(entries, key=_rank))
    parts = [f"{count:,} {word}" for word, count in counts.items()]
    if to_come:
        parts.append(f"{to_come:,} to come")
    text = f"{counted(len(entries), 'job')}: {', '.join(parts)}"
    if stopping:
        return f"{text}; they save and stop, Ctrl-C ends them at once"
    if counts[RunState.RUNNING]:
        remaining = seconds_left(entries, places=places, to_come=to_come)
        text += "" if remaining is None else f"; about {duration(remaining)} left"
    return text
